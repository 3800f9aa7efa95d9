"""Which servers a request has come through, so that one that follows itself finds out.

Each edge adds its own id to ``CDN-Loop`` (RFC 8586) in what it sends to its upstream. What an edge
asks on its own behalf, for all of its clients, carries the ids that the first of these came with.
"""

from __future__ import annotations

#: The field.
FIELD = "CDN-Loop"

#: The most servers that a request comes through: more is a loop whose ids were lost on the way, or
#: as good as one.
MOST_HOPS = 8

#: The longest field that is looked at, in characters.
_LONGEST = 4_096

#: What ids of these servers begin with; others are of proxies on the way.
PREFIX = "tornado-board-"


class Looped(Exception):
    """The request has been here before, or has come too far. `str(error)` says which."""


def extended(field: str, own: str) -> str:
    """`field` as it is sent on by the server `own`. Raises `Looped` if it must not be."""
    if len(field) > _LONGEST:
        raise Looped(f"{FIELD} has more than {_LONGEST} characters")
    ids = servers(field)
    if own in ids:
        raise Looped("the request has come through this server already")
    if len(ids) >= MOST_HOPS:
        raise Looped(f"the request has come through {len(ids)} servers; the most is {MOST_HOPS}")
    return f"{field}, {own}" if field.strip() else own


def servers(field: str) -> list[str]:
    """The ids of edges in `field`, the first that it came through first."""
    ids = (item.partition(";")[0].strip() for item in field.split(","))
    return [id for id in ids if id.startswith(PREFIX)]
