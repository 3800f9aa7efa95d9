"""``/boards/`` and ``/boards/{board}/``."""

from __future__ import annotations

import urllib.parse
from collections.abc import Awaitable

from tornado_board.inputs import UNSET, BoardPatch, NewBoard
from tornado_board.models import Board, is_id
from tornado_board.realtime.hub import LimitReached
from tornado_board.replay import EventId
from tornado_board.store import StoreError, StoreUnavailable
from tornado_board.web import answers, streams
from tornado_board.web.handler import Handler
from tornado_board.web.idempotency import id_of
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


class _Boards(Handler):
    async def send_whole(self, board: Board, count: Awaitable[int], status: int = 200) -> None:
        """Answer with a board that was written, and with its `count` of players if the store can
        tell it."""
        try:
            players = await count
        except StoreError:
            players = None  # the board was written all the same
        self.send_json(answers.whole_board(board, players), status)


class BoardsHandler(_Boards):
    async def get(self) -> None:
        """List the boards in the order of their ids, from the one after ``after``."""
        fields = self.fields_argument("settings")
        limit = self.integer_argument("limit", MOST_BOARDS, 1, MOST_BOARDS)
        boards = await self._listed(limit + 1, self.id_argument("after"))
        if len(boards) > limit:
            boards = boards[:limit]
            query = urllib.parse.urlencode(
                {"limit": limit, "after": boards[-1].id}
                | ({"fields": ",".join(fields)} if fields else {})
            )
            self.set_header("Link", f'<{self.prefix}/boards/?{query}>; rel="next"')
        self.set_header("Cache-Control", "no-cache")
        self.send_json({"boards": [answers.listed_board(b, fields) for b in boards]})

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
        new, once = self.body(NewBoard, empty=True), self.once
        if once is not None:
            new.id = new.id or id_of(once)
        board = await self.store.create_board(new, once)
        self.ranks.forget(board.id)
        self.created(path_of(board.id))
        # Not the ranks' count: who makes a board does not ask for its ranks yet.
        await self.send_whole(board, self.store.count(board.id), 201)


class BoardHandler(_Boards):
    async def get(self, board_id: str) -> None:
        """The board and its best players, or its event stream."""
        if is_upgrade(self) or self.wants_event_stream:
            await _serve_stream(self, board_id)
            return
        limit = self.integer_argument("limit", 0, 1, MOST_PLAYERS)
        fields = self.fields_argument("settings", "count", "meta", "rank")
        # Taken before the board is read: a stream from here may repeat a change, but misses none.
        position = await self.position(board_id)
        ranking = await self.store.ranking(board_id, limit)
        players = ranking.players[: limit or ranking.board.top]
        count = await self.ranks.count(board_id) if "count" in fields else None
        if position is not None:
            self.set_header("Last-Event-ID", str(position))
        self.set_header("Cache-Control", "no-cache")
        self.add_header("Vary", "Accept")
        self.send_json(answers.board(ranking.board, players, fields, count))

    async def position(self, board_id: str) -> EventId | None:
        """The id of the board's newest event, if it has one."""
        try:
            return (await self.hub.open(board_id)).current.id
        except (LimitReached, StoreUnavailable):
            return None  # a board may be readable without being live; reading it will tell

    async def patch(self, board_id: str) -> None:
        """Change the board's name and settings."""
        patch = self.body(BoardPatch)
        board = await self.store.update_board(board_id, patch, self.once)
        if patch.order is not UNSET:
            self.ranks.forget(board_id)
        await self.send_whole(board, self.ranks.count(board_id))

    async def delete(self, board_id: str) -> None:
        """Delete the board and its players."""
        await self.store.delete_board(board_id)
        self.ranks.forget(board_id)
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
