"""All that this package relies on and Tornado does not document, or documents otherwise.

`tests/test_tornado_internals.py` has a test for each assumption, so that a Tornado that breaks one
fails there. They are about:

* `HTTPServer`: what accepts a connection, the parameters of connections, who is told of the end of
  one that was detached;
* `HTTP1Connection`: what reads a body in chunks, and what is written before a connection is closed
  on which something other than HTTP came;
* `IOStream`: how it reads, closes and waits, as far as `Stream` changes that;
* `HTTPServerRequest`: where the stream is that it came by.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
from collections.abc import Callable
from typing import Any

import tornado.http1connection
import tornado.httpserver
import tornado.httputil
import tornado.ioloop
import tornado.iostream
import tornado.netutil

#: Bytes read from a socket at once.
CHUNK = 16_384

# What Tornado sends before it closes a connection on which something other than HTTP came.
_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\n\r\n"

_READ = tornado.ioloop.IOLoop.READ

#: Bytes of further requests that may arrive while one waits. With more behind it, it waits no
#: longer: they stay in the kernel, and an end behind them could not be seen.
_MOST_BEHIND = 2 * CHUNK

#: The longest line that tells a chunk's size, with its extensions; and a trailer field.
_LONGEST_LINE = 4096

#: Chunks that are read before the event loop may go on to something else.
_CHUNKS_AT_ONCE = 256

_HEX_DIGITS = b"0123456789abcdefABCDEF"
_NOT_CONTROLS = bytes(i for i in range(256) if (i >= 0x20 and i != 0x7F) or i == 0x09)


class Stream(tornado.iostream.IOStream):
    """A server's stream that tells of what happens on it, and outlasts the end of what it reads.

    A client may shut down its side of the connection once it has sent its requests (RFC 9112,
    section 9.6). `IOStream` closes then, and the answers are lost. This one goes on for as long as
    there is something to answer. Nothing tells such a client from one that has gone: whoever waits
    for something else than the client learns of it by `watch_input`.
    """

    # IOStream has as many attributes as instances of one class can share the names of; a few more
    # in the instance's dictionary would cost a kilobyte a connection.
    __slots__ = ("_on_input_end", "handed_over", "input_ended", "taken")

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        #: Whether `is_taken` is so until further notice.
        self.taken = False
        #: Whether the client will send nothing more.
        self.input_ended = False
        self.handed_over = False
        self._on_input_end: Callable[[], None] | None = None
        super().__init__(sock, *args, **kwargs)

    # What happens, for subclasses

    def on_input(self) -> None:
        """Bytes were read."""

    def on_output(self) -> None:
        """Something is written, or begun to be written."""

    def on_malformed(self) -> None:
        """What came is not HTTP. The connection will be closed."""

    def on_oversized(self) -> None:
        """A header, or a line in a body, is too long. The connection will be closed."""

    def on_closed(self) -> None:
        """The socket was closed, or handed over."""

    def is_taken(self) -> bool:
        """Whether somebody else reads what arrives now, so that nothing is to be read here. Asked
        before each reading, and may take what has arrived."""
        return False

    def on_behind(self) -> None:
        """Something has arrived, or the end, while `is_taken`; it is not told again until
        `go_on`."""

    def has_to_answer(self) -> bool:
        """Whether a request has arrived, in part at least, and was not answered yet."""
        return False

    # What is asked

    def give_socket(self) -> socket.socket:
        """Give the open socket away; this object is closed, and can go.

        What was written here before must have reached the socket.
        """
        sock = self.socket
        self.handed_over = True
        self.close()
        return sock

    def watch_input(self, callback: Callable[[], None]) -> None:
        """Have `callback` called, once and soon, when the client will send nothing more, or so much
        that it can't be told. A later call, or `ignore_input`, takes the place of this."""
        self._on_input_end = callback
        if self.input_ended:
            self.io_loop.add_callback(self._tell_input_end)
        else:
            self._watch()

    def ignore_input(self) -> None:
        """Take back `watch_input`."""
        self._on_input_end = None

    @property
    def has_unread(self) -> bool:
        """Whether something was read from the socket that nobody has taken from here."""
        return self._read_buffer_size > 0

    def go_on(self) -> None:
        """Look again at what has arrived, and will, after `is_taken` said that nobody should."""
        if not self.closed() and self.reading():
            self._add_io_state(_READ)

    # What IOStream calls

    def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
        if self.is_taken():
            return None  # as if nothing had come
        size = super().read_from_fd(buf)
        if size:
            self.on_input()
        elif size == 0 and self._goes_on():
            if not self.input_ended:
                self.input_ended = True
                self._tell_input_end()
            return None  # as if nothing had come; 0 would close the stream
        return size

    def _goes_on(self) -> bool:
        """Whether what was read until now is enough for who reads, or there is an answer due."""
        if self.reading():
            return self._find_read_pos() is not None
        return self.has_to_answer()

    def _handle_events(self, fd: Any, events: int) -> None:
        was_taken = self.taken
        super()._handle_events(fd, events)
        if self.closed() or self._state is None:
            return
        if was_taken and self.taken and events & _READ:
            # Once is enough; otherwise it would be told for as long as it stays there.
            self._state &= ~_READ
            self.io_loop.update_handler(self.fileno(), self._state)
            self.on_behind()
            return
        if self.reading():
            return
        if self.input_ended:
            # The socket can be "read" for ever.
            if self._state & _READ:
                self._state &= ~_READ
                self.io_loop.update_handler(self.fileno(), self._state)
        elif self._on_input_end is not None:
            self._watch()

    def _watch(self) -> None:
        """Read on, so that the end of what is read is seen, though there is something unread."""
        if self._read_buffer_size < _MOST_BEHIND:
            self._add_io_state(_READ)
        else:
            self._tell_input_end()

    def _tell_input_end(self) -> None:
        callback, self._on_input_end = self._on_input_end, None
        if callback is not None:
            callback()

    def write(self, data: bytes | memoryview) -> asyncio.Future[None]:
        if data == _BAD_REQUEST:
            self.on_malformed()
        else:
            self.on_output()
        return super().write(data)

    def close(self, exc_info: Any = False) -> None:
        # Tornado closes a connection whose header, or line with a chunk's size, exceeds its limit
        # without a word.
        if isinstance(exc_info, tornado.iostream.UnsatisfiableReadError) and not self.closed():
            self.on_oversized()
        super().close(exc_info)

    def close_fd(self) -> None:
        if self.handed_over:
            self.socket = None  # type: ignore[assignment]
        else:
            super().close_fd()
        self.on_closed()


class HTTPServer(tornado.httpserver.HTTPServer):
    """A server whose connections and requests a subclass takes, with streams of its own class.

    Timeouts and the size of bodies are the subclass's to limit.
    """

    def limit(self, max_header: int) -> None:
        """To be called at the end of `initialize`."""
        self.conn_params.header_timeout = None  # a timer a request otherwise
        self._most_framing = max_header

    def accept(self, sock: socket.socket, address: Any) -> None:
        """Take an accepted connection; `sock` is an `ssl.SSLSocket` where this serves TLS."""
        raise NotImplementedError

    def begin(
        self, stream: Stream, application: tornado.httputil.HTTPMessageDelegate
    ) -> tornado.httputil.HTTPMessageDelegate:
        """What is to be told of the next request on `stream`, which `application` answers."""
        raise NotImplementedError

    def detached(self, stream: Stream) -> None:
        """An open `stream` is no longer HTTP's."""
        raise NotImplementedError

    def _handle_connection(self, connection: socket.socket, address: Any) -> None:
        if self.ssl_options is not None:
            try:
                connection = tornado.netutil.ssl_wrap_socket(
                    connection, self.ssl_options, server_side=True, do_handshake_on_connect=False
                )
            except OSError:  # ssl.SSLError is one, too; the client has gone already
                connection.close()
                return
        self.accept(connection, address)

    def start_request(
        self, server_conn: object, request_conn: tornado.httputil.HTTPConnection
    ) -> tornado.httputil.HTTPMessageDelegate:
        stream: Stream = server_conn.stream  # type: ignore[attr-defined]
        request_conn._read_chunked_body = functools.partial(  # type: ignore[attr-defined]
            read_chunked_body, stream, self._most_framing
        )
        return self.begin(stream, super().start_request(server_conn, request_conn))

    def on_close(self, server_conn: object) -> None:
        super().on_close(server_conn)
        stream: Stream = server_conn.stream  # type: ignore[attr-defined]
        if not stream.closed():
            self.detached(stream)


def stream_of(request: tornado.httputil.HTTPServerRequest) -> Stream:
    """The stream that `request` came by."""
    stream: Stream = request.server_connection.stream  # type: ignore[attr-defined]
    return stream


async def read_chunked_body(
    stream: tornado.iostream.IOStream,
    most_framing: int,
    delegate: tornado.httputil.HTTPMessageDelegate,
) -> None:
    """Read a body in chunks (RFC 9112, section 7.1) and hand its data to `delegate`.

    Tornado refuses extensions of chunks, and trailers; both are to be ignored. Raises
    `HTTPInputError` for anything else that is malformed, and for more than `most_framing` bytes of
    them.
    """
    framing = count = 0
    data = bytearray()

    async def deliver() -> None:
        received = delegate.data_received(bytes(data))
        data.clear()
        if received is not None:
            await received

    while True:
        line = await stream.read_until(b"\r\n", max_bytes=_LONGEST_LINE)
        size, extensions = _chunk_size(line)
        framing += extensions
        if framing > most_framing:
            raise tornado.httputil.HTTPInputError("too many chunk extensions")
        if size == 0:
            break
        while size:
            part = await stream.read_bytes(min(size, CHUNK), partial=True)
            size -= len(part)
            data += part
            if len(data) >= CHUNK:
                await deliver()
        if await stream.read_bytes(2) != b"\r\n":
            raise tornado.httputil.HTTPInputError("a chunk is longer than its size")
        count += 1
        if count % _CHUNKS_AT_ONCE == 0:
            await asyncio.sleep(0)
    if data:
        await deliver()
    trailers = tornado.httputil.HTTPHeaders()
    while (line := await stream.read_until(b"\r\n", max_bytes=_LONGEST_LINE)) != b"\r\n":
        framing += len(line)
        if framing > most_framing:
            raise tornado.httputil.HTTPInputError("too many trailers")
        trailers.parse_line(_without_controls(line).decode("latin-1"))


def _chunk_size(line: bytes) -> tuple[int, int]:
    """The size that a chunk's first line tells, and the length of its extensions."""
    digits, semicolon, extensions = _without_controls(line).partition(b";")
    if semicolon:
        digits = digits.rstrip(b" \t")
    if not 1 <= len(digits) <= 16 or digits.translate(None, _HEX_DIGITS):
        raise tornado.httputil.HTTPInputError("invalid chunk size")
    return int(digits, 16), len(extensions)


def _without_controls(line: bytes) -> bytes:
    """`line` without its line end. Raises `HTTPInputError` if it has another in it, which some
    proxy may have taken for one (RFC 9112, section 11.2)."""
    line = line[:-2]
    if line.translate(None, _NOT_CONTROLS):
        raise tornado.httputil.HTTPInputError("a control character in a chunked body's framing")
    return line


def plain_stream(sock: socket.socket) -> tornado.iostream.IOStream:
    """A stream without anything of the above, to send a last word on."""
    if isinstance(sock, ssl.SSLSocket):
        return tornado.iostream.SSLIOStream(sock)
    return tornado.iostream.IOStream(sock)
