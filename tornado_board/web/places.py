"""``/boards/{board}/players/{player}/events/``: a player's place, as it changes."""

from __future__ import annotations

import asyncio
import time
from typing import ClassVar

from tornado_board.auth.policy import Action, Actions
from tornado_board.realtime.watched import Watched
from tornado_board.realtime.wires import poll
from tornado_board.realtime.wires.gzip_sse import GzipStream
from tornado_board.realtime.wires.sse import CHUNKED
from tornado_board.web import streams
from tornado_board.web.boards import EVENTS_ANSWERS
from tornado_board.web.described import Operation, Text, check
from tornado_board.web.handler import Handler
from tornado_board.web.handover import answer_head, hand_over, wants_events
from tornado_board.web.polls import WAIT, poll_answer
from tornado_board.web.problems import Problem

#: The longest ``since`` that is looked at.
_LONGEST_TAG = 64

_SINCE = Text(
    name="since",
    text="The `last_event_id` of an answer.",
    pattern=f"^[\\x00-\\x7f]{{0,{_LONGEST_TAG}}}$",
)


class PlaceEventsHandler(Handler):
    """``/boards/{board}/players/{player}/events/``"""

    actions = Actions(get=Action.READ)
    operations: ClassVar = {
        "GET": Operation(
            parameters=(streams.STREAM, _SINCE, WAIT),
            answers=EVENTS_ANSWERS,
            problems=(426,),
        )
    }

    async def get(self, board_id: str, player_id: str) -> None:
        """Long-poll, or the event stream."""
        if not wants_events(self):
            with self.holding(board_id):
                await self._serve_poll(board_id, player_id)
        elif self.request.method == "HEAD":
            with self.holding(board_id):
                await self._opened(board_id, player_id)
            await answer_head(self, streams.plain_wire(self))
        else:
            with self.holding(board_id):
                await self._serve_stream(board_id, player_id)

    async def _serve_stream(self, board_id: str, player_id: str) -> None:
        self._since()
        check(self, WAIT)
        wire = streams.stream_wire(self)
        if isinstance(wire, GzipStream):
            # Each place is another one: there would be nothing to share, and little to gain.
            wire = CHUNKED
        watched = await self._opened(board_id, player_id)
        # From here to the end nothing is awaited.
        handed_over = hand_over(self, wire)
        if handed_over is None:
            return
        subscriber, head = handed_over
        watched.add(subscriber, wire)
        subscriber.begin(head + wire.opening(), wire.message([watched.current]))
        if self.until is not None:
            self.hub.expiries.add(subscriber, wire, self.until)

    async def _serve_poll(self, board_id: str, player_id: str) -> None:
        since = self._since()
        wait = WAIT.of(self)
        places = self.services.places
        deadline = time.monotonic() + wait
        watched = await self._opened(board_id, player_id)
        while since and watched.tag == since and not (places.stopping or self.client_gone):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            await _wait(watched, left, self.gone)
            self._check(board_id)  # its token may have expired, or the board become private
            if watched.player is None:
                # It is gone; or it is there again, as another one.
                watched = await self._opened(board_id, player_id)
        if watched.tag == since:
            self.send(poll_answer(poll.nothing(watched.tag)))
        else:
            self.send(poll_answer(poll.state(watched.current, watched.tag)))

    def _since(self) -> str:
        """What the client was shown last. Raises `Problem` 400."""
        since = self.argument(_SINCE.name) or ""
        if len(since) > _LONGEST_TAG or not since.isascii():
            raise Problem(400, "since: send the last_event_id of an answer.")
        return since

    async def _opened(self, board_id: str, player_id: str) -> Watched:
        watched = await self.services.places.open(board_id, player_id)
        self._check(board_id)
        return watched

    def _check(self, board_id: str) -> None:
        self.check(board_id, private=self.services.places.is_private(board_id))


async def _wait(watched: Watched, seconds: float, gone: asyncio.Future[None]) -> None:
    """Return when there is something new, after `seconds`, or once `gone` is done."""
    future = asyncio.get_running_loop().create_future()
    watched.waiters.add(future)
    watched.waiting.open += 1
    try:
        await asyncio.wait((future, gone), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        watched.waiting.open -= 1
        watched.waiters.discard(future)
