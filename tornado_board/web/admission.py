"""What is looked at before the application sees a request: its target, host, sender and size.

Whatever is refused here is answered for every path alike, and the connection ends.
"""

from __future__ import annotations

import ipaddress
import logging
import urllib.parse
from collections.abc import Awaitable
from typing import TYPE_CHECKING

import tornado.httputil

from tornado_board.auth.policy import Action
from tornado_board.web.attempt import attempt_of
from tornado_board.web.cors import cors_headers
from tornado_board.web.hosts import host_name
from tornado_board.web.phases import Phase
from tornado_board.web.problems import Problem

if TYPE_CHECKING:
    from tornado_board.web.connection import Connection

#: Digits of a ``Content-Length`` that are looked at; the rest can't make it any less too large.
_DIGITS = 20

#: Bytes of a body that may take as long as a header may: so a large one may come slowly, too, and
#: none for ever.
_PIECE = 512 * 1024

logger = logging.getLogger(__name__)


class Admission(tornado.httputil.HTTPMessageDelegate):
    """Passes one request on to the application, if it may come in."""

    def __init__(
        self, application: tornado.httputil.HTTPMessageDelegate, connection: Connection
    ) -> None:
        self.application = application
        self.connection = connection
        self.received = 0
        self.passed_on = self.refused = False
        self._method = ""
        self._most = connection.server.settings.max_body
        self._cors: tuple[tuple[str, str], ...] = ()

    def headers_received(
        self,
        start_line: tornado.httputil.RequestStartLine | tornado.httputil.ResponseStartLine,
        headers: tornado.httputil.HTTPHeaders,
    ) -> Awaitable[None] | None:
        assert isinstance(start_line, tornado.httputil.RequestStartLine)
        server = self.connection.server
        server.enter(self.connection, Phase.BODY)
        self._method = start_line.method
        self._cors = cors_headers(server.settings.allowed_origins, headers.get("Origin"))
        try:
            target = self._check_host(start_line, headers)
            if server.settings.trust_forwarded:
                self._believe_proxy(headers)
            if _is_bulk(start_line.method, target):
                if server.gate is not None:
                    # Before its body is read. Which board it is, the handler looks at.
                    server.gate.at_once(attempt_of(headers, Action.SUBMIT))
                self._most = max(self._most, server.settings.max_bulk_body)
            length = headers.get("Content-Length", "")
            if length.isascii() and length.isdigit():  # Tornado refuses what isn't
                self._check_size(int(length[:_DIGITS]))
        except Problem as problem:
            self._refuse(problem)
            return None
        if not _is_origin(headers.get("Origin", "null")):
            headers["Origin"] = "null"  # as good as none; Tornado would fail over it
        self.passed_on = True
        return self.application.headers_received(start_line._replace(path=target), headers)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        if self.refused:
            return None
        pieces = self.received // _PIECE
        self.received += len(chunk)
        if self.received // _PIECE > pieces:
            self.connection.server.enter(self.connection, Phase.BODY)
        try:
            self._check_size(self.received)
        except Problem as problem:
            self._refuse(problem)
            return None
        return self.application.data_received(chunk)

    def finish(self) -> None:
        if not self.refused:
            self.connection.server.enter(self.connection, Phase.ANSWER)
            self.application.finish()

    def on_connection_close(self) -> None:
        if self.passed_on:
            self.application.on_connection_close()

    def _refuse(self, problem: Problem) -> None:
        self.refused = True
        self.connection.refuse(problem, self._cors, body=self._method != "HEAD")

    def _check_size(self, size: int) -> None:
        most = self._most
        if size > most:
            raise Problem(413, f"The request's body is too large; the most is {most:,} bytes.")
        if size > self.connection.server.settings.max_body:
            self.connection.reserve(size)

    def _check_host(
        self, line: tornado.httputil.RequestStartLine, headers: tornado.httputil.HTTPHeaders
    ) -> str:
        """The request's target as a path; ``Host`` is then the host that it is for.

        Raises `Problem` 400, or 421 for a host for which this server does not answer.
        """
        host = headers.get("Host")
        if host is None and line.version != "HTTP/1.0":
            return line.path  # Tornado refuses it
        if host is not None and host_name(host) is None:
            raise Problem(400, "Host has to be one host, with a port or without, in HTTP/1.1.")
        target, authority = split_target(line.method, line.path)
        if authority is not None:
            headers["Host"] = host = authority  # RFC 9112, section 3.2.2
        if host is not None and not self.connection.server.hosts.allows(host):
            if not self.connection.server.host_refused:
                self.connection.server.host_refused = True
                logger.warning(
                    "a request for the host %.100a was refused; "
                    "the setting allowed_hosts names those to answer for",
                    host,
                )
            raise Problem(
                421,
                "This server does not answer for that host. If it should, name the host in the "
                "server's allowed_hosts setting.",
            )
        return target

    def _believe_proxy(self, headers: tornado.httputil.HTTPHeaders) -> None:
        """Take the client's address from what a proxy says. Raises `Problem` 429."""
        address = forwarded_address(
            headers.get("X-Forwarded-For", ""), headers.get("X-Real-Ip", "")
        )
        for name in ("X-Forwarded-For", "X-Real-Ip"):
            if name in headers:
                del headers[name]
        if address is not None:
            headers["X-Real-Ip"] = address  # which Tornado believes
            self.connection.server.move(self.connection, address)


def _is_bulk(method: str, target: str) -> bool:
    """Whether a request hands in many scores, and may be larger than others."""
    path = target.partition("?")[0].removesuffix("/")
    board = path.partition("/boards/")[2].removesuffix("/scores")
    return method == "POST" and path.endswith(f"/boards/{board}/scores") and "/" not in board


def split_target(method: str, target: str) -> tuple[str, str | None]:
    """The path and query in a request's target (RFC 9112, section 3.2), or ``*``, and the authority
    where the target has one. Raises `Problem` 400."""
    if target.startswith("/") or (method, target) == ("OPTIONS", "*") or method == "CONNECT":
        return target, None
    scheme, separator, rest = target.partition("://")
    if separator and scheme.lower() in ("http", "https"):
        end = min(i for i in (rest.find("/"), rest.find("?"), len(rest)) if i >= 0)
        authority, path = rest[:end], rest[end:]
        if host_name(authority) is not None:
            if not path:
                return "*" if method == "OPTIONS" else "/", authority
            return path if path.startswith("/") else f"/{path}", authority
    raise Problem(400, "The request's target has to be a path, or an address with http:// in it.")


def forwarded_address(forwarded_for: str, real_ip: str) -> str | None:
    """The client's address as a trusted proxy tells it in ``X-Forwarded-For`` or ``X-Real-IP``.

    Of a list in the former it is the last, which the proxy itself has added; whatever stands before
    it, the client may have made up. The latter counts where the former has no address there.
    ``None`` where neither has one.
    """
    for text in (forwarded_for.rpartition(",")[2], real_ip):
        try:
            if "%" not in text:  # a zone behind it may be any text
                return str(ipaddress.ip_address(text.strip()))
        except ValueError:
            pass
    return None


def _is_origin(text: str) -> bool:
    try:
        urllib.parse.urlsplit(text)
    except ValueError:
        return False
    return True
