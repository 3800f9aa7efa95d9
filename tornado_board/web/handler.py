"""What every handler shares: its collaborators, CORS, checked ids, answers and problems out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Iterator, Mapping
from types import TracebackType
from typing import Any, ClassVar, TypeVar, cast

import msgspec
import tornado.httputil
import tornado.iostream
import tornado.web

from tornado_board import models
from tornado_board.auth.policy import Action
from tornado_board.realtime.hub import Hub
from tornado_board.realtime.ranks import Ranks
from tornado_board.settings import Settings
from tornado_board.store import Once, Store
from tornado_board.store.audit import Audited
from tornado_board.tasks import succeed
from tornado_board.web import bodies, idempotency, streams, tornado_internals
from tornado_board.web.audited import audited_of
from tornado_board.web.connection import Connection
from tornado_board.web.cors import ALLOWED_ORIGIN, REQUEST_HEADERS, cors_headers
from tornado_board.web.described import Operation
from tornado_board.web.entrance import Entrance
from tornado_board.web.exchange import (
    Answer,
    Opened,
    Resource,
    Services,
    json_answer,
    problem_answer,
)
from tornado_board.web.gate import Gate
from tornado_board.web.handover import hand_over
from tornado_board.web.idempotency import Repeat
from tornado_board.web.parameters import ID_RULE
from tornado_board.web.problems import Problem, problem_of
from tornado_board.web.websocket import is_upgrade

T = TypeVar("T", bound=msgspec.Struct)

logger = logging.getLogger(__name__)

#: What resources can have beside OPTIONS.
METHODS = ("GET", "HEAD", "POST", "PATCH", "DELETE")

#: Methods that change nothing.
_SAFE = ("GET", "HEAD", "OPTIONS")

#: The methods whose requests may have an idempotency key: the others do the same each time.
_REPEATED = frozenset({"POST", "PATCH"})

#: What of an answer's header is the request's own.
_KEPT_HEADERS = ("Content-Type", "Location")

#: Seconds a browser may remember what OPTIONS said.
_PREFLIGHT_MAX_AGE = 600


class Handler(Entrance):
    """A resource. Its path arguments are ids of boards and players, checked before a method
    runs. It is what such a resource is `Asked`, too."""

    #: Whether the client went away before it was answered. Once `gone` was asked for, also whether
    #: it has ended its side of the connection: it may still read an answer then, which can't be
    #: told.
    client_gone = False
    _detached = False
    _repeat: Repeat | None = None
    _gone: asyncio.Future[None] | None = None

    def initialize(self, services: Services, route: str = "") -> None:
        """`route` is the template of the paths that lead here (`paths.template`)."""
        self.services = services
        self.route = route

    @property
    def store(self) -> Store:
        return self.services.store

    @property
    def gate(self) -> Gate:
        return self.services.gate

    @property
    def prefix(self) -> str:
        """What the public paths of this server begin with; empty, or without a slash at its end."""
        return self.services.settings.path_prefix

    @property
    def hub(self) -> Hub:
        return self.services.hub

    @property
    def ranks(self) -> Ranks:
        return self.services.ranks

    #: What each method takes and answers.
    operations: ClassVar[Mapping[str, Operation]] = {}

    #: Methods that are served by functions which the fast path calls as well.
    resources: ClassVar[Mapping[str, Resource]] = {}

    #: The methods of this resource, as ``Allow`` lists them.
    allowed: ClassVar[tuple[str, ...]] = ("OPTIONS",)

    def __init_subclass__(cls) -> None:
        if "allowed" in cls.__dict__:
            return
        missing = tornado.web.RequestHandler.get
        methods = [n for n in METHODS if n != "HEAD" and getattr(cls, n.lower()) is not missing]
        if "GET" in methods:
            methods.insert(1, "HEAD")
        cls.allowed = (*methods, "OPTIONS")

    def prepare(self) -> Awaitable[None] | None:
        if self.request.method not in self.allowed:
            raise tornado.web.HTTPError(405)
        if self.request.method != "OPTIONS":
            for value in self.path_args:
                if not models.is_id(value):
                    raise Problem(400, f"An id {ID_RULE}.")
            self._check_parameters()
            return self.enter()
        return None

    def _check_parameters(self) -> None:
        """Raise `Problem` 400 where the query has what the operation refuses."""
        method = "GET" if self.request.method == "HEAD" else self.request.method or ""
        operation = self.operations.get(method)
        # Pages have parameters of their own.
        if operation is not None and self.actions.of(method) is not Action.OPEN:
            for name in operation.refused.keys() & self.request.query_arguments.keys():
                raise Problem(400, operation.refused[name])

    def entered(self) -> None:
        if self.request.method in _REPEATED:
            self._begin_once()

    async def head(self, *ids: str) -> None:
        """The headers of GET; Tornado leaves the body out."""
        result = self.get(*ids)
        if result is not None:
            await result

    async def options(self, *_: str) -> None:
        self.set_header("Allow", ", ".join(self.allowed))
        if ALLOWED_ORIGIN in dict(self._cors()):
            self.set_header("Access-Control-Allow-Methods", ", ".join(self.allowed))
            self.set_header("Access-Control-Allow-Headers", REQUEST_HEADERS)
            self.set_header("Access-Control-Max-Age", str(_PREFLIGHT_MAX_AGE))
        self.set_status(204)
        self.finish()

    # Requests that come again

    def _begin_once(self) -> None:
        """Give the answer again if the request has a key that had one."""
        request = self.request
        key = request.headers.get(idempotency.KEY)
        if key is None:
            return
        path = request.path.rstrip("/")
        what = f"{request.method} {path}?{request.query}".encode(), request.body
        once = idempotency.once_of(key, self.caller, self.path_args, what)
        self._repeat = self.services.repeats.begin(once)
        if self._repeat.answer is not None:
            once.replayed = True
            status, headers, body = self._repeat.answer
            kept = dict(headers)
            self.send(Answer(status, body, kept.pop("Content-Type"), tuple(kept.items())))

    @property
    def once(self) -> Once | None:
        """What makes this request's change happen once, if the request has a key for that."""
        return None if self._repeat is None else self._repeat.once

    @property
    def audited(self) -> Audited | None:
        """What the audit trail is told of this request, if it is one that is told of."""
        method = self.request.method or ""
        return audited_of(self.services.settings, self.admitted, method, self.request.path)

    def on_finish(self) -> None:
        if self._repeat is not None:
            self._repeat.end()

    def count(self, status: int) -> None:
        """Note that the request was answered."""
        request = self.request
        self.services.metrics.requested(
            request.method or "", self.route, status, request.request_time()
        )

    # What comes in

    @property
    def version(self) -> str:
        return self.request.version

    @property
    def headers(self) -> tornado.httputil.HTTPHeaders:
        return self.request.headers

    @property
    def upgrades(self) -> bool:
        return is_upgrade(self)

    def argument(self, name: str) -> str | None:
        """A query parameter. Raises `Problem` 400."""
        return self.get_query_argument(name, None, strip=False)

    def body(self, expected: type[T], *, empty: bool = False, form: bool = False) -> T:
        """The request's body as `expected`; see `bodies.decode`."""
        return bodies.decode(
            self.request.headers, self.request.body, expected, empty=empty, form=form
        )

    def decode_argument(self, value: bytes, name: str | None = None) -> str:
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise Problem(400, f"{name or 'The path'} is not UTF-8.") from None

    # What goes out

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        self.set_header("X-Content-Type-Options", "nosniff")
        for name, value in self._cors():
            self.add_header(name, value)

    def _cors(self) -> tuple[tuple[str, str], ...]:
        # `initialize` has not run yet when this is called first.
        settings = cast(Settings, self.settings["board_settings"])
        return cors_headers(settings.allowed_origins, self.request.headers.get("Origin"))

    def check_trusted_origin(self, origin: str) -> bool:
        """Whether pages of another `origin` may change boards; Tornado asks before it runs a
        handler."""
        allowed = self.services.settings.allowed_origins
        return "*" in allowed or origin in allowed

    async def serve(self, method: str, *ids: str) -> None:
        """Answer as the resource of `method` does."""
        try:
            answer = await self.resources[method].answer(self, *ids)
            if isinstance(answer, Opened):
                self._open(answer)
            else:
                self.send(answer)
        finally:
            self.drop()

    def _open(self, opened: Opened) -> None:
        handed_over = hand_over(self, opened.wire)
        if handed_over is not None:
            streams.begin(self.hub, opened, *handed_over, self.until)

    def send(self, answer: Answer, *, final: bool = True) -> None:
        """Answer with `answer`. `final`: whether it is to be given again to a request that comes
        again."""
        self._describe(answer)
        if self._repeat is not None:
            if self._repeat.once.replayed:
                self.set_header(idempotency.REPLAYED, "true")
            if final and self._repeat.answer is None:
                set_here = self._headers
                headers = tuple((n, set_here[n]) for n in _KEPT_HEADERS if n in set_here)
                self._repeat.keep(idempotency.Answer(answer.status, headers, answer.body))
        self.finish(answer.body)

    def _describe(self, answer: Answer) -> None:
        self.set_status(answer.status)
        self.set_header("Content-Type", answer.content_type)
        for name, value in answer.fields:
            (self.add_header if name == "Vary" else self.set_header)(name, value)

    def send_json(self, value: object, status: int = 200) -> None:
        """Answer with `value`."""
        self.send(json_answer(value, status))

    def created(self, path: str) -> None:
        """Say where it is that was made: at `path`, below the server's base path."""
        self.set_header("Location", self.prefix + path)

    def no_content(self) -> None:
        self.set_status(204)
        self.finish()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs["exc_info"][1] if "exc_info" in kwargs else None
        problem = problem_of(error, status_code)
        if problem.status_code == 405:
            allow = ", ".join(self.allowed)
            self.set_header("Allow", allow)
            problem.detail = f"This resource has no such method; it has {allow}."
        answer = problem_answer(problem)
        self._describe(answer)
        self.finish(answer.body)

    def flush(self, include_footers: bool = False) -> asyncio.Future[None]:
        ids = getattr(self, "path_args", None)
        if self.request.method not in _SAFE and ids and not 400 <= self.get_status() < 500:
            self.services.wrote(*ids)
        return super().flush(include_footers)

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if isinstance(value, tornado.iostream.StreamClosedError):
            self.client_gone = True
        elif value is None or problem_of(value, 500).status_code == 500:
            logger.error(
                "%s %a failed",
                self.request.method,
                self.request.path[:200],
                exc_info=(typ, value, tb) if typ and value else None,
            )

    @property
    def gone(self) -> asyncio.Future[None]:
        """Done once `client_gone`."""
        if self._gone is None:
            self._gone = asyncio.get_running_loop().create_future()
            if self.client_gone:
                succeed(self._gone)
            else:
                connection = tornado_internals.stream_of(self.request)
                connection.watch_input(self.on_connection_close)
        return self._gone

    def on_connection_close(self) -> None:
        self.client_gone = True
        if self._gone is not None:
            succeed(self._gone)

    def hold(self, *board_ids: str) -> None:
        connection = tornado_internals.stream_of(self.request)
        assert isinstance(connection, Connection)
        if not connection.share.hold(*board_ids):
            raise connection.server.shares.too_many_boards()

    def drop(self) -> None:
        """Hold no board any more, unless the connection is a stream by now: then until its end."""
        connection = tornado_internals.stream_of(self.request)
        if not self._detached and isinstance(connection, Connection):
            connection.share.drop()

    @contextlib.contextmanager
    def holding(self, *board_ids: str) -> Iterator[None]:
        """`hold`, until the end of the context."""
        self.hold(*board_ids)
        try:
            yield
        finally:
            self.drop()

    def detach(self) -> tornado.iostream.IOStream:
        self._detached = True
        return super().detach()
