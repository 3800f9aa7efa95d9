"""What every handler shares: its collaborators, CORS, checked ids, JSON out and problems."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, ClassVar, TypeVar, cast

import msgspec
import tornado.iostream
import tornado.web
import ujson

from tornado_board import models
from tornado_board.realtime.catchup import CatchUps
from tornado_board.realtime.hub import Hub
from tornado_board.realtime.places import Places
from tornado_board.realtime.ranks import Ranks, Standing
from tornado_board.replay import ReplayLog
from tornado_board.settings import Settings
from tornado_board.store import (
    Once,
    Store,
    StoreError,
)
from tornado_board.tasks import succeed
from tornado_board.web import bodies, idempotency, tornado_internals
from tornado_board.web.accept import wants_event_stream
from tornado_board.web.connections import Connection
from tornado_board.web.cors import ALLOWED_ORIGIN, REQUEST_HEADERS, cors_headers
from tornado_board.web.idempotency import Answer, Repeat, Repeats
from tornado_board.web.problems import CONTENT_TYPE, Problem, problem_of

T = TypeVar("T", bound=msgspec.Struct)

logger = logging.getLogger(__name__)

ID_RULE = "must be 1 to 64 characters of A-Z a-z 0-9 . _ ~ -, but not . or .."

#: What resources can have beside OPTIONS.
METHODS = ("GET", "HEAD", "POST", "PATCH", "DELETE")

#: The methods whose requests may have an idempotency key: the others do the same each time.
_REPEATED = frozenset({"POST", "PATCH"})

#: What of an answer's header is the request's own.
_KEPT_HEADERS = ("Content-Type", "Location")

#: Seconds a browser may remember what OPTIONS said.
_PREFLIGHT_MAX_AGE = 600


@dataclass(frozen=True)
class Services:
    """What handlers work with; made in one place and passed to each of them."""

    store: Store
    log: ReplayLog
    hub: Hub
    catch_ups: CatchUps
    ranks: Ranks
    places: Places
    settings: Settings
    #: What is missing to serve requests, a sentence each; empty when all is well.
    readiness: Callable[[], Awaitable[list[str]]]
    repeats: Repeats = field(default_factory=Repeats)


class Handler(tornado.web.RequestHandler):
    """A resource. Its path arguments are ids of boards and players, checked before a method
    runs."""

    #: Whether the client went away before it was answered. Once `gone` was asked for, also whether
    #: it has ended its side of the connection: it may still read an answer then, which can't be
    #: told.
    client_gone = False
    _detached = False
    _repeat: Repeat | None = None
    _gone: asyncio.Future[None] | None = None

    def initialize(self, services: Services) -> None:
        self.services = services

    @property
    def store(self) -> Store:
        return self.services.store

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
        if self.request.method in _REPEATED:
            self._begin_once()
        return None

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
            for name, value in headers:
                self.set_header(name, value)
            self.send(body, status)

    @property
    def caller(self) -> str:
        """Who asks: nobody in particular, as long as there are no tokens."""
        return ""

    @property
    def once(self) -> Once | None:
        """What makes this request's change happen once, if the request has a key for that."""
        return None if self._repeat is None else self._repeat.once

    def on_finish(self) -> None:
        if self._repeat is not None:
            self._repeat.end()

    # What comes in

    def body(self, expected: type[T], *, empty: bool = False, form: bool = False) -> T:
        """The request's body as `expected`; see `bodies.decode`."""
        return bodies.decode(
            self.request.headers, self.request.body, expected, empty=empty, form=form
        )

    def integer_argument(self, name: str, default: int, low: int, high: int) -> int:
        """A query parameter that is a whole number from `low` to `high`. Raises `Problem` 400."""
        text = self.get_query_argument(name, None, strip=False)
        if text is None:
            return default
        if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) or not low <= int(text) <= high:
            raise Problem(400, f"{name}: must be a whole number from {low} to {high}.")
        return int(text)

    def id_argument(self, name: str) -> str:
        """A query parameter that is an id, or an empty string. Raises `Problem` 400."""
        text = self.get_query_argument(name, "", strip=False)
        if text and not models.is_id(text):
            raise Problem(400, f"{name}: {ID_RULE}.")
        return text

    def flag_argument(self, name: str) -> bool:
        """A query parameter that is ``1``, or nothing at all, for yes and ``0`` for no, as which it
        counts where it is left out. Raises `Problem` 400."""
        text = self.get_query_argument(name, "0", strip=False)
        if text not in ("", "0", "1"):
            raise Problem(400, f"{name}: must be 1 for yes or 0 for no.")
        return text != "0"

    def fields_argument(self, *known: str) -> tuple[str, ...]:
        """The query parameter ``fields``: names of those `known`. Raises `Problem` 400."""
        text = self.get_query_argument("fields", None, strip=False)
        if text is None:
            return ()
        names = tuple(text.split(","))
        if not set(known).issuperset(names):
            raise Problem(400, f"fields: must be of {', '.join(known)}, with commas between them.")
        return names

    @property
    def wants_event_stream(self) -> bool:
        """Whether the request asks for an event stream rather than JSON. Raises `Problem` 400."""
        try:
            return wants_event_stream(
                self.request.headers.get("Accept", ""),
                self.get_query_argument("stream", None, strip=False),
            )
        except ValueError as error:
            raise Problem(400, f"stream: {error}.") from None

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

    def send_json(self, value: object, status: int = 200) -> None:
        """Answer with `value`, or with a string that is JSON already."""
        if not isinstance(value, str):
            value = ujson.dumps(value, ensure_ascii=False, escape_forward_slashes=False)
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.send(f"{value}\n".encode(), status)

    def send(self, body: bytes, status: int = 200, *, final: bool = True) -> None:
        """Answer with `body`, of the type that was set. `final`: whether it is to be given again
        to a request that comes again."""
        self.set_status(status)
        if self._repeat is not None:
            if self._repeat.once.replayed:
                self.set_header(idempotency.REPLAYED, "true")
            if final and self._repeat.answer is None:
                set_here = self._headers
                headers = tuple((n, set_here[n]) for n in _KEPT_HEADERS if n in set_here)
                self._repeat.keep(Answer(status, headers, body))
        self.finish(body)

    def created(self, path: str) -> None:
        """Say where it is that was made: at `path`, below the server's base path."""
        self.set_header("Location", self.prefix + path)

    def wrote(
        self,
        board_id: str,
        player_id: str,
        before: models.Number | None,
        after: models.Number | None,
        since: int,
    ) -> None:
        """Tell the ranks what the store was just told, so that the caller's own write is in them:
        the player's score `before` and `after`, ``None`` where it was not there. `since`:
        `Ranks.position` before the write began."""
        # What an earlier request wrote is in them already, and maybe no longer so.
        if before != after and not (self.once is not None and self.once.replayed):
            self.ranks.wrote(board_id, player_id, before, after, since)

    async def standing(self, board_id: str, *scores: models.Number) -> Standing | None:
        """How `scores` stand on the board, for the answer to a write; ``None`` if the store can't
        tell it any more, since what was written was written all the same."""
        try:
            return await self.ranks.standing(board_id, *scores)
        except StoreError:
            return None

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
        self.set_status(problem.status_code)
        for name, value in problem.headers.items():
            self.set_header(name, value)
        self.set_header("Content-Type", CONTENT_TYPE)
        self.set_header("Cache-Control", "no-store")
        self.finish(problem.json())

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

    @contextlib.contextmanager
    def holding(self, *board_ids: str) -> Iterator[None]:
        """Count the boards as held by the client's address: until the end of the context or, where
        the connection is a stream by then, of that.

        Raises `Problem` 429 where the address holds as many boards as it may.
        """
        connection = tornado_internals.stream_of(self.request)
        assert isinstance(connection, Connection)
        if not connection.share.hold(*board_ids):
            most = connection.server.shares.most_boards_of_one
            raise Problem(
                429,
                "Streams and long-polls of too many boards are open from this address; close some, "
                f"or try later. The most is {most:,}.",
            )
        try:
            yield
        finally:
            if not self._detached:
                connection.share.drop()

    def detach(self) -> tornado.iostream.IOStream:
        self._detached = True
        return super().detach()
