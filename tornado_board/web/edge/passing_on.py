"""Requests that are passed on to the upstream, and what it answers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import cast

from tornado.iostream import StreamClosedError

from tornado_board.upstream import (
    LoopFound,
    UpstreamBroke,
    UpstreamBusy,
    UpstreamError,
    UpstreamLate,
    UpstreamUnreachable,
    hops,
)
from tornado_board.upstream.reply import Reply
from tornado_board.web import tornado_internals
from tornado_board.web.attempt import presents
from tornado_board.web.edge import fields, tunnel
from tornado_board.web.edge.kept_answers import LARGEST, PassedAnswer
from tornado_board.web.edge.services import EdgeServices
from tornado_board.web.handler import Handler
from tornado_board.web.problems import Problem

logger = logging.getLogger(__name__)

#: Seconds that an answer may pause; and, at the least, that the answer of a long-poll may take, and
#: that a stream may be silent.
_PAUSE = 30.0
_LONG_POLL = 65.0

#: Bytes of an answer that are gathered before it is passed on in pieces.
_WHOLE = 256 * 1024

_CHANGED = " The change may have been made or not."


class PassOnHandler(Handler):
    """A resource of the upstream's."""

    @property
    def edge(self) -> EdgeServices:
        return cast(EdgeServices, self.services)

    def entered(self) -> None:
        """Nothing is repeated here: the upstream knows which requests come again."""
        self.edge.check_loop(self.loop)

    @property
    def loop(self) -> str:
        """Which servers the request has come through."""
        return self.request.headers.get(hops.FIELD, "")

    async def get(self, *_: str) -> None:
        await self.pass_on()

    async def post(self, *_: str) -> None:
        await self.pass_on()

    async def patch(self, *_: str) -> None:
        await self.pass_on()

    async def delete(self, *_: str) -> None:
        await self.pass_on()

    @property
    def presents(self) -> bool:
        """Whether the request presents anything that says who asks."""
        return presents(self.attempt(), self.services.settings.token_cookie)

    @property
    def silence(self) -> float:
        """Seconds for which the upstream may say nothing on a connection that is this client's."""
        return max(_LONG_POLL, self.services.settings.upstream_silence)

    # Asking

    async def pass_on(self) -> None:
        """Have the upstream answer."""
        request = self.request
        reads = request.method in ("GET", "HEAD")
        board_id = self.path_args[0] if self.path_args else ""
        reply: Reply | None = None
        if request.method == "GET" and not (self.presents or self._wants_anew):
            key = (request.path, request.query, request.headers.get("Accept", ""))
            answer = await self.edge.kept.get(board_id, key, self, self._answer_for_all)
            reply = None if answer is None else answer.reply
            if answer is not None and reply is None:
                self._send_whole(answer)
                return
        if reply is None:
            with self._told(reads):
                reply = await self._asked(self._passed_fields(), reads)
        try:
            if not (reads or board_id):
                self.edge.kept.wrote("")
            await self._send(reply)
        finally:
            reply.close()

    async def pass_on_alone(self) -> None:
        """Have the upstream answer this client alone, for as long as it takes: with a stream, or
        after a while. Nothing of it is kept."""
        accepts = self.request.headers.get("Accept-Encoding", "identity")
        sent = [*self._passed_fields(), ("Accept-Encoding", accepts)]
        if self.upgrades:
            sent += tunnel.FIELDS
        with self._told(True):
            reply = await self.edge.upstreams.open_stream(
                self._target, sent, loop=self.loop, seconds=self.silence, upgrades=self.upgrades
            )
        try:
            if reply.status == 101:
                await tunnel.carry(self, reply, self.silence)
            else:
                await self._send(reply)
        finally:
            reply.close()

    async def _asked(self, sent: list[fields.Field], reads: bool) -> Reply:
        return await self.edge.upstreams.ask(
            self.request.method or "GET",
            self._target,
            [*sent, ("Accept-Encoding", "identity")],
            self.request.body,
            loop=self.loop,
            repeatable=reads,
        )

    @property
    def _target(self) -> str:
        query = self.request.query
        return f"{self.request.path}?{query}" if query else self.request.path

    def _passed_fields(self) -> list[fields.Field]:
        headers = self.request.headers
        return [
            *fields.passed_on(headers.get_all()),
            *fields.of_client(self.request.remote_ip or ""),
            *fields.of_page(
                headers.get("Origin"),
                headers.get("Sec-Fetch-Site"),
                headers.get("Host", ""),
                self.edge.upstreams.current,
            ),
        ]

    @property
    def _wants_anew(self) -> bool:
        return "no-cache" in self.request.headers.get("Cache-Control", "").lower()

    async def _answer_for_all(self) -> PassedAnswer:
        """The answer for everybody who asks the same now, if it may be that."""
        sent = [(n, v) for n, v in self._passed_fields() if n.lower() not in _CONDITIONS]
        with self._told(True):
            reply = await self._asked(sent, True)
            try:
                given = tuple(fields.of_answer(reply.head.fields, reply.address, self.prefix))
                if not _is_shareable(reply):
                    return PassedAnswer(reply.status, given, b"", self, reply)
                body = await reply.whole(_PAUSE, LARGEST)
            except BaseException:
                reply.close()
                raise
        reply.close()
        return PassedAnswer(reply.status, given, body, self)

    # Answering

    def _send_whole(self, answer: PassedAnswer) -> None:
        self._begin_answer(answer.status, answer.fields)
        self.finish(answer.body or None)

    async def _send(self, reply: Reply) -> None:
        given = fields.of_answer(reply.head.fields, reply.address, self.prefix)
        self._begin_answer(reply.status, given)
        length = reply.head.get("content-length")
        if self.request.method == "HEAD":
            if length:
                self.set_header("Content-Length", length)
            await self.flush()
            self.finish()
            return
        streams = reply.head.get("content-type").startswith("text/event-stream")
        begun = False
        try:
            with self._told(self.request.method == "GET"):
                gathered = b""
                while piece := await self._next(reply):
                    gathered += piece
                    if streams or len(gathered) > _WHOLE:
                        if length and not begun:
                            self.set_header("Content-Length", length)
                        begun = True
                        self.write(gathered)
                        await self.flush()
                        gathered = b""
        except StreamClosedError:
            return
        except (UpstreamError, Problem) as error:
            if not begun:
                self.clear()
                raise
            logger.info("an answer broke off: %s", error)
            tornado_internals.stream_of(self.request).close()
            return
        self.finish(gathered or None)

    async def _next(self, reply: Reply) -> bytes:
        """The next piece; raises `StreamClosedError` once the client is gone."""
        reading = asyncio.ensure_future(reply.read(self.silence))
        await asyncio.wait((reading, self.gone), return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError, UpstreamError):
                await reading
            raise StreamClosedError
        return reading.result()

    def _begin_answer(
        self, status: int, given: Iterator[fields.Field] | tuple[fields.Field, ...]
    ) -> None:
        self.set_status(status)
        self.clear_header("Content-Type")
        for name, value in given:
            (self.add_header if name.lower() in _LISTS else self.set_header)(name, value)

    @contextlib.contextmanager
    def _told(self, reads: bool) -> Iterator[None]:
        """Tell the client of what the upstream does not give, and in which way."""
        try:
            yield
        except UpstreamUnreachable as error:
            raise Problem(502, f"{error}.") from error
        except UpstreamLate as error:
            raise Problem(504, f"{error}.{'' if reads else _CHANGED}") from error
        except UpstreamBusy as error:
            raise Problem(503, f"{error}.") from error
        except LoopFound as error:
            raise Problem(508, f"{error}.") from error
        except UpstreamBroke as error:
            raise Problem(502, f"{error}.{'' if reads else _CHANGED}") from error


#: Fields that may come more than once.
_LISTS = frozenset(("vary", "link", "set-cookie", "www-authenticate"))

#: Fields that make an answer one for who has something already.
_CONDITIONS = frozenset(
    ("if-none-match", "if-match", "if-modified-since", "if-unmodified-since", "if-range", "range")
)

#: What an answer says that is not for others, in ``Cache-Control``; ``no-cache`` allows it where it
#: was asked for again, which what is kept here is after a second at the latest.
_NOT_SHARED = frozenset(("no-store", "private"))


def _is_shareable(reply: Reply) -> bool:
    """Whether the answer may be given to others who ask the same."""
    directives = reply.head.get("cache-control").lower().split(",")
    named = {directive.strip().partition("=")[0] for directive in directives}
    is_stream = reply.head.get("content-type").startswith("text/event-stream")
    length = reply.head.get("content-length")
    return (
        reply.status == 200
        and not is_stream
        and not named & _NOT_SHARED
        and not reply.head.get("set-cookie")
        and length.isdecimal()
        and int(length[:12]) <= LARGEST
    )
