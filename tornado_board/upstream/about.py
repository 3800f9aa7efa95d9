"""What an upstream says of itself: whom it follows, and what it misses."""

from __future__ import annotations

import ssl

import msgspec

from tornado_board.upstream import UpstreamError, UpstreamUnreachable, hops
from tornado_board.upstream.address import Address
from tornado_board.upstream.choice import Found, State
from tornado_board.upstream.connection import Connection
from tornado_board.upstream.reply import Reply

#: Where a server says it.
PATH = "/upstream/"

#: The largest answer to that, in bytes.
_LARGEST = 65_536

#: How much of what is missing there is told on, in characters.
_LONGEST = 500


class _About(msgspec.Struct):
    servers: list[str] = []
    missing: list[str] = []


async def look(address: Address, *, own: str, tls: ssl.SSLContext | None, within: float) -> Found:
    """Ask the server at `address`, over a connection of its own, `within` so many seconds; this
    server is `own`."""
    try:
        connection = await Connection.open(address, tls, within)
    except UpstreamUnreachable as error:
        return Found(State.SILENT, reason=str(error))
    fields = [(hops.FIELD, own)]
    if address.authorization:
        fields.append(("Authorization", address.authorization))
    try:
        head = await connection.ask("GET", address.path + PATH, fields, b"", within)
        reply = Reply(connection, head, connection.close)
        body = await reply.whole(within, _LARGEST)
    except UpstreamError as error:
        return Found(State.SILENT, reason=str(error))
    finally:
        connection.close()
    if head.status == 404:
        return Found(State.READY)  # of a version that knows of no edges
    if head.status == 508:
        return Found(State.LOOPED, reason=f"{address} follows this server: a loop")
    if head.status != 200:
        return Found(State.SILENT, reason=f"{address} answers {head.status}")
    try:
        about = msgspec.json.decode(body, type=_About)
    except msgspec.DecodeError:
        return Found(State.SILENT, reason=f"{address} is no tornado_board server")
    return _judged(address, about, own)


def _judged(address: Address, about: _About, own: str) -> Found:
    servers = about.servers
    if own in servers:
        return Found(State.LOOPED, reason=f"{address} follows this server: a loop")
    if len(servers) >= hops.MOST_HOPS:
        reason = f"{address} is behind {len(servers)} servers: a loop, or too many"
        return Found(State.LOOPED, reason=reason)
    if about.missing:
        missing = "; ".join(about.missing)[:_LONGEST]
        return Found(State.INCOMPLETE, servers, f"{address} is not ready: {missing}")
    return Found(State.READY, servers)
