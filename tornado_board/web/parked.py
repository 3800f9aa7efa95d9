"""A long-poll that waits, for as little as it can."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from tornado_board.realtime.audience import Audience
from tornado_board.realtime.wires import Message, poll
from tornado_board.realtime.wires.checksum import Joined
from tornado_board.web.exchange import Answer, Resource, Waiting, problem_answer
from tornado_board.web.polls import poll_answer
from tornado_board.web.problems import Problem

if TYPE_CHECKING:
    from tornado_board.web.fast_path import Exchange, FastPath

logger = logging.getLogger(__name__)


class ParkedPoll:
    """A client that has seen the topic's current event, and is to be answered with the next.

    It is a member of an audience, like a stream, until it gets its one message. All who wait for
    the same event get the same bytes.
    """

    __slots__ = (
        "_exchange",
        "_ids",
        "_path",
        "_resource",
        "_since",
        "_timer",
        "audience",
        "joined",
        "place",
    )

    def __init__(
        self,
        path: FastPath,
        exchange: Exchange,
        resource: Resource,
        ids: tuple[str, ...],
        waiting: Waiting,
    ) -> None:
        self.audience: Audience | None = None
        self.place = -1
        self.joined: Joined | None = None
        self._path = path
        self._exchange = exchange
        self._resource = resource
        self._ids = ids
        self._since = waiting.since
        loop = asyncio.get_running_loop()
        seconds = waiting.seconds
        if exchange.until is not None:
            seconds = min(seconds, max(exchange.until - time.time(), 0.0))
        self._timer = loop.call_later(seconds, self.finish, b"")
        waiting.topic.add(self, poll.WAITING)
        exchange.link.watch(self._on_gone)

    @property
    def closed(self) -> bool:
        return not self._exchange.link.is_open

    @property
    def send(self) -> Callable[[Message], int]:
        return self._send

    def _send(self, data: Message) -> int:
        if data:
            self._leave()
            try:
                refused = self._refused()
                if refused is None and data.startswith(poll.UNLOGGED):
                    # It takes more than this event to tell what the client has missed.
                    self._path.answer(self._exchange, self._resource, self._ids)
                else:
                    answer = refused or poll_answer(data)
                    self._path.conclude(self._exchange, self._ids, answer)
            except Exception:  # the others must not suffer for it
                logger.exception("a long-poll could not be answered")
                self.close()
        return len(data)

    def sent(self, data: Message, count: int) -> None:
        """It always takes all."""

    def refused(self, data: Message, error: OSError) -> None:
        """It never does."""

    def is_dead(self, patience: float) -> bool:
        return False  # there is nothing that it would have to acknowledge

    def finish(self, end: bytes) -> None:
        """Answer that there is nothing: the time is up, or no event will come."""
        self._leave()
        answer = self._refused() or poll_answer(poll.nothing(self._since))
        self._path.conclude(self._exchange, self._ids, answer)

    def close(self) -> None:
        """Close the connection."""
        self._leave()
        self._exchange.link.close()

    def _refused(self) -> Answer | None:
        """What the client is told if it may not listen any more: while it waited, its token may
        have expired."""
        try:
            self._exchange.check(self._ids[0])
        except Problem as problem:
            return problem_answer(problem)
        return None

    def _on_gone(self) -> None:
        self._exchange.client_gone = True
        self.finish(b"")

    def _leave(self) -> None:
        self._timer.cancel()
        self._exchange.link.watch(None)
        if self.audience is not None:
            self.audience.discard(self)
