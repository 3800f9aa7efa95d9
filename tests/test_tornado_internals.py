"""What is assumed about Tornado and not documented: a test for each, on Tornado alone if it can be.

Where one of these fails with a new Tornado, `web/tornado_internals.py` is what has to change.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import socket
from collections.abc import AsyncIterator, Awaitable
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

from tornado_board.web import tornado_internals
from tornado_board.web.tornado_internals import HTTPServer, Stream

from .waiting import PATIENCE, until

IOStream = tornado.iostream.IOStream
HTTP1Connection = tornado.http1connection.HTTP1Connection


class Plain(tornado.httpserver.HTTPServer):
    """Tornado's own server, but that it can be looked into."""

    def initialize(self, *arguments: Any, **options: Any) -> None:
        super().initialize(*arguments, **options)
        self.began: list[tuple[Any, Any]] = []
        self.ended: list[Any] = []

    def start_request(self, server_conn: Any, request_conn: Any) -> Any:
        self.began.append((server_conn, request_conn))
        return super().start_request(server_conn, request_conn)

    def on_close(self, server_conn: Any) -> None:
        self.ended.append(server_conn)
        super().on_close(server_conn)


class Echo(tornado.web.RequestHandler):
    async def get(self) -> None:
        request = self.request
        self.finish({"path": request.path, "host": request.host, "address": request.remote_ip})

    async def post(self) -> None:
        self.finish(self.request.body)


class Detaching(tornado.web.RequestHandler):
    streams: list[tuple[IOStream, IOStream]] = []  # noqa: RUF012

    async def get(self) -> None:
        self.streams.append((self.detach(), tornado_internals.stream_of(self.request)))


@contextlib.asynccontextmanager
async def served(kind: Any = Plain, **options: Any) -> AsyncIterator[tuple[Any, int]]:
    application = tornado.web.Application([(r"/detach", Detaching), (r".*", Echo)])
    server = kind(application, **options)
    (sock,) = tornado.netutil.bind_sockets(0, "127.0.0.1")
    server.add_sockets([sock])
    try:
        yield server, sock.getsockname()[1]
    finally:
        server.stop()
        await server.close_all_connections()


async def said(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.read(), PATIENCE)
    finally:
        writer.close()


GET = b"GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"


# HTTPServer


@pytest.mark.gen_test
async def test_a_server_takes_accepted_sockets_by_handle_connection() -> None:
    taken: list[tuple[Any, Any]] = []

    class Taking(Plain):
        def _handle_connection(self, connection: socket.socket, address: Any) -> None:
            taken.append((connection, address))
            connection.close()

    async with served(Taking) as (_, port):
        assert await said(port, b"") == b""
    ((connection, address),) = taken
    assert isinstance(connection, socket.socket)
    assert address[0] == "127.0.0.1"


@pytest.mark.gen_test
async def test_a_connection_has_its_parameters_and_its_stream() -> None:
    async with served(idle_connection_timeout=None) as (server, port):
        assert server.conn_params.header_timeout  # a default, which is why it is taken away
        server.conn_params.header_timeout = None
        assert (await said(port, GET)).startswith(b"HTTP/1.1 200 ")
        server_conn, request_conn = server.began[0]
        assert server_conn.params is server.conn_params
        assert isinstance(server_conn.stream, IOStream)
        assert isinstance(request_conn, HTTP1Connection)
        await until(lambda: server.ended == [server_conn])


@pytest.mark.gen_test
async def test_a_detached_stream_is_open_when_its_connection_ends() -> None:
    async with served() as (server, port):
        Detaching.streams.clear()
        data = b"GET /detach HTTP/1.1\r\nHost: h\r\n\r\n"
        saying = asyncio.ensure_future(said(port, data))
        await until(lambda: server.ended)
        ((server_conn, _),) = server.began
        ((detached, found),) = Detaching.streams
        assert detached is found is server_conn.stream  # where `stream_of` looks for it
        assert not detached.closed()
        assert not saying.done()
        await detached.write(b"mine")
        detached.close()
        assert await saying == b"mine"


@pytest.mark.gen_test
async def test_x_real_ip_alone_is_believed() -> None:
    data = GET.replace(b"Host", b"X-Real-Ip: 2001:db8::7\r\nHost")
    async with served(xheaders=True) as (_, port):
        assert b'"2001:db8::7"' in await said(port, data)


@pytest.mark.gen_test
async def test_what_a_delegate_passes_on_is_what_the_application_sees() -> None:
    """`headers_received` may be given another path and another ``Host``."""

    class Changing(tornado.httputil.HTTPMessageDelegate):
        def __init__(self, inner: tornado.httputil.HTTPMessageDelegate) -> None:
            self.inner = inner
            self.data_received = inner.data_received  # type: ignore[method-assign]
            self.finish = inner.finish  # type: ignore[method-assign]
            self.on_connection_close = inner.on_connection_close  # type: ignore[method-assign]

        def headers_received(self, start_line: Any, headers: Any) -> Awaitable[None] | None:
            headers["Host"] = "other"
            return self.inner.headers_received(start_line._replace(path="/other"), headers)

    class Server(Plain):
        def start_request(self, server_conn: Any, request_conn: Any) -> Any:
            return Changing(super().start_request(server_conn, request_conn))

    async with served(Server) as (_, port):
        got = await said(port, GET.replace(b"/x", b"http://h/x"))
    assert b'"/other"' in got
    assert b'"other"' in got


# HTTP1Connection


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
    ],
)
@pytest.mark.gen_test
async def test_what_is_not_http_is_answered_with_these_bytes(data: bytes) -> None:
    async with served() as (_, port):
        assert await said(port, data) == tornado_internals._BAD_REQUEST


@pytest.mark.gen_test
async def test_a_body_in_chunks_is_read_by_a_method_that_can_be_replaced() -> None:
    async def read(delegate: tornado.httputil.HTTPMessageDelegate) -> None:
        delegate.data_received(b"replaced")

    class Server(Plain):
        def start_request(self, server_conn: Any, request_conn: Any) -> Any:
            assert inspect.iscoroutinefunction(request_conn._read_chunked_body)
            assert list(inspect.signature(request_conn._read_chunked_body).parameters) == [
                "delegate"
            ]
            request_conn._read_chunked_body = read
            return super().start_request(server_conn, request_conn)

    async with served(Server) as (_, port):
        data = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert (await said(port, data + GET)).partition(b"\r\n\r\n")[2].startswith(b"replaced")


@pytest.mark.gen_test
async def test_tornado_refuses_extensions_and_trailers_by_itself() -> None:
    """Once it does not, `read_chunked_body` can go."""
    head = b"POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with served() as (_, port):
        assert (await said(port, head + b"1\r\nx\r\n0\r\n\r\n")).endswith(b"x")
        for body in (b"1;a\r\nx\r\n0\r\n\r\n", b"1\r\nx\r\n0\r\nA: b\r\n\r\n"):
            assert await said(port, head + body) == tornado_internals._BAD_REQUEST


# Handlers


@pytest.mark.gen_test
async def test_an_origin_is_compared_with_the_host_field() -> None:
    """Which `admission` sets to the host that the target names."""

    class Handler(tornado.web.RequestHandler):
        async def post(self) -> None:
            self.request.headers["Host"] = "other"

        def check_trusted_origin(self, origin: str) -> bool:
            return False

    application = tornado.web.Application([(r".*", Handler)], cross_origin_protection=True)
    server = HTTPServerFor(application)
    (sock,) = tornado.netutil.bind_sockets(0, "127.0.0.1")
    server.add_sockets([sock])
    for origin, status in ((b"http://h", b" 200 "), (b"http://x", b" 403 ")):
        data = GET.replace(b"GET", b"POST").replace(b"Host", b"Origin: " + origin + b"\r\nHost")
        assert status in await said(sock.getsockname()[1], data)
    server.stop()
    await server.close_all_connections()


# All of it together


class HTTPServerFor(HTTPServer):
    """As little as makes a server of ours."""

    def initialize(self, *arguments: Any, **options: Any) -> None:
        super().initialize(*arguments, **options)
        self.limit(1000)
        self.detached_streams: list[Stream] = []

    def accept(self, sock: socket.socket, address: Any) -> None:
        self.handle_stream(Stream(sock), address)

    def begin(self, stream: Stream, application: Any) -> Any:
        assert isinstance(stream, Stream)
        return application

    def detached(self, stream: Stream) -> None:
        self.detached_streams.append(stream)


@pytest.mark.gen_test
async def test_a_server_of_our_own() -> None:
    async with served(HTTPServerFor) as (server, port):
        assert (await said(port, GET)).startswith(b"HTTP/1.1 200 ")
        head = b"POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
        body = b"Transfer-Encoding: chunked\r\n\r\n1;a\r\nx\r\n0\r\nA: b\r\n\r\n"
        assert (await said(port, head + body)).endswith(b"x")
        saying = asyncio.ensure_future(said(port, b"GET /detach HTTP/1.1\r\nHost: h\r\n\r\n"))
        await until(lambda: server.detached_streams)
        server.detached_streams[0].close()
        assert await saying == b""
