"""What this project takes for granted of Tornado's ``IOStream``: one test for each assumption."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
import tornado.http1connection
import tornado.httpserver
import tornado.httputil
import tornado.ioloop
import tornado.iostream
import tornado.netutil
import tornado.tcpserver
import tornado.web

from tornado_board.web.tornado_internals import Stream

from .waiting import PATIENCE, until

IOStream = tornado.iostream.IOStream


class Pair:
    """A stream of a class, and the socket at its other end."""

    def __init__(self, kind: type[IOStream]) -> None:
        ours, self.far = socket.socketpair()
        self.stream = kind(ours)
        self.far.settimeout(PATIENCE)

    def close(self) -> None:
        self.stream.close()
        self.far.close()


# IOStream


@pytest.mark.gen_test
async def test_a_stream_closes_when_it_reads_an_end_and_not_when_it_reads_nothing() -> None:
    """By the values of `read_from_fd`, which is what `Stream` overrides."""

    class Told(IOStream):
        answer: int | None = None

        def read_from_fd(self, buf: Any) -> int | None:
            return super().read_from_fd(buf) or self.answer

    for answer in (None, 0):
        pair = Pair(Told)
        pair.stream.answer = answer  # type: ignore[attr-defined]
        pair.far.shutdown(socket.SHUT_WR)
        reading = asyncio.ensure_future(pair.stream.read_bytes(1))
        await asyncio.sleep(0.02)
        assert pair.stream.closed() is (answer == 0)
        pair.close()
        with pytest.raises(tornado.iostream.StreamClosedError):
            await reading


@pytest.mark.gen_test
async def test_a_stream_tells_whether_what_it_holds_is_enough() -> None:
    pair = Pair(IOStream)
    reading = pair.stream.read_until(b"\n", max_bytes=10)
    pair.far.sendall(b"ab")
    await until(lambda: pair.stream._read_buffer_size == 2)
    assert pair.stream.reading()
    assert pair.stream._find_read_pos() is None
    pair.stream._read_buffer += b"\nc"
    pair.stream._read_buffer_size += 2
    assert pair.stream._find_read_pos() == 3
    pair.far.sendall(b"d")
    assert await reading == b"ab\n"
    assert not pair.stream.reading()
    assert pair.stream._read_buffer_size == 2
    pair.close()


@pytest.mark.gen_test
async def test_what_a_stream_waits_for_can_be_changed() -> None:
    """`_handle_events` is what the loop calls, and it goes by `_state`."""
    events = []

    class Told(IOStream):
        def _handle_events(self, fd: Any, event: int) -> None:
            events.append(event)
            super()._handle_events(fd, event)
            assert self._state is not None
            self._state &= ~tornado.ioloop.IOLoop.READ
            self.io_loop.update_handler(self.fileno(), self._state)

    pair = Pair(Told)
    assert pair.stream._state is None
    pair.stream._add_io_state(tornado.ioloop.IOLoop.READ)
    pair.far.sendall(b"a")
    await until(lambda: events)
    pair.far.sendall(b"b")
    await asyncio.sleep(0.05)
    assert events == [tornado.ioloop.IOLoop.READ]
    assert pair.stream._read_buffer_size == 1
    pair.stream._add_io_state(tornado.ioloop.IOLoop.READ)
    await until(lambda: len(events) == 2)
    assert pair.stream._read_buffer_size == 2
    pair.close()


@pytest.mark.gen_test
async def test_a_line_that_is_too_long_closes_a_stream_with_an_error_that_tells() -> None:
    closed = []

    class Told(IOStream):
        def close(self, exc_info: Any = False) -> None:
            closed.append(exc_info)
            super().close(exc_info)

    for read in ("read_until", "read_until_regex"):
        pair = Pair(Told)
        pair.far.sendall(b"x" * 100)
        with pytest.raises(tornado.iostream.StreamClosedError):
            await getattr(pair.stream, read)(b"\n", max_bytes=10)
        assert isinstance(closed.pop(0), tornado.iostream.UnsatisfiableReadError)
        pair.close()
        closed.clear()


@pytest.mark.gen_test
async def test_a_stream_can_leave_its_socket_open_when_it_closes() -> None:
    pair = Pair(Stream)
    assert isinstance(pair.stream, Stream)
    sock = pair.stream.give_socket()
    assert pair.stream.closed()
    sock.sendall(b"x")
    assert pair.far.recv(1) == b"x"
    sock.close()
    pair.close()


@pytest.mark.gen_test
async def test_secure_streams_go_through_the_same_methods() -> None:
    """Those that `Stream` overrides, so that it can stand before `SSLIOStream`."""
    own = {name for name in vars(Stream) if callable(getattr(Stream, name))}
    overridden = {name for name in own if hasattr(IOStream, name) and name != "__init__"}
    assert {"read_from_fd", "_handle_events", "write", "close", "close_fd"} <= overridden
    for name in ("_handle_events", "write", "close", "close_fd", "_find_read_pos"):
        secure = getattr(tornado.iostream.SSLIOStream, name)
        assert secure is getattr(IOStream, name), name
