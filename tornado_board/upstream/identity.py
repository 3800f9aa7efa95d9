"""Who this server is, for those that it asks and those that ask it."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable

from tornado_board.upstream import hops
from tornado_board.upstream.address import Address

_OWN = secrets.token_hex(8)


def own_id(port: int) -> str:
    """The id of the server that listens on `port`: the same in all of its processes, and another
    one at each start."""
    return f"{hops.PREFIX}{_OWN}-{port}"


def log_identity(addresses: Iterable[Address]) -> str:
    """What stands for a store's identity in the log of a server that follows these: what one log
    has of other servers is none of another's business."""
    named = " ".join(sorted(map(str, addresses)))
    return "edge-" + hashlib.sha256(named.encode()).hexdigest()[:24]
