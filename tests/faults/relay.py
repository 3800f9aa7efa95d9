"""A TCP relay between two parts that can refuse, cut, swallow, hold and delay, at run time."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import socket
from collections import deque
from collections.abc import Iterable


class Way(enum.Enum):
    """Where bytes go: `UP` from who connected to the target, `DOWN` back."""

    UP = "up"
    DOWN = "down"


BOTH = (Way.UP, Way.DOWN)

#: Bytes that may wait in a relay for one peer before it stops reading from the other.
_WAITING = 2**20

#: How long the relay tries to reach its target before it closes the connection.
_CONNECT = 5.0


class Faults:
    """What is wrong with a way between two parts at present."""

    def __init__(self) -> None:
        #: Nobody listens: attempts to connect are refused by the kernel.
        self.refuses = False
        #: Connections are accepted and closed at once, as a balancer without a backend does.
        self.closes = False
        #: Bytes of these ways vanish, and so do new connections; nobody is told.
        self.swallows: frozenset[Way] = frozenset()
        #: Bytes of these ways wait until this is over, as packets do that are sent again.
        self.holds: frozenset[Way] = frozenset()
        #: Seconds that bytes of each way are late.
        self.delays: dict[Way, float] = {}


class Relay:
    """Listens on `port` of this machine, and connects each client to `target` (host and port).

    Every method that breaks something takes effect at once, also for the connections there are.
    Connections of which bytes were swallowed stay dead: they go on swallowing when `mend` has made
    the way whole again, until one of the peers gives them up.

    Args:
        target: where to connect to; may be changed at any time, for new connections.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.faults = Faults()
        self.port = 0
        self._listener: asyncio.Server | None = None
        self._placeholder: socket.socket | None = None
        self._connections: set[_Connection] = set()

    async def start(self) -> Relay:
        await self._listen()
        return self

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            lambda: _Connection(self).client, "127.0.0.1", self.port, reuse_address=True
        )
        self.port = self._listener.sockets[0].getsockname()[1]

    # What can be broken

    def refuse(self) -> None:
        """Refuse new connections and cut those there are."""
        self.faults.refuses = True
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            # Bound, and not listening: the port stays ours, and the kernel refuses.
            self._placeholder = socket.socket()
            self._placeholder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._placeholder.bind(("127.0.0.1", self.port))
        self.cut()

    def close_at_once(self) -> None:
        """Accept connections and close them; cut those there are."""
        self.faults.closes = True
        self.cut()

    def cut(self) -> None:
        """Cut every connection; new ones are taken."""
        for connection in list(self._connections):
            connection.abort()

    def swallow(self, ways: Iterable[Way] = BOTH) -> None:
        """Let what goes these ways vanish."""
        self.faults.swallows = frozenset(ways)

    def hold(self, ways: Iterable[Way] = BOTH) -> None:
        """Keep what goes these ways until `mend`."""
        self.faults.holds = frozenset(ways)

    def delay(self, seconds: float, ways: Iterable[Way] = BOTH) -> None:
        """Let what goes these ways be `seconds` late; the order stays."""
        self.faults.delays = dict.fromkeys(ways, seconds)

    async def mend(self) -> None:
        """Make everything whole again."""
        refused = self.faults.refuses
        self.faults = Faults()
        if refused:
            if self._placeholder is not None:
                self._placeholder.close()
                self._placeholder = None
            await self._listen()
        for connection in list(self._connections):
            connection.flush()

    async def close(self) -> None:
        if self._listener is not None:
            self._listener.close()
        if self._placeholder is not None:
            self._placeholder.close()
        self.cut()
        await asyncio.sleep(0)

    # What connections report

    def joined(self, connection: _Connection) -> bool:
        """Whether a new connection may be; it is remembered."""
        if self.faults.closes:
            return False
        self._connections.add(connection)
        return True

    def left(self, connection: _Connection) -> None:
        self._connections.discard(connection)


class _Connection:
    """A client's connection and the one to the target that belongs to it."""

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        #: Whether bytes of it were swallowed: it is dead for good, and nobody knows.
        self.lost: set[Way] = set()
        self.client = _Side(self, Way.UP)
        self.server = _Side(self, Way.DOWN)
        self._connecting: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """The client is there."""
        if self.relay.joined(self):
            self._connecting = asyncio.get_running_loop().create_task(self._connect())
        else:
            self.abort()

    async def _connect(self) -> None:
        if self.relay.faults.swallows:
            self.lost |= self.relay.faults.swallows
            return
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_CONNECT):
                await loop.create_connection(lambda: self.server, *self.relay.target)
        except (OSError, TimeoutError):
            self.abort()
        else:
            self.flush()

    def flush(self) -> None:
        self.client.forward()
        self.server.forward()

    def other(self, side: _Side) -> _Side:
        return self.server if side is self.client else self.client

    def ended(self, side: _Side) -> None:
        """One side is gone. The other hears of it unless such news is swallowed, too."""
        if side.way in self.lost or side.way in self.relay.faults.swallows:
            self.lost.add(side.way)
            if self.other(side).transport is None:
                self.relay.left(self)
        else:
            side.finish()

    def abort(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
        for side in (self.client, self.server):
            side.abort()
        self.relay.left(self)


class _Side(asyncio.Protocol):
    """One of the two connections; `way` is where the bytes that come from it go."""

    def __init__(self, connection: _Connection, way: Way) -> None:
        self.connection = connection
        self.way = way
        self.transport: asyncio.Transport | None = None
        #: What has come and is not sent on yet, with the time when it is due; ``b""`` is the end.
        self.waiting: deque[tuple[float, bytes]] = deque()
        self.waits = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        sock = transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self is self.connection.client:
            self.connection.begin()

    def data_received(self, data: bytes) -> None:
        faults = self.connection.relay.faults
        if self.way in faults.swallows or self.way in self.connection.lost:
            self.connection.lost.add(self.way)
            return
        self._enqueue(data, faults.delays.get(self.way, 0))

    def finish(self) -> None:
        """Nothing more comes; the other side is closed once it has had everything."""
        self._enqueue(b"", self.connection.relay.faults.delays.get(self.way, 0))

    def _enqueue(self, data: bytes, delay: float) -> None:
        self.waiting.append((asyncio.get_running_loop().time() + delay, data))
        self.waits += len(data)
        self.forward()
        if self.waits > _WAITING and self.transport is not None:
            self.transport.pause_reading()

    def forward(self) -> None:
        """Send on what is due."""
        target = self.connection.other(self).transport
        if target is None or self.way in self.connection.relay.faults.holds:
            return
        loop = asyncio.get_running_loop()
        while self.waiting:
            due, data = self.waiting[0]
            if due > loop.time():
                if self._timer is None:
                    self._timer = loop.call_at(due, self._due)
                break
            if self.way in self.connection.lost or (
                self.way in self.connection.relay.faults.swallows
            ):
                self.connection.lost.add(self.way)
                self.waiting.clear()
                self.waits = 0
                break
            self.waiting.popleft()
            self.waits -= len(data)
            if data:
                target.write(data)
            else:
                target.close()
        if self.waits <= _WAITING and self.transport is not None:
            self.transport.resume_reading()

    def pause_writing(self) -> None:
        """This peer reads too slowly; read no more from the other one."""
        other = self.connection.other(self).transport
        if other is not None:
            other.pause_reading()

    def resume_writing(self) -> None:
        other = self.connection.other(self).transport
        if other is not None:
            other.resume_reading()

    def _due(self) -> None:
        self._timer = None
        self.forward()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.transport is None:
            return
        self.transport = None
        self.connection.ended(self)
        if self.connection.other(self).transport is None:
            self.connection.relay.left(self.connection)

    def abort(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.waiting.clear()
        transport, self.transport = self.transport, None
        if transport is not None:
            transport.abort()
