"""The answer of an upstream, as whoever has asked reads it."""

from __future__ import annotations

from collections.abc import Callable

from tornado_board.upstream import UpstreamBroke
from tornado_board.upstream.connection import Connection, Head

#: The largest answer that is read whole, in bytes.
LARGEST_ANSWER = 16 * 2**20


class Reply:
    """The answer to a request. Whoever got it has to `close` it."""

    def __init__(self, connection: Connection, head: Head, on_closed: Callable[[], None]) -> None:
        """`on_closed` lets the connection go."""
        self._connection = connection
        self._on_closed = on_closed
        self._closed = False
        self.address = connection.address
        self.head = head

    @property
    def status(self) -> int:
        return self.head.status

    async def read(self, seconds: float) -> bytes:
        """See `Connection.read`."""
        return await self._connection.read(seconds)

    async def send(self, data: bytes, seconds: float) -> None:
        """See `Connection.send`."""
        await self._connection.send(data, seconds)

    async def whole(self, seconds: float, most: int = LARGEST_ANSWER) -> bytes:
        """The body, if it is not larger than `most` bytes; otherwise raises `UpstreamBroke`. Each
        piece has to come within `seconds`."""
        pieces, size = [], 0
        while piece := await self.read(seconds):
            pieces.append(piece)
            size += len(piece)
            if size > most:
                raise UpstreamBroke(f"{self.address} gave an answer of more than {most:,} bytes")
        return b"".join(pieces)

    def close(self) -> None:
        """Let the connection go. May be called twice."""
        if not self._closed:
            self._closed = True
            self._on_closed()

    def abort(self) -> None:
        """Have whoever reads it find that it broke off."""
        self._connection.close()
