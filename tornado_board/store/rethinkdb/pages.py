"""Pages of players, and counts of them, all of them ranges of one index.

The index has the highest scores first, and those of one score in the order in which they stand. A
board whose highest score is the best reads it from the front for what comes behind a place, and
from the end for what comes before it.

A board whose lowest score is the best reads the scores the other way round, but those of one score
must not be turned with them. So there a page has three parts: the ``rest`` of those with the score
of the place, ``more`` in the other direction, and ``last``: those with the last score of these, of
whom there may be any number, from their own beginning. What these three have is sorted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from tornado_board.models import Board, Number, Order, Player, Ranking
from tornado_board.store import Place, Scores
from tornado_board.store.rethinkdb.address import r
from tornado_board.store.rethinkdb.connection import Connection
from tornado_board.store.rethinkdb.deletion import Run
from tornado_board.store.rethinkdb.documents import (
    PLAYER_FIELDS,
    PLAYERS,
    board_of,
    counting_among,
    is_listed,
    or_zero,
    player_of,
    qualified,
    score_in,
)
from tornado_board.store.rethinkdb.queries import prepared
from tornado_board.store.rethinkdb.rules import KnownRules
from tornado_board.store.rethinkdb.spans import (
    Span,
    board_term,
    counting_in,
    held_in,
    with_shadows,
)
from tornado_board.store.rethinkdb.standing import (
    STANDING,
    UNRANKED,
    between,
    hidden_players,
    merit_term,
    players_higher,
    players_lower,
    ranked_players,
)
from tornado_board.store.rethinkdb.steps import no_board
from tornado_board.store.rethinkdb.turns import Turns

#: Documents that a page reads at first beyond those that it shows, to make up for some that do not
#: count.
_SPARE = 2

#: Documents of a piece of `Pages.scores`, and their bytes: a piece takes the event loop some
#: milliseconds. More at a time are not faster.
_PIECE, _PIECE_BYTES = 2_000, 400_000


class Pages:
    """Reads players in their order.

    Args:
        connection, run: what runs the queries.
        rules: of the boards, as they are known.
        turns: for what counts.
    """

    def __init__(self, connection: Connection, run: Run, rules: KnownRules, turns: Turns) -> None:
        self._connection = connection
        self._run = run
        self._rules = rules
        self._turns = turns

    async def ranking(self, board_id: str, limit: int) -> Ranking:
        """The board and its best players. Raises `NotFound`."""
        board, players = await self._read(board_id, None, limit, False, with_top=True)
        return Ranking(board, players)

    async def after(
        self,
        board_id: str,
        place: Place | None,
        limit: int,
        backwards: bool,
        until: Number | None = None,
    ) -> Sequence[Player]:
        """See `Store.players_after`."""
        if until is not None and not (place is None and backwards):
            span = Span(self._rules.get(board_id).board, place, until, limit, backwards)
            found = await self._run(span.query())
            self._rules.learn(board_id, found["rules"])
            if (in_range := span.players(found)) is not None:
                return in_range
        _, players = await self._read(board_id, place, limit, backwards)
        return players

    async def _read(
        self,
        board_id: str,
        place: Place | None,
        limit: int,
        backwards: bool,
        with_top: bool = False,
    ) -> tuple[Board, list[Player]]:
        players: list[Player] = []
        wanted = limit
        board = None
        while True:
            size = wanted - len(players) + _SPARE
            order = self._rules.get(board_id).board.order if board is None else board.order
            query = PAGES[order, backwards]
            start = None if place is None else [place.score, place.reached_at, place.id]
            found = await self._run(query(board=board_id, place=start, limit=size))
            board = board_of(found["board"])
            if board is None:
                raise no_board(board_id)
            self._rules.learn(board_id, found["rules"])
            if board.order != order:  # it was not known, or changed
                players.clear()
                continue
            if with_top and (depth := board.depth(limit)) > wanted:
                wanted, with_top = depth, False
                if len(found["players"]) >= size:
                    continue
            held = held_in(found, board, backwards)
            del held[size:]
            players += counting_in(held, found)
            if len(players) >= wanted or len(found["players"]) < size or not held:
                return board, players[:wanted]
            # Others have written many documents that do not count.
            last = held[-1][0]
            place = Place(last.score, last.reached_at, last.id)

    async def by_id(self, board_id: str, ids: Sequence[str]) -> Sequence[Player]:
        """See `Store.players_by_id`."""
        return [player for player in await self._held(board_id, ids) if not player.hidden]

    async def hidden(self, board_id: str, after: str, limit: int) -> Sequence[Player]:
        """See `Store.hidden_players`."""
        players: list[Player] = []
        while True:
            size = limit - len(players)
            found = await self._run(_hidden(board=board_id, after=after, limit=size))
            # A document under the other key may be the one that counts.
            ids = list(dict.fromkeys(filter(is_listed, found)))
            players += [player for player in await self._held(board_id, ids) if player.hidden]
            if len(found) < size or len(players) == limit:
                return players
            after = found[-1]

    async def _held(self, board_id: str, ids: Sequence[str]) -> list[Player]:
        """Those of `ids` that there are, in their order, hidden ones too. Raises `NotFound`."""
        keys = sorted({key for one in ids for key in (one, qualified(board_id, one))})
        found = await self._run(_by_keys(board=board_id, keys=keys))
        if board_of(found["board"]) is None:
            raise no_board(board_id)
        documents = {document["id"]: document for document in found["players"]}
        players = []
        for one in dict.fromkeys(ids):
            both = (documents.get(one), documents.get(qualified(board_id, one)))
            document = counting_among(board_id, one, [each for each in both if each is not None])
            held = player_of(document)
            if held is not None:
                players.append(held[1])
        return players

    async def at(self, board_id: str, rank: int) -> Player | None:
        """See `Store.player_at`."""
        skipped = max(rank - 2, 0)
        async with self._turns.turn(board_id):
            found = await self._run(_scores_at(board=board_id, skip=skipped))
        board = board_of(found["board"])
        if board is None:
            raise no_board(board_id)
        scores = [score_in(document) for document in found["players"]][: 1 if rank < 2 else 2]
        if not scores or scores[0] is None or (rank > 1 and len(scores) < 2):
            return None
        *above, score = scores
        assert score is not None
        # Who has the score of the one above has a better rank; the next score's first is meant.
        place = Place(score, _END, "") if score in above else Place(score, -1, "")
        players = await self.after(board_id, place, 1, False)
        return players[0] if players else None

    async def count(self, board_id: str) -> int:
        """See `Store.count`."""
        async with self._turns.turn(board_id):
            found = await self._run(_count(board=board_id))
        return self._counted(board_id, found)

    async def rank(self, board_id: str, score: float) -> int:
        """See `Store.rank`."""
        async with self._turns.turn(board_id):
            found = await self._run(count_better(board=board_id, score=score))
        return self._counted(board_id, found) + 1

    @staticmethod
    def _counted(board_id: str, found: Any) -> int:
        if board_of(found["board"]) is None:
            raise no_board(board_id)
        return int(found["count"])

    async def scores(self, board_id: str) -> AsyncIterator[Scores]:
        """See `Store.scores`. It sends the documents as they are: to make something less of them
        would take RethinkDB longer than to send them."""
        if board_of(await self._run(_get_board(board=board_id))) is None:
            raise no_board(board_id)
        pieces = self._connection.stream(
            _all_players(board=board_id),
            _PIECE,
            max_batch_rows=_PIECE,
            min_batch_rows=_PIECE,
            max_batch_bytes=_PIECE_BYTES,
            max_batch_seconds=1,
            first_batch_scaledown_factor=1,
        )
        async for documents in pieces:
            scores = [score_in(document) for document in documents]
            ids = [document["id"].rpartition("/")[2] for document in documents]
            # Those of the index have a score that is a number.
            yield Scores(ids, [0 if score is None else score for score in scores])


#: Behind every time, for a place behind all with a score.
_END = 2**62


# The queries


def _is_ascending(board: Any) -> Any:
    return board["order"].default(None).eq("asc")


def _straight(p: Any, backwards: bool) -> Any:
    """The page of a board whose highest score is best."""
    board, place = p["board"], p["place"]
    index = r.desc(STANDING) if backwards else STANDING

    def page(selection: Any) -> Any:
        return _rows(selection.order_by(index=index).limit(p["limit"]))

    key = [board, merit_term(place.nth(0)), place.nth(1), place.nth(2)]
    behind = (
        between([board, r.minval], key)
        if backwards
        else between(key, [board, UNRANKED], left_bound="open")
    )
    return r.branch(place.eq(None), page(ranked_players(board)), page(behind))


def _crossed(p: Any, backwards: bool) -> Any:
    """The page of a board whose lowest score is best: see above."""
    board, place, limit = p["board"], p["place"], p["limit"]
    scores = STANDING if backwards else r.desc(STANDING)
    ties = r.desc(STANDING) if backwards else STANDING

    def of_one_score(merit: Any, start: Any) -> Any:
        """Those with one score from `start` on, or all."""
        lowest, highest = [board, merit, r.minval], [board, merit, r.maxval]
        if start is None:
            selection = between(lowest, highest)
        elif backwards:
            selection = between(lowest, [board, merit, *start])
        else:
            selection = between([board, merit, *start], highest, left_bound="open")
        return _rows(selection.order_by(index=ties).limit(limit))

    def others(merit: Any) -> Any:
        """Those with worse scores, or with better ones if backwards."""
        selection = (
            between([board, merit, r.maxval], [board, UNRANKED])
            if backwards
            else between([board, r.minval], [board, merit])
        )
        return _rows(selection.order_by(index=scores).limit(limit)).do(with_last)

    def with_last(more: Any) -> Any:
        last = of_one_score(merit_term(or_zero(more.nth(-1), "score")), None)
        return r.branch(more.is_empty(), [], more.add(last))

    first = _rows(ranked_players(board).order_by(index=scores).limit(limit)).do(with_last)

    def behind(merit: Any) -> Any:
        rest = of_one_score(merit, [place.nth(1), place.nth(2)])
        return rest.do(lambda rest: r.branch(rest.count().ge(limit), rest, rest.add(others(merit))))

    return r.branch(place.eq(None), first, merit_term(place.nth(0)).do(behind))


def _rows(selection: Any) -> Any:
    return selection.pluck(*PLAYER_FIELDS).coerce_to("array")


def _page(p: Any, read: Callable[[Any, bool], Any], backwards: bool) -> Any:
    return with_shadows(p, read(p, backwards))


#: By the board's order, and whether it goes backwards: the first `limit` of the ranked documents of
#: `board` behind `place` (a list of score, time and id), or of all; the ``board``, and its
#: ``rules`` as `rules.KnownRules` has them; and of those of the documents that have a qualified key
#: the plain ones that count in their stead (``shadows``). More documents may be in there, in any
#: order.
PAGES: Mapping[tuple[Order, bool], Callable[..., Any]] = {
    ("desc", False): prepared(lambda p: _page(p, _straight, False)),
    ("desc", True): prepared(lambda p: _page(p, _straight, True)),
    ("asc", False): prepared(lambda p: _page(p, _crossed, False)),
    ("asc", True): prepared(lambda p: _page(p, _crossed, True)),
}

#: The ``board``, and the ``players`` that have any of the primary keys `keys`.
_by_keys = prepared(
    lambda p: {
        "board": board_term(p),
        "players": r.table(PLAYERS)
        .get_all(r.args(p["keys"]))
        .pluck(*PLAYER_FIELDS)
        .coerce_to("array"),
    }
)


#: The ids, as the index has them, of at most `limit` hidden documents of `board` after the id
#: `after`.
_hidden = prepared(
    lambda p: (
        hidden_players(p["board"], p["after"])
        .order_by(index=STANDING)
        .limit(p["limit"])
        .map(lambda document: document["id"].coerce_to("string").split("/", 1).nth(-1))
        .coerce_to("array")
    )
)


def _scores_behind(p: Any) -> Any:
    def two(index: Any) -> Any:
        ranked = ranked_players(p["board"]).order_by(index=index)
        return ranked.skip(p["skip"]).limit(2).pluck("score").coerce_to("array")

    return board_term(p).do(
        lambda board: {
            "board": board,
            "players": r.branch(_is_ascending(board), two(r.desc(STANDING)), two(STANDING)),
        }
    )


#: The ``board``, and the scores of the two ranked documents behind the best `skip`.
_scores_at = prepared(_scores_behind)

#: The ``board``, and how many players it has.
_count = prepared(lambda p: {"board": board_term(p), "count": ranked_players(p["board"]).count()})

#: The ``board``, and how many players have a better score than `score`.
count_better = prepared(
    lambda p: board_term(p).do(
        lambda board: {
            "board": board,
            "count": r.branch(
                _is_ascending(board),
                players_lower(p["board"], p["score"]).count(),
                players_higher(p["board"], p["score"]).count(),
            ),
        }
    )
)

#: The ``board``.
_get_board = prepared(board_term)

#: The documents of all players of `board`, a stream.
_all_players = prepared(lambda p: ranked_players(p["board"]))
