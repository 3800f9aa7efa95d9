"""``/boards/`` and ``/boards/{board}/``."""

from __future__ import annotations

import urllib.parse

from msgspec.structs import asdict

from tornado_board.models import TOP, Board, NewBoard, board_json, is_id
from tornado_board.realtime.hub import LimitReached
from tornado_board.replay import EventId
from tornado_board.store import StoreUnavailable
from tornado_board.web import streams
from tornado_board.web.handler import Handler
from tornado_board.web.websocket import is_upgrade

#: The most boards that one answer lists, and the most players of a board.
MOST_BOARDS = 1000
MOST_PLAYERS = 100


def path_of(board_id: str, player_id: str | None = None) -> str:
    """The path of a board or, with two ids, of a player, below the server's base path.

    Ids need no escape.
    """
    path = f"/boards/{board_id}/"
    return path if player_id is None else f"{path}players/{player_id}/"


class BoardsHandler(Handler):
    async def get(self) -> None:
        """List the boards in the order of their ids, from the one after ``after``."""
        limit = self.integer_argument("limit", MOST_BOARDS, 1, MOST_BOARDS)
        boards = await self._listed(limit + 1, self.id_argument("after"))
        if len(boards) > limit:
            boards = boards[:limit]
            query = urllib.parse.urlencode({"limit": limit, "after": boards[-1].id})
            self.set_header("Link", f'<{self.prefix}/boards/?{query}>; rel="next"')
        self.set_header("Cache-Control", "no-cache")
        self.send_json({"boards": [asdict(board) for board in boards]})

    async def _listed(self, count: int, after: str) -> list[Board]:
        """The first `count` boards behind the id `after` that have an id of this API.

        Another program may have stored others, or an earlier version: nothing leads to them.
        """
        listed: list[Board] = []
        while len(listed) < count:
            boards = await self.store.list_boards(count, after)
            listed += [board for board in boards if is_id(board.id)]
            if len(boards) < count:
                break
            after = boards[-1].id
        return listed[:count]

    async def post(self) -> None:
        """Make a board."""
        board = await self.store.create_board(self.body(NewBoard, empty=True))
        self.set_header("Location", self.prefix + path_of(board.id))
        self.send_json(asdict(board), status=201)


class BoardHandler(Handler):
    async def get(self, board_id: str) -> None:
        """The board and its best players, or its event stream."""
        if is_upgrade(self) or self.wants_event_stream:
            await _serve_stream(self, board_id)
            return
        limit = self.integer_argument("limit", TOP, 1, MOST_PLAYERS)
        # Taken before the board is read: a stream from here may repeat a change, but misses none.
        position = await self.position(board_id)
        ranking = await self.store.ranking(board_id, limit)
        if position is not None:
            self.set_header("Last-Event-ID", str(position))
        self.set_header("Cache-Control", "no-cache")
        self.add_header("Vary", "Accept")
        self.send_json(board_json(ranking.board, ranking.players))

    async def position(self, board_id: str) -> EventId | None:
        """The id of the board's newest event, if it has one."""
        try:
            return (await self.hub.open(board_id)).current.id
        except (LimitReached, StoreUnavailable):
            return None  # a board may be readable without being live; reading it will tell

    async def delete(self, board_id: str) -> None:
        """Delete the board and its players."""
        await self.store.delete_board(board_id)
        self.no_content()


class EventsHandler(Handler):
    """``/boards/{board}/events/``"""

    async def get(self, board_id: str) -> None:
        """Long-poll, or the event stream."""
        if is_upgrade(self) or self.wants_event_stream:
            await _serve_stream(self, board_id)
            return
        with self.holding(board_id):
            await streams.serve_poll(self, board_id)


async def _serve_stream(handler: Handler, board_id: str) -> None:
    if handler.request.method == "HEAD":
        await streams.serve_stream_head(handler, board_id)
        return
    with handler.holding(board_id):
        await streams.serve_stream(handler, board_id)
