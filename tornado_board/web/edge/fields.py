"""Which fields of a request and of its answer are passed on (RFC 9110, section 7.6.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from tornado_board.upstream import hops
from tornado_board.upstream.address import Address

#: What concerns one connection only, beside what ``Connection`` names.
_HOP_BY_HOP = frozenset(
    (
        *("connection", "keep-alive", "proxy-connection", "proxy-authenticate"),
        *("proxy-authentication-info", "proxy-authorization", "te", "trailer"),
        *("transfer-encoding", "upgrade"),
    )
)

#: What this server says anew in a request: whom it is for, how long its body is, whose it is, and
#: which encodings of an answer can be read.
_OWN_OF_REQUEST = frozenset(
    (
        *("host", "content-length", "expect", "accept-encoding"),
        *("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"),
        *("origin", "sec-fetch-site"),
        hops.FIELD.lower(),
    )
)

#: And in an answer.
_OWN_OF_ANSWER = frozenset(("content-length", "date", "server", "x-content-type-options"))
_CORS = "access-control-"

Field = tuple[str, str]


def passed_on(fields: Iterable[Field]) -> Iterator[Field]:
    """`fields` of a request as far as they are passed on as they came."""
    return _without(list(fields), _OWN_OF_REQUEST)


def of_client(address: str) -> list[Field]:
    """The fields that tell the upstream of the client at `address`."""
    return [("X-Forwarded-For", address)] if address else []


def of_page(origin: str | None, site: str | None, host: str, upstream: Address) -> list[Field]:
    """The fields that tell the upstream which page a browser's request comes from: a page of this
    server's own, at `host`, is as one of the upstream's own."""
    found: list[Field] = []
    if origin is not None:
        try:
            own = urlsplit(origin).netloc.lower() == host.lower()
        except ValueError:
            own = False
        found.append(("Origin", upstream.origin if own else origin))
    if site is not None:
        found.append(("Sec-Fetch-Site", site))
    return found


def of_answer(fields: Iterable[Field], upstream: Address, prefix: str) -> Iterator[Field]:
    """`fields` of an answer as they are passed on; `prefix` is what the public paths of this server
    begin with."""
    for name, value in _without(list(fields), _OWN_OF_ANSWER):
        lowered = name.lower()
        if lowered.startswith(_CORS):
            continue
        if lowered == "location":
            yield name, _moved(value, upstream, prefix)
        elif lowered == "link":
            yield name, value.replace(f"<{upstream.path}/", f"<{prefix}/")
        else:
            yield name, value


def _moved(location: str, upstream: Address, prefix: str) -> str:
    path = location.removeprefix(upstream.origin)
    if path.startswith(f"{upstream.path}/"):
        return prefix + path[len(upstream.path) :]
    return location


def _without(fields: list[Field], own: frozenset[str]) -> Iterator[Field]:
    named = {
        option.strip().lower()
        for name, value in fields
        if name.lower() == "connection"
        for option in value.split(",")
    }
    for name, value in fields:
        lowered = name.lower()
        if lowered not in _HOP_BY_HOP and lowered not in own and lowered not in named:
            yield name, value
