"""The server: connections, handshake, queries and feeds, and how it misbehaves."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import secrets
import ssl
import struct
from typing import Any

from rethinkdb import ql2_pb2

from tests.reql.tables import Feed, Rows, Table
from tests.reql.terms import Evaluator, FeedOf
from tests.reql.values import ErrorType, ReQLError, stored

_Query = ql2_pb2.Query.QueryType
_Response = ql2_pb2.Response.ResponseType
_ITERATIONS = 4096  # of PBKDF2; RFC 7677 asks for at least these
_WRONG_PASSWORD = 12  # the protocol's error code


class ReQLServer:
    """Listens on a port of the loopback interface. Use as an asynchronous context manager.

    Args:
        password: of the only user, ``admin``.
        tls: turns TLS on.
    """

    def __init__(self, password: str = "", tls: ssl.SSLContext | None = None) -> None:
        self.databases: dict[str, dict[str, Table]] = {"test": {}}
        self.port = 0
        #: Queries that were run, as ``(type, term)``.
        self.queries: list[Any] = []
        #: What can be said of the cluster, and made to fail.
        self.cluster = Evaluator(self.databases)
        self._password = password
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        #: Cleared: nothing is read off the connections, as if the process were stopped.
        self.running = asyncio.Event()
        #: Cleared: queries are run, and their answers held back.
        self.answering = asyncio.Event()
        self.running.set()
        self.answering.set()
        #: Errors that the next queries with a write in them get instead of being run; ``None`` for
        #: one that is run.
        self.next_errors: list[ReQLError | None] = []

    async def __aenter__(self) -> ReQLServer:
        await self.start()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.stop()

    def url(self, database: str = "test", user: str = "") -> str:
        return f"rethinkdb://{user}127.0.0.1:{self.port}/{database}"

    async def start(self) -> None:
        """Listen, on the same port as before if it did."""
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, ssl=self._tls
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Go away; the tables stay. Held answers are never given."""
        if self._server is not None:
            self._server.close()
        tasks = {connection.task for connection in self._connections}
        self.drop_connections()
        if tasks:
            await asyncio.wait(tasks)
        self._server = None

    def drop_connections(self) -> None:
        """Cut every connection."""
        for connection in self._connections:
            connection.cut()

    def put_in_feeds(self, table: str, row: dict[str, Any]) -> None:
        """Send `row` to the changefeeds of `table`; for instance ``{"error": ...}``."""
        for tables in self.databases.values():
            if table in tables:
                for feed in tables[table].feeds:
                    feed.put(row)

    @property
    def feeds(self) -> int:
        """How many changefeeds are open."""
        return sum(len(t.feeds) for tables in self.databases.values() for t in tables.values())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self, reader, writer)
        self._connections.add(connection)
        try:
            await connection.serve()
        finally:
            self._connections.discard(connection)

    def run(self, term: Any, options: dict[str, Any]) -> Any:
        """Run a query. Raises `ReQLError`."""
        self.queries.append(term)
        if self.next_errors and _writes(term):
            error = self.next_errors.pop(0)
            if error is not None:
                raise error
        (database,) = options["db"][1] if "db" in options else ("test",)
        return self.cluster.run(term, database)

    def authenticate(self, first: str, nonce: str, salt: bytes, proof: str) -> str | None:
        """Check the client's SCRAM proof (RFC 5802); return the server's signature if it holds."""
        bare = first.removeprefix("n,,")
        if dict(part.split("=", 1) for part in bare.split(","))["n"] != "admin":
            return None
        salted = hashlib.pbkdf2_hmac("sha256", self._password.encode(), salt, _ITERATIONS)
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        server_first = f"r={nonce},s={base64.b64encode(salt).decode()},i={_ITERATIONS}"
        message = f"{bare},{server_first},c=biws,r={nonce}".encode()
        signature = hmac.digest(hashlib.sha256(client_key).digest(), message, "sha256")
        expected = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        if not hmac.compare_digest(base64.b64decode(proof), expected):
            return None
        server_key = hmac.digest(salted, b"Server Key", "sha256")
        return base64.b64encode(hmac.digest(server_key, message, "sha256")).decode()


class _Connection:
    def __init__(
        self, server: ReQLServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._server, self._reader, self._writer = server, reader, writer
        self._feeds: dict[int, tuple[Feed, Table, asyncio.Event]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.task: Any = asyncio.current_task()

    def cut(self) -> None:
        self._writer.transport.abort()
        self.task.cancel()

    async def serve(self) -> None:
        try:
            with contextlib.suppress(
                ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError
            ):
                if await self._handshake():
                    while True:
                        await self._query()
        finally:
            for token in list(self._feeds):
                self._close_feed(token)
            for task in self._tasks:
                task.cancel()
            self._writer.transport.abort()

    async def _handshake(self) -> bool:
        await self._server.running.wait()
        await self._reader.readexactly(4)
        first = (await self._hello())["authentication"]
        client_nonce = dict(p.split("=", 1) for p in first.removeprefix("n,,").split(","))["r"]
        nonce, salt = client_nonce + secrets.token_hex(9), secrets.token_bytes(16)
        versions = {"min_protocol_version": 0, "max_protocol_version": 0, "server_version": "test"}
        self._say({"success": True, **versions})
        encoded = base64.b64encode(salt).decode()
        self._say({"success": True, "authentication": f"r={nonce},s={encoded},i={_ITERATIONS}"})
        answer = (await self._hello())["authentication"]
        proof = answer.partition(",p=")[2]
        signature = self._server.authenticate(first, nonce, salt, proof)
        if signature is None:
            self._say({"success": False, "error": "Wrong password", "error_code": _WRONG_PASSWORD})
            await self._writer.drain()
            return False
        self._say({"success": True, "authentication": f"v={signature}"})
        return True

    async def _hello(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads((await self._reader.readuntil(b"\0"))[:-1])
        return message

    def _say(self, message: dict[str, Any]) -> None:
        self._writer.write(json.dumps(message).encode() + b"\0")

    async def _query(self) -> None:
        header = await self._reader.readexactly(12)
        token, length = struct.unpack("<QL", header)
        kind, *rest = json.loads(await self._reader.readexactly(length))
        await self._server.running.wait()
        if kind == _Query.START:
            self._spawn(self._start(token, *rest))
        elif kind == _Query.CONTINUE:
            self._spawn(self._continue(token))
        elif kind == _Query.STOP:
            self._close_feed(token)
            await self._answer(token, _Response.SUCCESS_SEQUENCE, [])

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start(self, token: int, term: Any, options: dict[str, Any]) -> None:
        try:
            value = self._server.run(term, options)
        except ReQLError as error:
            await self._answer(token, _Response.RUNTIME_ERROR, [str(error)], e=error.kind, b=[])
            return
        if isinstance(value, FeedOf):
            event = asyncio.Event()
            feed = Feed(event.set)
            value.table.feeds.append(feed)
            self._feeds[token] = (feed, value.table, event)
            await self._answer(token, _Response.SUCCESS_PARTIAL, [])
        elif isinstance(value, Rows):
            await self._answer(token, _Response.SUCCESS_SEQUENCE, stored(value.items))
        else:
            await self._answer(token, _Response.SUCCESS_ATOM, [stored(value)])

    async def _continue(self, token: int) -> None:
        if token not in self._feeds:
            return
        feed, _, event = self._feeds[token]
        await event.wait()
        await self._server.running.wait()
        event.clear()
        if feed.aborted:
            self._close_feed(token)
            reason, kind = "Changefeed aborted (unavailable).", ErrorType.OP_FAILED
            await self._answer(token, _Response.RUNTIME_ERROR, [reason], e=kind, b=[])
            return
        rows, feed.rows = feed.rows, []
        await self._answer(token, _Response.SUCCESS_PARTIAL, stored(rows))

    def _close_feed(self, token: int) -> None:
        feed, table, _ = self._feeds.pop(token)
        if feed in table.feeds:
            table.feeds.remove(feed)

    async def _answer(self, token: int, kind: int, data: list[Any], **more: Any) -> None:
        await self._server.answering.wait()
        text = json.dumps({"t": kind, "r": data, **more}).encode()
        self._writer.write(struct.pack("<QL", token, len(text)) + text)
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()


_WRITES = {
    ql2_pb2.Term.TermType.INSERT,
    ql2_pb2.Term.TermType.UPDATE,
    ql2_pb2.Term.TermType.REPLACE,
    ql2_pb2.Term.TermType.DELETE,
}


def _writes(term: Any) -> bool:
    """Whether there is a write anywhere in `term`."""
    if isinstance(term, dict):
        return any(map(_writes, term.values()))
    if not isinstance(term, list):
        return False
    is_write = len(term) > 1 and isinstance(term[1], list) and isinstance(term[0], int)
    is_write = is_write and term[0] in _WRITES
    return is_write or any(map(_writes, term))
