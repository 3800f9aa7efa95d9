"""Pages of the SQLite store, against a sorted list."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tornado_board.inputs import NewBoard
from tornado_board.models import SCORE_LIMIT, Board, Order, Player, Ties
from tornado_board.store import Place
from tornado_board.store.sqlite import migrations, pages, writes

SCORES = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([0.5, -0.5, 0.1 + 0.2, 0.3, SCORE_LIMIT, -SCORE_LIMIT, 1e-300, -5e-324]),
)
IDS = st.sampled_from(["a", "b", "A", "~", ".a", "-", "10", "9", "aa", "Zz"])
PLAYERS = st.dictionaries(IDS, st.tuples(SCORES, st.integers(1, 3)))


@contextlib.contextmanager
def filled(board: Board, players: list[Player], swept: bool) -> Iterator[sqlite3.Connection]:
    """A database with `players` on the board; `swept`: there were others, who wait to be swept."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as c:
        migrations.migrate(c, Path())
        new = NewBoard(id=board.id, order=board.order, ties=board.ties)
        if swept:
            for id in ("a", "9", "gone"):
                writes.insert_player(c, board, Player(id, "Gone", 1))
            c.execute("INSERT INTO tombstones VALUES (?)", (board.id,))
        writes.insert_board(c, board, new)
        for player in players:
            assert writes.insert_player(c, board, player)
        yield c


def place_of(player: Player) -> Place:
    return Place(player.score, player.reached_at, player.id)


@pytest.mark.parametrize("swept", [False, True])
@pytest.mark.parametrize("ties", ["id", "first"])
@pytest.mark.parametrize("order", ["desc", "asc"])
@settings(deadline=None, max_examples=40)
@given(found=PLAYERS, limit=st.integers(1, 12))
def test_pages_ranks_and_counts_are_those_of_a_sorted_list(
    order: Order,
    ties: Ties,
    swept: bool,
    found: dict[str, tuple[float, int]],
    limit: int,
) -> None:
    board = Board("b", "B", order=order, ties=ties)
    players = [
        Player(id, "N", score, time if ties == "first" else 0)
        for id, (score, time) in found.items()
    ]
    players = sorted(players, key=lambda p: (p.reached_at, p.id.encode()))
    players = sorted(players, key=lambda p: p.score, reverse=order == "desc")
    rank = {
        p.score: sum(board.ordering.is_better(q.score, p.score) for q in players) + 1
        for p in players
    }
    with filled(board, players, swept) as c:
        assert pages.count(c, board) == len(players)
        assert pages.has_players(c, board) is bool(players)
        assert pages.players_after(c, board, None, limit) == players[:limit]
        assert pages.players_after(c, board, None, limit, True) == players[::-1][:limit]
        for number, player in enumerate(players):
            place = place_of(player)
            after = pages.players_after(c, board, place, limit)
            assert after == players[number + 1 :][:limit]
            before = pages.players_after(c, board, place, limit, True)
            assert before == players[:number][::-1][:limit]
            assert pages.rank(c, board, player.score) == rank[player.score]
            # The place before all with this score, and one that nobody has.
            first = pages.players_after(c, board, Place(player.score, -1, ""), 1)
            assert first == [players[rank[player.score] - 1]]
            gone = replace(player, id=player.id + "0")
            assert pages.players_after(c, board, place_of(gone), 99) == [
                p for p in players if board.ordering.key(p) > board.ordering.key(gone)
            ]
        for wanted in range(1, len(players) + 3):
            reaching = [p for p in players if rank[p.score] >= wanted]
            assert pages.player_at(c, board, wanted) == (reaching[0] if reaching else None)
        walked: list[tuple[str, float]] = []
        while piece := pages.scores(c, board, walked[-1][0] if walked else "", limit):
            walked += piece
        assert walked == sorted((p.id, p.score) for p in players)
