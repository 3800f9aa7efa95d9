"""A stream of several boards from the upstream, kept open until it is stopped."""

from __future__ import annotations

import asyncio
import logging
import random
import zlib
from collections.abc import AsyncIterator, Sequence
from typing import Protocol
from urllib.parse import quote

from tornado_board.backoff import Backoff
from tornado_board.tasks import Tasks
from tornado_board.upstream import UpstreamBroke, UpstreamError, UpstreamRefused
from tornado_board.upstream.event_stream import BadStream, EventStreamReader, StreamEvent
from tornado_board.upstream.reply import Reply
from tornado_board.upstream.upstreams import Upstreams

logger = logging.getLogger(__name__)

#: Seconds that pass at the most before a stream that ended is opened again: a server that stops
#: ends all of them at once.
_SPREAD = 0.3

#: Bounds of the pauses, in seconds, where that fails.
_BACKOFF = (0.25, 10.0)

#: Bytes that one piece of a compressed stream may become at a time.
_PIECE = 2**20

#: A window of 32 KB, and gzip's own header (zlib's manual, ``inflateInit2``).
_GZIP = 16 + zlib.MAX_WBITS


async def events(reply: Reply, silence: float) -> AsyncIterator[Sequence[StreamEvent]]:
    """The events of a stream as they come, in gzip or not; there may be none in a piece.

    Ends where the upstream ends the stream. Raises `UpstreamError`, also where nothing at all comes
    for `silence` seconds: the upstream sends a comment where there is no event.
    """
    coding = reply.head.get("content-encoding", "identity").lower()
    kind = reply.head.get("content-type").partition(";")[0].strip().lower()
    if kind != "text/event-stream" or coding not in ("identity", "gzip"):
        raise UpstreamBroke(f"{reply.address} gave no event stream: {kind[:60]!r}, {coding[:60]!r}")
    inflater = zlib.decompressobj(_GZIP) if coding == "gzip" else None
    reader = EventStreamReader()
    try:
        while piece := await reply.read(silence):
            if inflater is None:
                yield reader.feed(piece)
                continue
            while piece:
                yield reader.feed(inflater.decompress(piece, _PIECE))
                piece = inflater.unconsumed_tail
    except (zlib.error, BadStream) as error:
        raise UpstreamBroke(f"{reply.address} gave no valid stream: {error}") from None


class Owner(Protocol):
    """Whom a stream works for: see `followed.FollowedBoards`."""

    def positions(self, boards: Sequence[str]) -> str:
        """Where this server is in these boards, as the id of an event; empty for nowhere."""

    def on_event(self, stream: BoardStream, event: StreamEvent) -> None:
        """The stream has an event."""

    def on_begun(self, stream: BoardStream) -> None:
        """The stream is open, for the first time or again; its events follow."""

    async def on_refused(self, stream: BoardStream, status: int) -> None:
        """The upstream refuses the stream with `status`: some of its boards are gone or not for
        everybody. Returns when they are no longer wanted."""


class BoardStream:
    """Follows `boards` from when it is made until `stop`."""

    def __init__(
        self,
        boards: Sequence[str],
        replaces: Sequence[BoardStream],
        upstreams: Upstreams,
        owner: Owner,
        tasks: Tasks,
        silence: float,
    ) -> None:
        self.boards = tuple(boards)
        #: The streams that are to be stopped when this one has begun.
        self.replaces = tuple(replaces)
        #: Whether it is open, so that everything that happens is heard.
        self.is_open = False
        #: The board of a ``reset`` whose event has not come yet, and why; empty for none.
        self.reset = ("", "")
        self._upstreams = upstreams
        self._owner = owner
        self._silence = silence
        self._task = tasks.start(self._run())

    def stop(self) -> None:
        """Follow the boards no longer. May be called twice."""
        self.is_open = False
        self._task.cancel()

    async def _run(self) -> None:
        backoff = Backoff(*_BACKOFF)
        while True:
            await self._upstreams.available()
            pause = random.uniform(0, _SPREAD)
            try:
                await self._follow(backoff)
            except UpstreamRefused as error:
                if error.status in (401, 403, 404):
                    await self._owner.on_refused(self, error.status)
                pause = max(backoff.next(), min(error.retry_after, 60.0))
                logger.info("a stream was refused: %s", error)
            except UpstreamError as error:
                pause = backoff.next()
                logger.info("a stream broke off: %s", error)
            finally:
                self.is_open = False
            await asyncio.sleep(pause)

    async def _follow(self, backoff: Backoff) -> None:
        query = "&".join(f"board={quote(board, safe='')}" for board in self.boards)
        self.reset = ("", "")
        fields = [("Accept", "text/event-stream"), ("Accept-Encoding", "gzip")]
        positions = self._owner.positions(self.boards)
        if positions:
            fields.append(("Last-Event-ID", positions))
        reply = await self._upstreams.open_stream(f"/events/?{query}", fields)
        try:
            if reply.status != 200:
                retry = reply.head.get("retry-after")
                raise UpstreamRefused(
                    f"{reply.address} answers {reply.status}",
                    reply.status,
                    float(retry) if retry.isdecimal() else 0.0,
                )
            async for some in events(reply, self._silence):
                if not self.is_open:
                    self.is_open = True
                    backoff.reset()
                    self._owner.on_begun(self)
                for event in some:
                    self._owner.on_event(self, event)
        finally:
            reply.close()
