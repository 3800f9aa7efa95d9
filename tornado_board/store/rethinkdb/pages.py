"""Pages of players, and counts of them. What the queries read is said in `page_queries`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from functools import partial
from typing import Any

from tornado_board.models import Board, Number, Player, Ranking
from tornado_board.store import Place, Scores
from tornado_board.store.rethinkdb import page_queries
from tornado_board.store.rethinkdb.connection import Connection
from tornado_board.store.rethinkdb.deletion import Run
from tornado_board.store.rethinkdb.documents import (
    counting_among,
    is_listed,
    player_of,
    qualified,
    score_in,
)
from tornado_board.store.rethinkdb.first_pages import FirstPages
from tornado_board.store.rethinkdb.merging import merged
from tornado_board.store.rethinkdb.reading import Reading, parameters
from tornado_board.store.rethinkdb.spans import Span, counting_in, held_in
from tornado_board.store.rethinkdb.steps import no_player
from tornado_board.store.rethinkdb.turns import Turns

#: Documents that a page reads at first beyond those that it shows, to make up for some that do not
#: count.
_SPARE = 2

#: Documents of a piece of `Pages.scores`, and their bytes: a piece takes the event loop some
#: milliseconds. More at a time are not faster.
_PIECE = 2_000
_PIECES: dict[str, Any] = {
    "max_batch_rows": _PIECE,
    "min_batch_rows": _PIECE,
    "max_batch_bytes": 400_000,
    "max_batch_seconds": 1,
    "first_batch_scaledown_factor": 1,
}


class Pages:
    """Reads players in their order.

    Args:
        connection, run: what runs the queries.
        reading: finds the season.
        turns: for what counts.
    """

    def __init__(self, connection: Connection, run: Run, reading: Reading, turns: Turns) -> None:
        self._connection = connection
        self._run = run
        self._reading = reading
        self._turns = turns
        self._first = FirstPages(run)

    async def ranking(self, board_id: str, limit: int, season: int | None) -> Ranking:
        """The board and its best players. Raises `NotFound`."""
        board, players = await self._read(board_id, season, None, limit, False, with_top=True)
        return Ranking(board, players)

    async def after(
        self,
        board_id: str,
        season: int | None,
        place: Place | None,
        limit: int,
        backwards: bool,
        until: Number | None = None,
    ) -> Sequence[Player]:
        """See `Store.players_after`."""
        if until is not None and not (place is None and backwards):
            assumed = self._reading.assumed(board_id, season)
            span = Span(assumed, season, place, until, limit, backwards)
            found = await self._run(span.query())
            board = self._reading.seen(board_id, season, found)
            if (in_range := span.players(board, found)) is not None:
                return in_range
        _, players = await self._read(board_id, season, place, limit, backwards)
        return players

    async def _read(
        self,
        board_id: str,
        season: int | None,
        place: Place | None,
        limit: int,
        backwards: bool,
        with_top: bool = False,
    ) -> tuple[Board, list[Player]]:
        players: list[Player] = []
        wanted = limit
        assumed = self._reading.assumed(board_id, season)
        while True:
            size = wanted - len(players) + _SPARE
            if with_top and place is None and season is None and assumed.order == "desc":
                found = await self._first.read(assumed, size)
            else:
                query = page_queries.PAGES[assumed.order, backwards]
                start = None if place is None else [place.score, place.reached_at, place.id]
                asked = parameters(assumed, season)
                found = await self._run(query(**asked, place=start, limit=size))
            board = self._reading.seen(board_id, season, found)
            if (board.partition, board.order) != (assumed.partition, assumed.order):
                players.clear()  # it was not known, or changed
                assumed = board
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

    async def get(
        self, board_id: str, season: int | None, player_id: str, *, hidden: bool = False
    ) -> tuple[Board, Player]:
        """See `Store.find_player` and `Store.get_player`."""
        board, found = await self._reading.read(
            board_id,
            season,
            lambda board: page_queries.get_player(
                **parameters(board, season),
                plain=player_id,
                qualified=qualified(board.partition, player_id),
            ),
        )
        held = player_of(found["player"])
        if held is None or (held[1].hidden and not hidden):
            raise no_player(board_id, player_id)
        return board, held[1]

    async def by_id(
        self, board_id: str, season: int | None, ids: Sequence[str]
    ) -> Sequence[Player]:
        """See `Store.players_by_id`."""
        return [player for player in await self._held(board_id, season, ids) if not player.hidden]

    async def hidden(self, board_id: str, after: str, limit: int) -> Sequence[Player]:
        """See `Store.hidden_players`."""
        players: list[Player] = []
        while True:
            size = limit - len(players)
            query = partial(_hidden_of, after=after, limit=size)
            board, read = await self._reading.read(board_id, None, query)
            found = read["ids"]
            # A document under the other key may be the one that counts.
            ids = list(dict.fromkeys(filter(is_listed, found)))
            held = await self._held(board_id, board.number, ids)
            players += [player for player in held if player.hidden]
            if len(found) < size or len(players) == limit:
                return players
            after = found[-1]

    async def _held(self, board_id: str, season: int | None, ids: Sequence[str]) -> list[Player]:
        """Those of `ids` that there are, in their order, hidden ones too. Raises `NotFound`."""

        def query(board: Board) -> Any:
            keys = {key for one in ids for key in (one, qualified(board.partition, one))}
            return page_queries.by_keys(**parameters(board, season), keys=sorted(keys))

        board, found = await self._reading.read(board_id, season, query)
        partition = board.partition
        documents = {document["id"]: document for document in found["players"]}
        players = []
        for one in dict.fromkeys(ids):
            both = (documents.get(one), documents.get(qualified(partition, one)))
            document = counting_among(partition, one, [each for each in both if each is not None])
            held = player_of(document)
            if held is not None:
                players.append(held[1])
        return players

    async def at(self, board_id: str, season: int | None, rank: int) -> Player | None:
        """See `Store.player_at`."""
        skipped = max(rank - 2, 0)
        async with self._turns.turn(board_id):
            board, found = await self._reading.read(
                board_id,
                season,
                lambda board: page_queries.scores_at(**parameters(board, season), skip=skipped),
            )
        scores = [score_in(document) for document in found["players"]][: 1 if rank < 2 else 2]
        if not scores or scores[0] is None or (rank > 1 and len(scores) < 2):
            return None
        *above, score = scores
        assert score is not None
        # Who has the score of the one above has a better rank; the next score's first is meant.
        place = Place(score, _END, "") if score in above else Place(score, -1, "")
        players = await self.after(board_id, board.number, place, 1, False)
        return players[0] if players else None

    async def count(self, board_id: str, season: int | None) -> int:
        """See `Store.count`."""
        async with self._turns.turn(board_id):
            _, found = await self._reading.read(
                board_id, season, lambda board: page_queries.count(**parameters(board, season))
            )
        return int(found["count"])

    async def rank(self, board_id: str, season: int | None, score: float) -> int:
        """See `Store.rank`."""
        async with self._turns.turn(board_id):
            _, found = await self._reading.read(
                board_id,
                season,
                lambda board: page_queries.count_better(**parameters(board, season), score=score),
            )
        return int(found["count"]) + 1

    async def scores(
        self, board_id: str, season: int | None, middle: Number | None
    ) -> AsyncGenerator[Scores, None]:
        """See `Store.scores`. It sends the documents as they are: to make something less of them
        would take RethinkDB longer than to send them. Most of that RethinkDB does in one thread for
        each connection, so two halves at a time take little longer than one."""
        board, _ = await self._reading.read(
            board_id, season, lambda board: page_queries.get_board(**parameters(board, season))
        )
        partition, stream = board.partition, self._connection.stream
        if middle is None:
            pieces = stream(page_queries.all_players(partition=partition), _PIECE, **_PIECES)
        else:
            halves = (
                query(partition=partition, middle=middle)
                for query in (page_queries.higher_players, page_queries.other_players)
            )
            pieces = merged([stream(half, _PIECE, apart=True, **_PIECES) for half in halves])
        async with contextlib.aclosing(pieces):
            async for documents in pieces:
                scores = [score_in(document) for document in documents]
                ids = [document["id"].rpartition("/")[2] for document in documents]
                # Those of the index have a score that is a number.
                yield Scores(ids, [0 if score is None else score for score in scores])


def _hidden_of(board: Board, after: str, limit: int) -> Any:
    return page_queries.hidden(**parameters(board, None), after=after, limit=limit)


#: Behind every time, for a place behind all with a score.
_END = 2**62
