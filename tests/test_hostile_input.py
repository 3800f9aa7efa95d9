"""No parser of a client's bytes takes time that grows faster than they do.

Each is given input that is hostile to a parser of its kind, of a length and of eight times that.
Eight times the time is linear, and sixty-four times is quadratic; what lies between them is left
for noise. Whatever takes less than `UNSEEN` seconds in the end is left alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import pytest
import tornado.httputil

from tornado_board.inputs import Addition, NewPlayer
from tornado_board.models import is_id
from tornado_board.replay import EventId
from tornado_board.settings import Settings
from tornado_board.visible import is_visible
from tornado_board.web import (
    access_log,
    admission,
    bodies,
    built_page,
    fast_request,
    tornado_internals,
)
from tornado_board.web.accept import prefers_event_stream
from tornado_board.web.hosts import Hosts
from tornado_board.web.shares import neighbourhood

from .serving import Served, serving

TIMES = 8
MOST = 28
UNSEEN = 0.002
TRIES = 4

JSON = "application/json"

#: Makes a text of a length.
Text = Callable[[int], str]

#: The longest of each, by default.
PACKET, HEADER, BODY = 4_000, 16_000, 65_000


def best_time(parse: Callable[[str], object], text: str) -> float:
    """Seconds of the CPU that `text` takes to be parsed, whatever comes of it."""
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        with contextlib.suppress(Exception):
            parse(text)
        best = min(best, time.process_time() - start)
    return best


def is_linear(parse: Callable[[str], object], text: Text, longest: int) -> bool:
    """Whether the time that a text takes is in proportion to its length, as far as can be seen."""
    for _ in range(TRIES):
        short, long = (best_time(parse, text(n)) for n in (longest // TIMES, longest))
        if long < max(UNSEEN, MOST * short):
            return True
    return False


def plain(header: bytes) -> bytes:
    return b"GET /boards/demo/ HTTP/1.1\r\nHost: x\r\n" + header + b"\r\n\r\n"


def decoded(body: str, expected: type[msgspec.Struct], content_type: str = JSON) -> Any:
    return bodies.decode({"Content-Type": content_type}, body.encode(), expected, form=True)


def parsed(target: str, host: str = "h") -> tornado.httputil.HTTPServerRequest:
    line = tornado.httputil.parse_request_start_line(f"GET {target} HTTP/1.1")
    headers = tornado.httputil.HTTPHeaders.parse(f"Host: {host}\r\n")
    return tornado.httputil.HTTPServerRequest(start_line=line, headers=headers)


def repeated(*pieces: str) -> dict[str, Text]:
    """Texts that are made of each of `pieces`."""

    def text_of(piece: str) -> Text:
        return lambda n: piece * (n // len(piece))

    return {ascii(piece): text_of(piece) for piece in pieces}


class Parser(NamedTuple):
    """Something that parses texts, how long they can be, and some that may be hard for it."""

    longest: int
    parse: Callable[[str], object]
    texts: dict[str, Text]


PARSERS = {
    "the fast path's field": Parser(
        PACKET,
        lambda text: fast_request.read(plain(b"A:" + text.encode("latin-1") + b"\0")),
        repeated(" ", "\t", " \t", "a", "a ", "\r", "\r\n ", ":", "\xe9"),
    ),
    "the fast path's header": Parser(
        PACKET,
        lambda text: fast_request.read(plain(text.encode())),
        repeated("A:\r\n", "A: b\r\n", "A", " ", "\n"),
    ),
    "the fast path's target": Parser(
        PACKET,
        lambda text: fast_request.read(f"GET /boards/{text} HTTP/1.1\r\nHost: x\r\n\r\n".encode()),
        repeated("a", "/", "a/", "?", "?&", "%2e", "?a=1&", "?=", "#"),
    ),
    "the fast path's length": Parser(
        PACKET,
        lambda text: fast_request.read(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + text.encode() + b"\r\n\r\n"
        ),
        repeated("1", "0", "1,", " "),
    ),
    "Accept": Parser(
        HEADER,
        prefers_event_stream,
        repeated(",", ";", " ", "text/event-stream;q=0.0,", ";q=", "a/b;q=1;", "q=0.0", "\t,"),
    ),
    "Accept-Encoding": Parser(
        HEADER, built_page._codings, repeated(",", ";", "gzip;q=0,", "0", " ;", ";q=0.")
    ),
    "Host": Parser(
        HEADER, Hosts(Settings()).allows, repeated("a", ".", ":", "[", "]", "1:", "a.", "@")
    ),
    "a target": Parser(
        HEADER, lambda text: admission.split_target("GET", text), repeated("/", "a", ":", "?")
    ),
    "a target with a host": Parser(
        HEADER,
        lambda text: admission.split_target("GET", f"http://{text}"),
        repeated("/", "a", ":", "?", "@", "[", "1."),
    ),
    "X-Forwarded-For": Parser(
        HEADER,
        lambda text: admission.forwarded_address(text, text),
        repeated(",", " ", "1.", ":", "1:", "0", "%", ", ", "::"),
    ),
    "Origin": Parser(
        HEADER, admission._is_origin, repeated("a", "://", "[", "]", "@", ":", "\xe9", "/")
    ),
    "an address": Parser(HEADER, neighbourhood, repeated(":", "1:", "::", "f")),
    "an event id": Parser(HEADER, EventId.parse, repeated("1", "1-", "-", "0", "1-1 ")),
    "an id": Parser(HEADER, is_id, repeated("a", ".", "..", "~", "\n")),
    "a name": Parser(
        BODY, is_visible, repeated(" ", "\u200b", "\u0301", "\ud800", "\U000e0001", "\ufff0")
    ),
    "a path to be logged": Parser(
        HEADER, access_log._printable, repeated("a", "\x1b", "\xe9", "%")
    ),
    "a chunk's size": Parser(
        PACKET,
        lambda text: tornado_internals._chunk_size(text.encode() + b"\r\n"),
        repeated("0", ";", " ;", "a=b;", '"', "\t"),
    ),
    "Content-Type": Parser(
        HEADER,
        lambda text: decoded("{}", NewPlayer, text),
        repeated(";", " ", "application/json;", ";charset=", '";', "="),
    ),
    "a JSON body": Parser(
        BODY,
        lambda text: decoded(text, NewPlayer),
        repeated("[", "{", '{"a":', " ", "\n", "\\", '"', "1", "-", "[]", "9e9", "\u2028", ","),
    ),
    "a JSON object": Parser(
        BODY,
        lambda text: decoded('{"name": "x"' + text + "}", NewPlayer),
        repeated(',"a":1', ',"name":"x"', ", ", ',"":""', ',"\\u0061":0', ',"\\ud800":1')
        | {"many fields": lambda n: "".join(f',"{i}":1' for i in range(n // 9))},
    ),
    "a JSON number": Parser(
        BODY,
        lambda text: decoded(f'{{"amount": {text}}}', Addition),
        repeated("1", "0", "1e", "-")
        | {
            "a fraction": lambda n: "0." + "1" * n,
            "a float": lambda n: "1" * n + ".5",
            "an exponent": lambda n: "1e" + "9" * n,
            "a small one": lambda n: "0." + "0" * (n - 10) + "1e9",
        },
    ),
    "a JSON string": Parser(
        BODY,
        lambda text: decoded(f'{{"name": "{text}"}}', NewPlayer),
        repeated("a", "\\\\", "\\n", "\\u0061", "\\ud83d", "\\ud83d\\ude00", "\u0301", '"'),
    ),
    "the name of a JSON field": Parser(
        BODY,
        lambda text: decoded(f'{{"{text}": 1}}', NewPlayer),
        repeated("a", " - at `$.", "Object missing required field `", "\\u0000", "\u202e"),
    ),
    "a form": Parser(
        BODY,
        lambda text: decoded(text, Addition, bodies.FORM),
        repeated("&", "=", "a=1&", "%31", "+", ";", "%", "a=%ff&", "=&"),
    ),
    "a number in a form": Parser(
        BODY,
        lambda text: decoded(f"amount={text}", Addition, bodies.FORM),
        repeated("1", "0", ".", "1e", "1.1", "%31", "-"),
    ),
    # Tornado's own, as it is used here
    "a header": Parser(
        HEADER,
        tornado.httputil.HTTPHeaders.parse,
        repeated("A: b\n", "a", "\r", "A:\r\n", " ", "\n", "-", "A-:\n"),
    ),
    "a field's value": Parser(
        HEADER,
        lambda text: tornado.httputil.HTTPHeaders.parse(f"A:{text}\0\r\n"),
        repeated(" ", "a", "a ", "\t", " a\t", "\xe9", ","),
    ),
    "a request line": Parser(
        HEADER,
        tornado.httputil.parse_request_start_line,
        repeated("G", " ", "GET ", "/ ", "HTTP/1.1 "),
    ),
    "a query": Parser(
        HEADER,
        lambda text: parsed(f"/?{text}"),
        repeated("a", "&", "=", "a=1&", "%61", "%", "+", ";"),
    ),
    "a host": Parser(
        HEADER, lambda text: parsed("/", text), repeated("a", ":", "1:", "[", "%61", "%", ":1")
    ),
}


@pytest.mark.parametrize("name", PARSERS)
def test_parsers(name: str) -> None:
    longest, parse, texts = PARSERS[name]
    slow = [piece for piece, text in texts.items() if not is_linear(parse, text, longest)]
    assert slow == []


#: Makes a request of about a length.
Request = Callable[[int], bytes]


def request(method: str, fields: str, body: str = "") -> bytes:
    path = "/boards/demo/" if method == "GET" else "/boards/demo/players/mars/score-add"
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n\r\n"
    return (head + body).encode("latin-1")


def field(name: str) -> Callable[[Text], Request]:
    return lambda text: lambda n: request("GET", f"{name}: {text(n)}")


def body(content_type: str, form: str = "%s") -> Callable[[Text], Request]:
    """A body may be as long as four headers."""

    def of_text(text: Text) -> Request:
        def of_length(n: int) -> bytes:
            content = form.replace("%s", text(4 * n))
            length = f"Content-Type: {content_type}\r\nContent-Length: {len(content)}"
            return request("POST", length, content)

        return of_length

    return of_text


def chunks(chunk: str, trailer: str = "") -> Request:
    def of_length(n: int) -> bytes:
        fields = "Content-Type: application/json\r\nTransfer-Encoding: chunked"
        data = chunk * (n // len(chunk)) if not trailer else chunk
        trailers = trailer * (n // len(trailer)) if trailer else ""
        return request("POST", fields, f"{data}0\r\n{trailers}\r\n")

    return of_length


_MULTIPART = "multipart/form-data; boundary=x"
_PART = "--x\r\nContent-Disposition: form-data; %s\r\n\r\nv\r\n--x--\r\n"

REQUESTS = {
    f"{name}: {piece}": make(text)
    for name, make, texts in (
        ("If-None-Match", field("If-None-Match"), repeated('"', "W/", '"a', 'W/"', '"",', "*")),
        ("Cookie", field("Cookie"), repeated("a=b;", '"\\', "=", ";", '"')),
        ("Last-Event-ID", field("Last-Event-ID"), repeated("1", "1-", "-")),
        ("Expect", field("Expect"), repeated("100-continue")),
        ("Content-Length", field("Content-Length"), repeated("1", "1,", "1, ", ",")),
        ("Transfer-Encoding", field("Transfer-Encoding"), repeated("chunked,", ",")),
        ("a part", body(_MULTIPART, _PART), repeated(";", '";', '\\";', "a=b;", "%", "n*0*=x;")),
        ("parts", body(_MULTIPART), repeated("--x\r\n", "--x--", "\r\n\r\n")),
        ("a form", body(bodies.FORM), repeated("a=1&", "&", "%", "amount=1&")),
    )
    for piece, text in texts.items()
} | {
    "chunks": chunks("1\r\n \r\n"),
    "extensions": chunks("1;a=b;c\r\n \r\n"),
    "trailers": chunks("2\r\n{}\r\n", "A: b\r\n"),
    "many fields": lambda n: request("GET", "\r\n".join(f"X{i}: 1" for i in range(n // 10))),
}


async def answered(served: Served, data: bytes) -> float:
    """Seconds of the CPU until the server has answered `data` and hung up."""
    start = time.process_time()
    await served.send(data)
    return time.process_time() - start


@pytest.mark.gen_test
async def test_requests(settings: Settings) -> None:
    slow = []
    async with serving(settings) as served:
        for name, make in REQUESTS.items():
            for _ in range(TRIES):
                short, long = [
                    min([await answered(served, make(n)) for _ in range(3)])
                    for n in (HEADER // TIMES, HEADER)
                ]
                if long < max(10 * UNSEEN, MOST * short):
                    break
            else:
                slow.append((name, short, long))
    assert slow == []


@pytest.mark.gen_test
async def test_one_packet_does_not_make_the_server_deaf(settings: Settings) -> None:
    """The one that took 22 s, and its kin; in one piece, before the server accepts."""
    loop = asyncio.get_running_loop()
    async with serving(settings) as served:
        await served.request("GET", "/boards/demo/events/")  # live, for the fast path
        for blanks, end in ((b" ", b"\0"), (b"\t", b"\0"), (b" \t", b"\r"), (b" ", b"\n")):
            head = b"GET /boards/demo/ HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nA:"
            data = head + blanks * (3900 // len(blanks)) + end + b"\r\n\r\n"
            with socket.create_connection(("127.0.0.1", served.port)) as sock:
                sock.sendall(data)
                start = loop.time()
                assert (await served.request("GET", "/healthz")).status == 200
                assert loop.time() - start < 10
