"""``/events/``: several boards on one connection."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from typing import ClassVar

import msgspec

from tornado_board.auth.policy import Action, Actions
from tornado_board.models import is_id
from tornado_board.realtime import positions
from tornado_board.realtime.positions import MOST_BOARDS, NO_POSITION, Gone
from tornado_board.realtime.several import Start, join, open_boards
from tornado_board.realtime.topic import wait_for_any
from tornado_board.realtime.wires import poll
from tornado_board.replay import EVENT_ID_PATTERN, EventId
from tornado_board.store import NotFound
from tornado_board.web import streams
from tornado_board.web.attempt import Attempt
from tornado_board.web.boards import EVENTS_ANSWERS
from tornado_board.web.described import Identifiers, Operation, check
from tornado_board.web.handler import Handler
from tornado_board.web.handover import answer_head, hand_over, wants_events
from tornado_board.web.parameters import ID_RULE
from tornado_board.web.polls import WAIT, poll_answer
from tornado_board.web.problems import Problem

#: Seconds that a long-poll waits at least while boards have events without an id, or resets, so
#: that a client that asks again at once does not do so in circles.
_AGAIN = 1.0


#: A board's id, and the position in it.
_AT = rf"(?!\.{{1,2}}:)[A-Za-z0-9._~-]{{1,64}}:(gone|{EVENT_ID_PATTERN})"
_SINCE = f"^({_AT}(,{_AT}){{0,{MOST_BOARDS - 1}}})?$"
_BOARDS = Identifiers(
    name="board",
    text="The boards, once for each.",
    most=MOST_BOARDS,
    repeated=True,
    required=True,
)


class SeveralEventsHandler(Handler):
    """``/events/?board=a&board=b``"""

    actions = Actions(get=Action.READ)
    operations: ClassVar = {
        "GET": Operation(
            parameters=(_BOARDS, *streams.parameters(_SINCE), WAIT),
            answers=EVENTS_ANSWERS,
            problems=(404, 426),
        )
    }

    def attempt(self) -> Attempt:
        """Raises `Problem` 400 as well: see `board_ids`."""
        return msgspec.structs.replace(super().attempt(), several=tuple(self.board_ids))

    async def get(self) -> None:
        """Long-poll, or the event stream."""
        board_ids = self.board_ids
        if not wants_events(self):
            with self.holding(*board_ids):
                await self._serve_poll(board_ids)
        elif self.request.method == "HEAD":
            await self._serve_head(board_ids)
        else:
            with self.holding(*board_ids):
                await self._serve_stream(board_ids)

    @functools.cached_property
    def board_ids(self) -> list[str]:
        """The boards that are asked for, each once. Raises `Problem` 400."""
        named = self.get_query_arguments(_BOARDS.name, strip=False)
        if not 1 <= len(named) <= MOST_BOARDS:
            raise Problem(400, f"board: name 1 to {MOST_BOARDS} boards, ?board=a&board=b.")
        for board_id in named:
            if not is_id(board_id):
                raise Problem(400, f"board: {ID_RULE}.")
        return list(dict.fromkeys(named))

    async def _serve_head(self, board_ids: list[str]) -> None:
        for board_id in board_ids:
            try:
                await self.store.get_board(board_id)
            except NotFound:
                continue
            await answer_head(self, streams.wire_of(self))
            return
        raise NotFound("there is none of these boards")

    async def _serve_stream(self, board_ids: list[str]) -> None:
        check(self, WAIT)
        wire = streams.stream_wire(self)
        try:
            since: Mapping[str, EventId | Gone] = positions.parse(streams.last_event_id(self))
        except ValueError:
            # An EventSource can't be told of a mistake without being stopped for good: it is told
            # that nothing can be proved, of each board.
            since = dict.fromkeys(board_ids, NO_POSITION)
        start = await self._opened(board_ids, since)
        # From here to the end nothing is awaited.
        handed_over = hand_over(self, wire)
        if handed_over is None:
            return
        subscriber, head = handed_over
        join(self.hub, self.services.catch_ups, start, subscriber, head, wire)
        if self.until is not None:
            self.hub.expiries.add(subscriber, wire, self.until)

    async def _serve_poll(self, board_ids: list[str]) -> None:
        text = streams.last_event_id(self)
        wait = WAIT.of(self)
        try:
            since = positions.parse(text)
        except ValueError as error:
            raise Problem(400, f"since: {error}; send the last_event_id of an answer") from None
        deadline = time.monotonic() + wait
        start = await self._opened(board_ids, since)
        if since and start.resets and not self.hub.stopping:
            # Nothing can be proved of them at present; see `polls.long_poll`.
            await wait_for_any(start.topics.values(), min(wait, _AGAIN), self.gone)
            start = await self._opened(board_ids, since)
        while not (start.events(NO_POSITION) or self.hub.stopping or self.client_gone):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            await wait_for_any(start.topics.values(), left, self.gone)
            start = await self._opened(board_ids, since)
        answer = start.encoded(self.services.catch_ups, poll.answer, NO_POSITION)
        for reason in start.resets.values():
            self.hub.metrics.reset(reason)
        self.send(poll_answer(answer if start.events(NO_POSITION) else poll.nothing(text)))

    async def _opened(self, board_ids: list[str], since: Mapping[str, EventId | Gone]) -> Start:
        """The boards as they are now, if the client may (still) read every one."""
        start = await open_boards(self.hub, self.services.catch_ups, board_ids, since)
        for board_id in board_ids:
            self.check(board_id)
        return start
