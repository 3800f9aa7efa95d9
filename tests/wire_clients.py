"""Clients whose sockets take as little as a test says, and what they read."""

from __future__ import annotations

import json
import ssl
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple, Never, cast

from tornado_board.metrics import Behind
from tornado_board.realtime.subscriber import Subscriber
from tornado_board.realtime.topic import Topic
from tornado_board.realtime.wires import Message, Sent
from tornado_board.web import streams
from tornado_board.web.exchange import Opened, SSEWire

# What a client makes of the bytes


def dechunked(data: bytes) -> tuple[bytes, bool]:
    """The body that `data` is chunks of, and whether it has its last one (RFC 9112, 7.1)."""
    body = b""
    while data:
        size, end, data = data.partition(b"\r\n")
        assert end
        length = int(size, 16)
        assert size == b"%x" % length
        assert len(data) >= length + 2, "a chunk is cut short"
        assert data[length : length + 2] == b"\r\n"
        body, data = body + data[:length], data[length + 2 :]
        if length == 0:
            assert data == b""
            return body, True
    return body, False


class Seen(NamedTuple):
    """An event as a client sees it, and the last id that it knows then."""

    type: str
    data: Any
    last_event_id: str


def events(body: bytes) -> list[Seen]:
    """The events of a stream, by the rules of the HTML standard, section 9.2.6."""
    seen, fields, last = [], {"data": ""}, ""
    text = body.decode()
    # However a client splits lines, there are only those that end in LF.
    assert text.splitlines() == text.removesuffix("\n").split("\n") or not text
    for line in text.split("\n")[:-1]:
        name, _, value = line.partition(":")
        if not line:
            last = fields.get("id", last)
            if fields["data"]:
                seen.append(Seen(fields["event"], json.loads(fields["data"]), last))
            fields = {"data": ""}
        elif name:
            fields[name] = value.removeprefix(" ")
    return seen


def shown(sent: Sequence[Sent]) -> list[Seen]:
    """How a client has to see `sent`."""
    seen, last = [], ""
    for event in sent:
        if event.type.logged:
            last = str(event.id or "")
        seen.append(Seen(event.type.name, json.loads(event.data), last))
    return seen


# A client that takes as many bytes as it likes


class NarrowSocket:
    """A socket that takes `room` bytes, and keeps them."""

    def __init__(self) -> None:
        self.room = 0
        self.taken = b""

    def sendmsg(self, buffers: Sequence[bytes]) -> int:
        return self.send(b"".join(buffers))

    def setsockopt(self, *_: object) -> None:
        raise OSError("no TCP")

    def send(self, data: bytes | memoryview) -> int:
        if not self.room:
            raise BlockingIOError
        taken = bytes(data[: self.room])
        self.taken += taken
        self.room -= len(taken)
        return len(taken)

    def setblocking(self, flag: bool) -> None: ...

    def close(self) -> None:
        self.fileno = lambda: -1  # type: ignore[method-assign]

    def fileno(self) -> int:
        return 0


class NoPoller:
    """Tells nobody; the test does."""

    behind = Behind()

    def add(self, *_: object) -> None: ...

    want_write = remove = add


class PlainClient:
    """A `Subscriber` and its client."""

    kind: Any = NarrowSocket

    def __init__(self) -> None:
        self._socket = self.kind()
        poller = cast(Any, NoPoller())
        self.subscriber = Subscriber(self._socket, poller, lambda: None)

    async def take(self, size: int) -> None:
        """Take up to `size` bytes more than so far."""
        self._socket.room += size
        self.subscriber.on_writable()

    @property
    def taken(self) -> bytes:
        taken: bytes = self._socket.taken
        return taken

    @property
    def behind(self) -> bool:
        return self.subscriber._unfinished is not None


class NarrowTLS(NarrowSocket, ssl.SSLSocket):
    """A TLS socket that takes a record at a time, and has to be given again what it did not take.

    See SSL_write in OpenSSL's manual: with partial writes enabled it tells how much was taken; what
    it refused has to come again as it was.
    """

    RECORD = 40
    _owed: bytes | None = None

    def send(self, data: Any, flags: int = 0) -> int:
        record = bytes(data[: self.RECORD])
        assert self._owed in (None, record), "another message than the one that was refused"
        if self.room < len(record):
            self._owed = record
            raise ssl.SSLWantWriteError
        self._owed = None
        return super().send(record)

    def sendmsg(self, *_: object) -> Never:  # type: ignore[override]
        raise NotImplementedError("sendmsg not allowed on instances of SSLSocket")


class SecureClient(PlainClient):
    """The same over TLS."""

    kind: Any = NarrowTLS

    async def take(self, size: int) -> None:
        await super().take(size)
        before = -1
        while self._socket.room != before:  # as the poller would, while there is room
            before = self._socket.room
            self.subscriber.on_writable()


def read(data: bytes, wire: SSEWire) -> tuple[bytes, bool]:
    """What a client reads in a stream, and whether that has an end."""
    body, finished = dechunked(data) if wire.chunked else (data, False)
    if wire.encoding == "gzip":
        inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
        body = inflate.decompress(body)
        assert inflate.eof == finished
        assert inflate.unused_data == b""
    return body, finished


def join(topic: Topic, client: PlainClient | SecureClient, wire: SSEWire, first: Message) -> None:
    """As a handler does it."""
    hub = cast(Any, None)  # which is needed for streams that end at a time
    streams.begin(hub, Opened(topic, wire, first), client.subscriber, b"")


async def keep_alive(topic: Topic) -> None:
    topic._sent_at, topic._checked_at = -1000.0, float("inf")
    await topic.keep_alive(1)
