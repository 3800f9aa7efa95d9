"""Boards, their events and places, as a server that follows another one has them.

What is for everybody is answered from here. What is not, the upstream answers each client alone,
since only it can tell who may read it.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from tornado_board.store import NotFound
from tornado_board.upstream import NotPublic, UpstreamError, hops
from tornado_board.web import boards
from tornado_board.web.edge.passing_on import PassOnHandler
from tornado_board.web.edge.services import edge_services
from tornado_board.web.exchange import Answer, Asked, Opened, Resource, Waiting
from tornado_board.web.handover import wants_events
from tornado_board.web.parameters import wants_stream
from tornado_board.web.places import PlaceEventsHandler
from tornado_board.web.several import SeveralEventsHandler


class _NotAtOnce(Exception):
    """The request is left to its handler."""


def _check_live(asked: Asked, board_id: str) -> None:
    services = edge_services(asked)
    services.check_loop(asked.headers.get(hops.FIELD, ""))
    if services.hub.live(board_id) is None:
        raise _NotAtOnce


def board_at_once(asked: Asked, board_id: str) -> Answer | Opened | None:
    """The board or its stream, where it is followed already. Raises where it takes a handler."""
    _check_live(asked, board_id)
    answer = boards.board_at_once(asked, board_id)
    if answer is None and not wants_stream(asked):
        raise _NotAtOnce
    return answer


def events_at_once(asked: Asked, board_id: str) -> Answer | Opened | Waiting | None:
    """The board's events, where it is followed already. Raises where it takes a handler."""
    _check_live(asked, board_id)
    return boards.events_at_once(asked, board_id)


class EdgeBoardHandler(PassOnHandler):
    """``/boards/{board}/``"""

    actions = boards.BoardHandler.actions
    allowed = boards.BoardHandler.allowed
    resources: ClassVar = {"GET": Resource(boards.board, board_at_once)}

    async def get(self, board_id: str) -> None:  # type: ignore[override]
        """The board and its best players, or its event stream."""
        if wants_events(self):
            await self.serve_events(board_id)
        elif self.presents or self.request.query:
            await self.pass_on()
        else:
            try:
                await self.edge.followed.follow(board_id, self.loop)
                await self.serve("GET", board_id)
            except (NotPublic, UpstreamError):
                await self.pass_on()  # which tells the client what is wrong

    async def serve_events(self, board_id: str) -> None:
        """The events, from here or, where they are not for everybody, from the upstream."""
        if self.request.method == "HEAD":
            await self.pass_on()
            return
        try:
            await self.edge.followed.follow(board_id, self.loop)
            await self.serve("GET", board_id)
        except NotPublic:
            await self.pass_on_alone()


class EdgeEventsHandler(EdgeBoardHandler):
    """``/boards/{board}/events/``"""

    actions = boards.EventsHandler.actions
    operations = boards.EventsHandler.operations
    allowed = boards.EventsHandler.allowed
    resources: ClassVar = {"GET": Resource(boards.events, events_at_once)}

    async def get(self, board_id: str) -> None:  # type: ignore[override]
        """Long-poll, or the event stream."""
        wants_events(self)
        await self.serve_events(board_id)


class EdgeSeveralEventsHandler(PassOnHandler, SeveralEventsHandler):
    """``/events/?board=a&board=b``"""

    actions = SeveralEventsHandler.actions
    allowed = SeveralEventsHandler.allowed

    async def get(self) -> None:  # type: ignore[override]
        """Long-poll, or the event stream."""
        if wants_events(self) and self.request.method == "HEAD":
            await self.pass_on()
            return
        follow = self.edge.followed.follow
        opened = await asyncio.gather(
            *(follow(board_id, self.loop) for board_id in self.board_ids), return_exceptions=True
        )
        try:
            for error in opened:
                if isinstance(error, BaseException) and not isinstance(error, NotFound):
                    raise error
            await SeveralEventsHandler.get(self)
        except NotPublic:
            await self.pass_on_alone()


class EdgePlaceEventsHandler(PassOnHandler, PlaceEventsHandler):
    """``/boards/{board}/players/{player}/events/``"""

    actions = PlaceEventsHandler.actions
    allowed = PlaceEventsHandler.allowed

    async def get(self, board_id: str, player_id: str) -> None:  # type: ignore[override]
        """Long-poll, or the event stream."""
        if wants_events(self) and self.request.method == "HEAD":
            await self.pass_on()
            return
        try:
            await PlaceEventsHandler.get(self, board_id, player_id)
        except NotPublic:
            await self.pass_on_alone()
