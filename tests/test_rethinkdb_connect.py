"""What the RethinkDB store makes of a listener that is no RethinkDB, or only for a while."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tornado_board.settings import Settings
from tornado_board.store import StoreUnavailable, open_store
from tornado_board.store.rethinkdb.address import Address

from .conftest import Opened
from .reql import ReQLServer
from .rethinkdb_admin import eventually, impatient, opened_store, unavailable

pytestmark = pytest.mark.usefixtures("io_loop")


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    return impatient(settings, monkeypatch, timeout=1.0, wait=20.0)


class Closing:
    """Accepts connections and closes them at once, as HAProxy does whose server is down: from a
    thread of its own, so that a client finds the connection made and closed in one go."""

    def __init__(self, port: int = 0) -> None:
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port: int = self._socket.getsockname()[1]
        self.accepted = 0
        self._thread = threading.Thread(target=self._accept)

    def __enter__(self) -> Closing:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._socket.accept()[0].close()
                self.accepted += 1

    async def accepts(self, number: int) -> None:
        """Wait until `number` more connections were closed."""
        wanted = self.accepted + number
        while self.accepted < wanted:
            await asyncio.sleep(0.01)


class Relay:
    """Passes connections on to a server, as a TCP balancer does.

    What the server sends goes through `treat`, which is given the bytes so far and the new ones and
    says what the client gets; then, if `limit` bytes were sent, nothing follows, and the connection
    is closed unless it is to `hang`.
    """

    def __init__(self, port: int) -> None:
        self.upstream = port
        self.port = 0
        self.accepted = 0
        self.limit: int | None = None
        self.hang = False
        self.treat: Callable[[int, bytes], bytes] = lambda offset, data: data
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Relay]:
        """Listen, on the same port as before if it did."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.cut()
            if self._tasks:
                await asyncio.wait(self._tasks)

    def cut(self) -> None:
        """Cut all connections."""
        for writer in self._writers:
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()

    def url(self) -> str:
        return f"rethinkdb://127.0.0.1:{self.port}/test"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task: Any = asyncio.current_task()
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.accepted += 1
        self._writers.add(writer)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await self._relay(reader, writer)
        self._writers.discard(writer)
        writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = self.limit
        if left != 0:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
            self._writers.add(up_writer)
            forward = asyncio.ensure_future(_copy(reader, up_writer))
            try:
                offset = 0
                while left != 0 and (data := await up_reader.read(65536)):
                    data = self.treat(offset, data)[:left]
                    offset += len(data)
                    left = None if left is None else left - len(data)
                    writer.write(data)
                    await writer.drain()
            finally:
                forward.cancel()
                self._writers.discard(up_writer)
                up_writer.transport.abort()
        if self.hang:
            await asyncio.Event().wait()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


async def handshake_of(relay: Relay) -> int:
    """How many bytes the server sends until a client is connected."""
    seen = 0

    def count(offset: int, data: bytes) -> bytes:
        nonlocal seen
        seen = offset + len(data)
        return data

    relay.treat = count
    driver = await Address.parse(relay.url()).connect(5)
    await driver.close(noreply_wait=False)
    relay.treat = lambda offset, data: data
    return seen


@pytest.mark.gen_test
async def test_a_handshake_that_is_cut_at_any_byte_is_told(reql: ReQLServer) -> None:
    async with Relay(reql.port).listening() as relay:
        address, length = Address.parse(relay.url()), await handshake_of(relay)
        for relay.limit in range(length):
            with pytest.raises(StoreUnavailable, match="can't be reached") as caught:
                await address.connect(5)
            assert "\n" not in str(caught.value)


@pytest.mark.gen_test
async def test_a_handshake_that_stops_is_told_within_the_time_limit(reql: ReQLServer) -> None:
    async with Relay(reql.port).listening() as relay:
        address, length = Address.parse(relay.url()), await handshake_of(relay)
        relay.hang = True
        for relay.limit in (0, 1, length // 2, length - 1):
            with pytest.raises(StoreUnavailable, match="timed out"):
                await asyncio.wait_for(address.connect(0.1), 30)


@pytest.mark.gen_test
async def test_a_handshake_with_any_byte_wrong_does_no_harm(reql: ReQLServer) -> None:
    async with Relay(reql.port).listening() as relay:
        address, length = Address.parse(relay.url()), await handshake_of(relay)
        failed = 0
        for place in range(length):

            def spoil(offset: int, data: bytes, place: int = place) -> bytes:
                at = place - offset
                return data[:at] + b"]" + data[at + 1 :] if 0 <= at < len(data) else data

            relay.treat = spoil
            try:
                driver = await address.connect(0.2 if place == length - 1 else 2)
            except StoreUnavailable as error:
                failed += "\n" not in str(error)
            else:
                await driver.close(noreply_wait=False)
        assert failed > length / 2


@pytest.mark.parametrize(
    "garbage",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n\0", b"[]\0", b"null\0" * 9, b"\xff\xfe\0", b"{}\0"],
)
@pytest.mark.gen_test
async def test_garbage_is_told(reql: ReQLServer, garbage: bytes) -> None:
    async with Relay(reql.port).listening() as relay:
        relay.treat = lambda offset, data: garbage + os.urandom(100)
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                await Address.parse(relay.url()).connect(2)


@pytest.mark.gen_test
async def test_a_listener_that_accepts_and_closes_is_told() -> None:
    """The driver fails with AttributeError then, most of the time."""
    with Closing() as closing:
        for _ in range(50):
            with pytest.raises(StoreUnavailable, match="can't be reached"):
                await Address("127.0.0.1", closing.port, "test").connect(5)


@pytest.mark.gen_test
async def test_a_balancer_whose_server_was_away_is_found_again(
    opened: Opened, settings: Settings, reql: ReQLServer
) -> None:
    relay = Relay(reql.port)
    async with relay.listening():
        store = await opened.store(relay.url(), settings)
    with Closing(relay.port) as closing:
        await unavailable(store)
        await closing.accepts(20)
        with pytest.raises(StoreUnavailable, match=str(relay.port)):
            await store.changes()
    async with relay.listening():
        await eventually(store.ping)
        feed = await store.changes()
        await store.add_score("demo", "venus", 1)
        assert await feed.next()


@pytest.mark.gen_test
async def test_a_balancer_that_was_silent_is_found_again(
    opened: Opened, settings: Settings, reql: ReQLServer
) -> None:
    settings = dataclasses.replace(settings, database_timeout=0.3)
    async with Relay(reql.port).listening() as relay:
        store = await opened.store(relay.url(), settings)
        relay.limit, relay.hang = 0, True
        relay.cut()
        await unavailable(store)
        before = relay.accepted
        while relay.accepted < before + 3:
            await asyncio.sleep(0.01)
        relay.limit, relay.hang = None, False
        await eventually(store.ping)


@pytest.mark.gen_test
async def test_nothing_that_the_driver_raises_ends_the_attempts(
    opened: Opened, settings: Settings, reql: ReQLServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await opened.store(reql.url(), settings)
    connect, errors = Address.connect, [KeyError("x"), ValueError("y"), RecursionError(), OSError()]

    async def failing(self: Address, seconds: float) -> Any:
        if errors:
            raise errors.pop()
        return await connect(self, seconds)

    monkeypatch.setattr(Address, "connect", failing)
    reql.drop_connections()
    await unavailable(store)
    await eventually(store.ping)
    assert not errors


@pytest.mark.gen_test
async def test_the_start_waits_for_a_server_behind_a_balancer(
    opened: Opened, settings: Settings, reql: ReQLServer
) -> None:
    relay = Relay(reql.port)
    with Closing() as closing:
        relay.port = closing.port
        opening = asyncio.ensure_future(opened.store(relay.url(), settings))
        await closing.accepts(20)
        assert not opening.done()
        hurried = dataclasses.replace(settings, database_wait=0.1)
        with pytest.raises(StoreUnavailable, match="can't be reached"):
            await open_store(relay.url(), hurried)
    async with relay.listening():
        await (await opening).ping()


@pytest.mark.gen_test
async def test_a_connection_that_breaks_while_it_is_closed_stays_closed(
    settings: Settings, reql: ReQLServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tornado_board.store.rethinkdb.connection.HEARTBEAT", 60.0)
    for turns in range(4):
        store = await opened_store(Opened(), reql.url(), settings)
        await asyncio.sleep(0.02)
        store._connection._lost.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        async with asyncio.timeout(30):
            await store._connection.close()
        await store.close()
