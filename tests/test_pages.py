"""Pages of players: none twice, none left out, full windows, ranks that fit each other."""

from __future__ import annotations

import asyncio
import base64
import bisect
import itertools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tornado_board.models import Board, Order, Ordering, Player
from tornado_board.ranking.rank_index import RankIndex
from tornado_board.realtime.ranks import Ranks, Standing
from tornado_board.store import Place, Store
from tornado_board.web.cursors import cursor_of, place_of
from tornado_board.web.pages import Page, Pages, ranked_from

SCORES = st.integers(-3, 3) | st.sampled_from([-0.5, 0.5, 2.5])
PLAYERS = st.dictionaries(
    st.sampled_from("abcdefghijklmno"), st.tuples(SCORES, st.integers(0, 2)), max_size=15
)
LIMITS = st.integers(1, 17)
ORDERS = st.sampled_from(["desc", "asc"])


def index_of(ordering: Ordering, players: dict[str, Player]) -> RankIndex:
    index = RankIndex(ordering)
    index.scanned(list(players), [player.score for player in players.values()])
    for _ in index.finish(0):
        pass
    return index


class Listed:
    """A store of one board that is a plain list, and its ranks; what happens to it is done by
    `between`, which is called before each read."""

    def __init__(self, players: dict[str, tuple[float, int]], order: str = "desc") -> None:
        self.ordering = Ordering(cast(Order, order))
        self.players = {i: Player(i, i, score, at) for i, (score, at) in players.items()}
        self.between: Callable[[], None] = lambda: None
        # Of every other board the ranks are known, as they were at first.
        self.known = index_of(self.ordering, self.players) if len(players) % 2 else None

    def sorted(self) -> list[Player]:
        return sorted(self.players.values(), key=self.ordering.key)

    async def players_after(
        self,
        board_id: str,
        place: Place | None,
        limit: int,
        season: int,
        *,
        backwards: bool = False,
        until: float | None = None,
    ) -> Sequence[Player]:
        self.between()
        rows = self.sorted()
        keys = [self.ordering.key(row) for row in rows]
        if place is None:
            return rows[::-1][:limit] if backwards else rows[:limit]
        key = self.ordering.parts(place.score, place.reached_at, place.id)
        if backwards:
            return rows[: bisect.bisect_left(keys, key)][::-1][:limit]
        return rows[bisect.bisect_right(keys, key) :][:limit]

    async def players_by_id(
        self, board_id: str, ids: Sequence[str], season: int
    ) -> Sequence[Player]:
        self.between()
        return [self.players[i] for i in ids if i in self.players]

    # As `Ranks` has it.

    def index(self, board_id: str) -> RankIndex | None:
        return self.known

    async def standing(self, board_id: str, *scores: float) -> Standing:
        return Standing(len(self.players), tuple(self._rank(score) - 1 for score in scores))

    async def score_at(self, board_id: str, rank: int) -> float | None:
        return next((p.score for p in self.sorted() if self._rank(p.score) >= rank), None)

    async def count(self, board_id: str) -> int:
        return len(self.players)

    def _rank(self, score: float) -> int:
        return 1 + sum(self.ordering.is_better(p.score, score) for p in self.players.values())

    def pages(self) -> Pages:
        return Pages(cast(Store, self), cast(Ranks, self), Board("board", "Board"))

    def check(self, page: Page, expected: Sequence[Player]) -> None:
        """That a page of the board as it is has these players and their ranks, and says rightly
        what is beyond."""
        rows = self.sorted()
        assert [p.id for p in page.players] == [p.id for p in expected]
        assert [p.rank for p in page.players] == [self._rank(p.score) for p in expected]
        assert page.count == len(rows)
        if expected:
            assert page.has_next == (expected[-1].id != rows[-1].id)
            if expected[0].id != rows[0].id:
                assert page.has_previous


def run(work: Awaitable[Any]) -> Any:
    async def main() -> Any:
        return await work

    return asyncio.run(main())


@settings(deadline=None)
@given(PLAYERS, LIMITS, ORDERS)
def test_all_pages_one_after_another(
    players: dict[str, tuple[float, int]], limit: int, order: str
) -> None:
    store = Listed(players, order)
    rows = store.sorted()
    seen: list[Player] = []
    pages = [run(store.pages().after(None, limit))]
    while True:
        page = pages[-1]
        store.check(page, rows[len(seen) : len(seen) + limit])
        seen += page.players
        if not page.has_next:
            break
        pages.append(run(store.pages().after(place_of(cursor_of(page.players[-1])), limit)))
    assert len(seen) == len(rows)
    assert not pages[0].has_previous
    back: list[str] = []
    while page.has_previous:
        assert page.players
        first = page.players[0]
        page = run(store.pages().before(place_of(cursor_of(first)), limit))
        at = rows.index(store.players[first.id])
        store.check(page, rows[max(0, at - limit) : at])
        back = [p.id for p in page.players] + back
    assert back == [p.id for p in rows][: len(back)]
    if len(pages) > 1:
        assert len(back) == len(rows) - len(pages[-1].players)


MOVES = st.lists(
    st.tuples(st.sampled_from("abcdefghijklmno"), SCORES | st.none(), st.integers(0, 2)),
    max_size=20,
)


@settings(deadline=None)
@given(PLAYERS, MOVES, st.integers(1, 5), ORDERS, st.booleans())
def test_who_does_not_move_is_seen_once(
    players: dict[str, tuple[float, int]],
    moves: list[tuple[str, float | None, int]],
    limit: int,
    order: str,
    backwards: bool,
) -> None:
    store = Listed(players, order)
    moved = {player_id for player_id, *_ in moves}

    def between() -> None:
        if moves:
            player_id, score, at = moves.pop()
            store.players.pop(player_id, None)
            if score is not None:
                store.players[player_id] = Player(player_id, player_id, score, at)

    store.between = between
    seen: list[str] = []
    pages = store.pages()
    if backwards:
        place = Place(10 if order == "asc" else -10, 0, "z")
        page = run(pages.before(place, limit))
    else:
        page = run(pages.after(None, limit))
    for _ in range(100):
        ids = [p.id for p in page.players]
        seen = ids + seen if backwards else seen + ids
        ranks = [p.rank for p in page.players]
        assert ranks == sorted(ranks)
        assert page.count >= len(ids)
        if backwards and page.has_previous:
            page = run(pages.before(place_of(cursor_of(page.players[0])), limit))
        elif not backwards and page.has_next:
            page = run(pages.after(place_of(cursor_of(page.players[-1])), limit))
        else:
            break
    stayed = [p.id for p in store.sorted() if p.id not in moved]
    assert [i for i in seen if i not in moved] == stayed


@settings(deadline=None)
@given(PLAYERS, LIMITS, ORDERS, st.data())
def test_around_a_player_is_a_full_window(
    players: dict[str, tuple[float, int]], limit: int, order: str, data: st.DataObject
) -> None:
    store = Listed(players | {"p": (0, 0)}, order)
    rows = store.sorted()
    player_id = data.draw(st.sampled_from([p.id for p in rows]))
    page = run(store.pages().around(store.players[player_id], limit))
    at = [p.id for p in rows].index(player_id)
    first = max(0, min(at - (limit - 1) // 2, len(rows) - limit))
    store.check(page, rows[first : first + limit])
    assert len(page.players) == min(limit, len(rows))


@settings(deadline=None)
@given(PLAYERS, MOVES, LIMITS, ORDERS)
def test_around_a_player_while_others_move(
    players: dict[str, tuple[float, int]],
    moves: list[tuple[str, float | None, int]],
    limit: int,
    order: str,
) -> None:
    store = Listed(players | {"p": (0, 0)}, order)

    def between() -> None:
        for player_id, score, at in [moves.pop() for _ in range(min(3, len(moves)))]:
            store.players.pop(player_id, None)
            if score is not None:
                store.players[player_id] = Player(player_id, player_id, score, at)

    store.between = between
    page = run(store.pages().around(store.players["p"], limit))
    ids = [p.id for p in page.players]
    assert len(set(ids)) == len(ids)
    assert "p" in ids
    keys = [store.ordering.key(p) for p in page.players]
    assert keys == sorted(keys)
    ranks = [p.rank for p in page.players]
    assert ranks == sorted(ranks)
    assert page.count >= len(ids)


@settings(deadline=None)
@given(PLAYERS, st.integers(1, 17), LIMITS, ORDERS)
def test_from_a_rank(
    players: dict[str, tuple[float, int]], rank: int, limit: int, order: str
) -> None:
    store = Listed(players, order)
    rows = store.sorted()
    expected = [p for p in rows if store._rank(p.score) >= rank][:limit]
    store.check(run(store.pages().from_rank(rank, limit)), expected)


@settings(deadline=None)
@given(PLAYERS, st.lists(st.sampled_from("abcxyz"), unique=True, min_size=1), ORDERS)
def test_by_ids(players: dict[str, tuple[float, int]], ids: list[str], order: str) -> None:
    store = Listed(players, order)
    page = run(store.pages().of(ids))
    there = [p for p in store.sorted() if p.id in ids]
    assert [(p.id, p.rank) for p in page.players] == [(p.id, store._rank(p.score)) for p in there]
    assert page.missing == [i for i in ids if i not in players]
    assert page.count == len(players)


@given(st.lists(SCORES, max_size=9), st.integers(1, 4), st.integers(1, 9))
@example([1, 1, 0, 0], 3, 1)
def test_ranks_fit_each_other_whatever_the_index_says(
    scores: list[float], first: int, second: int
) -> None:
    players = [Player(str(i), "x", s) for i, s in enumerate(sorted(scores, reverse=True))]
    ranked = ranked_from(players, first, second)
    for one, other in itertools.pairwise(ranked):
        assert (one.rank == other.rank) == (one.score == other.score)
        assert other.rank >= one.rank
    if ranked:
        assert ranked[0].rank == first
        different = [p for p in ranked if p.score != ranked[0].score]
        for other in different:
            above = sum(p.score > other.score for p in ranked)
            assert other.rank >= first + above


# Cursors


@given(
    st.integers(-(2**53), 2**53) | st.floats(-(2.0**53), 2.0**53),
    st.integers(0, 2**53),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=100),
)
def test_a_cursor_is_a_place(score: float, reached_at: int, player_id: str) -> None:
    cursor = cursor_of(Player(player_id, "x", score, reached_at))
    assert cursor.replace("-", "").replace("_", "").isalnum()
    assert cursor.isascii()
    assert place_of(cursor) == Place(score, reached_at, player_id)


def encoded(text: str | bytes) -> str:
    """What a client could make of `text` that is like a cursor."""
    data = text.encode() if isinstance(text, str) else text
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


BAD_CURSORS = [
    *("", "x", "=", "%", "é", "a b", "\0", "a" * 2001, "....", "+/+/", "W10=", "W10\n"),
    *map(
        encoded,
        [
            *("[]", "{}", "null", "[1,2]", '[1,2,"a",4]', '["1",2,"a"]', '[1,"2","a"]', "[1,2,3]"),
            *('[1,2.5,"a"]', '[null,2,"a"]', '[true,2,"a"]', '[1e400,2,"a"]', '[NaN,0,"a"]'),
            *('[9007199254740994,0,"a"]', '[1,-2,"a"]', '[1,9007199254740994,"a"]'),
            *('[1,0,"\\u0000"]', '[1,0,"\\ud800"]', '[1,0,"a"]x', "[" * 500, '[1,0,"a"'),
        ],
    ),
    encoded(b'[1,0,"\xff"]'),
    encoded(b"\xff\xfe"),
]


@pytest.mark.parametrize("cursor", BAD_CURSORS)
def test_what_is_no_cursor(cursor: str) -> None:
    with pytest.raises(ValueError, match="is no cursor"):
        place_of(cursor)


@given(st.text(max_size=60) | st.binary(max_size=60).map(encoded))
def test_any_cursor_is_a_place_or_none(cursor: str) -> None:
    try:
        place = place_of(cursor)
    except ValueError:
        return
    assert msgspec.json.decode(msgspec.json.encode(place))["id"] == place.id
