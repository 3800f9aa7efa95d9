"""The short way of a plain request: from the socket to the resource that answers it, and back.

Tornado's way (a buffered stream, a parser, a request, a route, a handler, several tasks) is most of
what a request costs. The few that make the load need none of it. At each boundary between requests
the connection is peeked at: a plain request for a resource of the route table is taken; whatever is
out of the ordinary is left where it is, for Tornado to read.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import re
import socket
import time
from collections.abc import Iterable
from typing import Any, NamedTuple, TypeVar

import msgspec

from tornado_board.auth.policy import Action, Allowed
from tornado_board.models import is_id
from tornado_board.realtime.subscriber import Poller, Subscriber
from tornado_board.realtime.wires.websocket import WebSocket
from tornado_board.store.audit import Audited
from tornado_board.tasks import Tasks, succeed
from tornado_board.web import bodies, streams
from tornado_board.web.access_log import log_answer, log_stream_started
from tornado_board.web.admission import forwarded_address
from tornado_board.web.attempt import Attempt
from tornado_board.web.audited import audited_of
from tornado_board.web.cors import cors_headers
from tornado_board.web.exchange import (
    Answer,
    Opened,
    Resource,
    Services,
    Waiting,
    problem_answer,
)
from tornado_board.web.fast_request import MOST, Head, PlainRequest, read
from tornado_board.web.handler import Handler
from tornado_board.web.hosts import Hosts
from tornado_board.web.links import Link, Outcome
from tornado_board.web.parked import ParkedPoll
from tornado_board.web.paths import template
from tornado_board.web.problems import Problem, problem_of
from tornado_board.web.rendering import rendered
from tornado_board.web.shares import neighbourhood

T = TypeVar("T", bound=msgspec.Struct)

#: The longest path that may lead to a resource here, with its ids.
_LONGEST_PATH = 300

_PEEK = socket.MSG_PEEK | socket.MSG_DONTWAIT

#: An ETag as `rendering` makes it.
_ETAG_LENGTHS = (42, 44)

logger = logging.getLogger(__name__)


class Found(NamedTuple):
    """What a path leads to."""

    resource: Resource
    action: Action
    #: The path, below the base path, and the template that it fits.
    path: str
    route: str
    ids: tuple[str, ...]
    #: Parameters that the handler refuses; see `Operation.refused`.
    refused: frozenset[str]


class _Plan(NamedTuple):
    """What a head asks for, as its `owner` sees it: another server may have other settings. If
    nothing was found it is left; `attempt` is without the client's address."""

    owner: FastPath
    found: Found | None
    attempt: Attempt


class Exchange:
    """A request that was let in: what a resource is `Asked`."""

    version = "HTTP/1.1"
    #: Requests that are to be carried out once are left, and those for another protocol.
    once = None
    upgrades = False

    __slots__ = (
        "_attempt",
        "_gone",
        "admitted",
        "client_gone",
        "headers",
        "link",
        "path",
        "route",
        "services",
    )

    def __init__(
        self,
        services: Services,
        link: Link,
        request: PlainRequest,
        path: str,
        route: str,
        attempt: Attempt,
        admitted: Allowed,
    ) -> None:
        self.services = services
        self.link = link
        self.headers = request
        #: As it is to be logged.
        self.path = path
        self.route = route
        self._attempt = attempt
        #: What the request was let in for.
        self.admitted = admitted
        self.client_gone = False
        self._gone: asyncio.Future[None] | None = None

    def argument(self, name: str) -> str | None:
        return self.headers.query.get(name)

    def body(self, expected: type[T], *, empty: bool = False, form: bool = False) -> T:
        headers: Any = self.headers
        return bodies.decode(headers, self.headers.body, expected, empty=empty, form=form)

    @property
    def address(self) -> str:
        """The client's."""
        return self._attempt.address

    @property
    def until(self) -> float | None:
        """From when on the client may not do this any more, in seconds since 1970."""
        return self.admitted.until

    @property
    def audited(self) -> Audited | None:
        return audited_of(self.services.settings, self.admitted, self.headers.method, self.path)

    def check(self, board_id: str) -> None:
        attempt = self._attempt
        if board_id != attempt.board:
            attempt = msgspec.structs.replace(attempt, board=board_id)
        self.services.gate.check(self.admitted, attempt)

    async def may(self, action: Action) -> bool:
        return await self.services.gate.may(self._attempt, action)

    async def check_as_private(self) -> None:
        gate = self.services.gate
        self.admitted = await gate.admit_as_private(self.admitted, self._attempt)

    def charge(self) -> None:
        """Count the request, if it is one of those that are counted. Raises `Problem` 429."""
        self.services.gate.charge(self._attempt, self.admitted)

    def hold(self, *board_ids: str) -> None:
        share = self.link.share
        if not share.hold(*board_ids):
            raise share.shares.too_many_boards()

    @property
    def gone(self) -> asyncio.Future[None]:
        if self._gone is None:
            self._gone = asyncio.get_running_loop().create_future()
            self.link.watch(self._on_gone)
        return self._gone

    def _on_gone(self) -> None:
        self.client_gone = True
        if self._gone is not None:
            succeed(self._gone)


class FastPath:
    """Looks at connections, and serves what it takes from them."""

    def __init__(
        self, services: Services, hosts: Hosts, routes: Iterable[tuple[str, type[Handler]]]
    ) -> None:
        self.services = services
        self._hosts = hosts
        self._settings = services.settings
        self._routes = [(re.compile(path), template(path), handler) for path, handler in routes]
        self._tasks = Tasks()
        self._resource = functools.lru_cache(maxsize=1024)(self._find)

    @property
    def poller(self) -> Poller:
        return self.services.hub.poller

    async def close(self) -> None:
        """Answer nothing any more."""
        await self._tasks.cancel()

    def look(self, link: Link) -> Outcome:
        """Look at what has arrived on `link`, and serve it if that is a request for this path.

        Nothing has been read from the socket unless it was taken.
        """
        try:
            data = link.socket.recv(MOST, _PEEK)
        except (BlockingIOError, InterruptedError):
            return Outcome.NOTHING
        except OSError:
            return Outcome.ENDED
        if not data:
            return Outcome.ENDED
        request = read(data)
        if request is None:
            return Outcome.LEFT
        plan = request.head.plan
        if not isinstance(plan, _Plan) or plan.owner is not self:
            plan = request.head.plan = self._planned(request.head)
        found = plan.found
        if found is None or not self._counts(link, request):
            return Outcome.LEFT
        exchange = self._let_in(link, request, found, plan.attempt)
        if exchange is None:
            return Outcome.LEFT
        resource, ids = found.resource, found.ids
        result: Answer | Opened | Waiting | None = None
        try:
            if resource.at_once is not None:
                result = resource.at_once(exchange, *ids)
            exchange.charge()
        except Exception:
            link.share.drop()
            return Outcome.LEFT  # whatever is wrong with it, the handler tells
        try:
            link.socket.recv(request.length)
        except OSError:
            link.share.drop()
            return Outcome.ENDED
        if result is None:
            link.begin()
            self.answer(exchange, resource, ids)
        elif isinstance(result, Waiting):
            link.begin()
            ParkedPoll(self, exchange, resource, ids, result)
        else:
            self.conclude(exchange, ids, result)
        return Outcome.TAKEN

    def answer(self, exchange: Exchange, resource: Resource, ids: tuple[str, ...]) -> None:
        """Have `resource` answer, in its own time."""
        self._tasks.start(self._answer(exchange, resource, ids))

    def conclude(self, exchange: Exchange, ids: tuple[str, ...], result: Answer | Opened) -> None:
        """Send `result`."""
        request, link = exchange.headers, exchange.link
        cors = cors_headers(self._settings.allowed_origins, request.get("Origin", "") or None)
        if isinstance(result, Opened):
            if not link.is_open:
                return
            sock, release = link.give()
            self._count(exchange, 200)
            log_stream_started(exchange.path, exchange.address)
            assert not isinstance(result.wire, WebSocket)
            head = streams.response_head(cors, result.wire)
            subscriber = Subscriber(sock, self.poller, release)
            streams.begin(self.services.hub, result, subscriber, head, exchange.until)
            return
        status, data = rendered(
            result,
            cors,
            get=request.method == "GET",
            closing=request.closing,
            if_none_match=request.get("If-None-Match", ""),
        )
        if request.method != "GET" and not 400 <= status < 500:
            self.services.wrote(*ids)
        link.share.drop()
        link.reply(data, closing=request.closing)
        seconds = self._count(exchange, status)
        log_answer(
            request.method,
            exchange.path,
            status,
            seconds,
            exchange.address,
            quiet=exchange.client_gone,
        )

    def _count(self, exchange: Exchange, status: int) -> float:
        """Count an answered request; how many seconds it took."""
        request = exchange.headers
        seconds = time.time() - request.started
        self.services.metrics.requested(request.method, exchange.route, status, seconds)
        return seconds

    async def _answer(self, exchange: Exchange, resource: Resource, ids: tuple[str, ...]) -> None:
        try:
            try:
                result = await resource.answer(exchange, *ids)
            except Exception as error:
                problem = problem_of(error, 500)
                if problem.status_code == 500:
                    method = exchange.headers.method
                    logger.error("%s %a failed", method, exchange.path[:200], exc_info=True)
                result = problem_answer(problem)
            self.conclude(exchange, ids, result)
        except BaseException:
            exchange.link.close()
            raise

    def _planned(self, head: Head) -> _Plan:
        found = self._resource(head.method, head.path) if self._admits(head) else None
        if found is not None and not found.refused.isdisjoint(head.query):
            found = None
        board_id, player_id = (*(() if found is None else found.ids), None, None)[:2]
        attempt = Attempt(
            Action.OPEN if found is None else found.action,
            board_id,
            player_id,
            "",
            head.find(b"authorization"),
            head.find(b"cookie"),
            head.query.get("ticket"),
            head.find(b"host") or "",
            head.find(b"origin"),
            head.find(b"sec-fetch-site"),
        )
        return _Plan(self, found, attempt)

    def _let_in(
        self, link: Link, request: PlainRequest, found: Found, attempt: Attempt
    ) -> Exchange | None:
        """Have the gate let the request in; ``None`` where it refuses it, or can't tell at once."""
        attempt = msgspec.structs.replace(attempt, address=link.share.address)
        try:
            allowed = self.services.gate.at_once(attempt)
        except Problem:
            return None
        if allowed is None:
            return None
        return Exchange(self.services, link, request, found.path, found.route, attempt, allowed)

    def _find(self, method: str, path: str) -> Found | None:
        """What `path` leads to."""
        if len(path) > _LONGEST_PATH:
            return None
        prefix = self._settings.path_prefix
        if prefix and (path + "/").startswith(prefix + "/"):
            path = path.removeprefix(prefix) or "/"
        for pattern, route, handler in self._routes:
            match = pattern.fullmatch(path)
            if match is not None:
                resource, ids = handler.resources.get(method), match.groups()
                if resource is None or not ids or not all(map(is_id, ids)):
                    return None
                operation = handler.operations.get(method)
                refused = frozenset() if operation is None else frozenset(operation.refused)
                return Found(resource, handler.actions.of(method), path, route, ids, refused)
        return None

    def _admits(self, head: Head) -> bool:
        """Whether the request may come in, as far as that is plain."""
        fields = head.fields
        if not self._hosts.allows(fields[b"host"].decode("latin-1")):
            return False
        if b"if-none-match" in fields and len(fields[b"if-none-match"]) not in _ETAG_LENGTHS:
            return False
        if head.method == "GET":
            return True
        if head.length and not fields.get(b"content-type", b"").startswith(b"application/json"):
            return False
        site, origin = fields.get(b"sec-fetch-site"), head.find(b"origin") or ""
        if site in (b"same-origin", b"none") or (site is None and not origin):
            return True
        allowed = self._settings.allowed_origins
        return bool(origin) and ("*" in allowed or origin in allowed)

    def _counts(self, link: Link, request: PlainRequest) -> bool:
        """Count the connection as one of the client that a trusted proxy tells of."""
        if not self._settings.trust_forwarded:
            return True
        address = forwarded_address(
            request.get("X-Forwarded-For", ""), request.get("X-Real-Ip", "")
        )
        share = link.share
        if address is None:
            # Nothing tells of the client; who came before over this connection may be another.
            return share.address == share.peer
        if address == share.address:
            return True
        if neighbourhood(address) != share.key and share.shares.exhausted(address):
            return False
        share.shares.move(share, address)
        return True
