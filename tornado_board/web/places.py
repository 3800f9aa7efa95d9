"""``/boards/{board}/players/{player}/events/``: a player's place, as it changes."""

from __future__ import annotations

import asyncio
import time

from tornado_board.realtime.watched import Watched
from tornado_board.realtime.wires import poll
from tornado_board.realtime.wires.gzip_sse import GzipStream
from tornado_board.realtime.wires.sse import CHUNKED
from tornado_board.web import streams
from tornado_board.web.handler import Handler
from tornado_board.web.problems import Problem
from tornado_board.web.websocket import is_upgrade

#: The longest ``since`` that is looked at.
_LONGEST_TAG = 64


class PlaceEventsHandler(Handler):
    async def get(self, board_id: str, player_id: str) -> None:
        """Long-poll, or the event stream."""
        if not (is_upgrade(self) or self.wants_event_stream):
            with self.holding(board_id):
                await self._serve_poll(board_id, player_id)
        elif self.request.method == "HEAD":
            await self.store.get_player(board_id, player_id)
            await streams.answer_stream_head(self, streams.plain_wire(self))
        else:
            with self.holding(board_id):
                await self._serve_stream(board_id, player_id)

    async def _serve_stream(self, board_id: str, player_id: str) -> None:
        wire = streams.stream_wire(self)
        if isinstance(wire, GzipStream):
            # Each place is another one: there would be nothing to share, and little to gain.
            wire = CHUNKED
        watched = await self.services.places.open(board_id, player_id)
        # From here to the end nothing is awaited.
        subscriber = streams.hand_over(self, wire)
        if subscriber is not None:
            watched.add(subscriber, wire)
            head = streams.stream_head(self, wire) + wire.opening()
            subscriber.begin(head, wire.message([watched.current]))

    async def _serve_poll(self, board_id: str, player_id: str) -> None:
        since = self.get_query_argument("since", "", strip=False)
        if len(since) > _LONGEST_TAG or not since.isascii():
            raise Problem(400, "since: send the last_event_id of an answer.")
        wait = streams.wait_of(self)
        places = self.services.places
        self.set_header("Cache-Control", "no-store")
        self.add_header("Vary", "Accept")
        deadline = time.monotonic() + wait
        watched = await places.open(board_id, player_id)
        while since and watched.tag == since and not (places.stopping or self.client_gone):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            await _wait(watched, left, self.gone)
            if watched.player is None:
                # It is gone; or it is there again, as another one.
                watched = await places.open(board_id, player_id)
        if watched.tag == since:
            streams.answer_poll(self, poll.same_state(watched.tag))
        else:
            streams.answer_poll(self, poll.state(watched.current, watched.tag))


async def _wait(watched: Watched, seconds: float, gone: asyncio.Future[None]) -> None:
    """Return when there is something new, after `seconds`, or once `gone` is done."""
    future = asyncio.get_running_loop().create_future()
    watched.waiters.add(future)
    try:
        await asyncio.wait((future, gone), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        watched.waiters.discard(future)
