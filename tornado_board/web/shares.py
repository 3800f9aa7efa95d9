"""What each address holds of what there is: connections, and live boards.

Nobody may take so much that there is too little for the rest. A connection holds the boards of its
stream or waiting long-poll.
"""

from __future__ import annotations

import functools
import ipaddress
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tornado_board.settings import Settings
from tornado_board.web.problems import Problem

#: The part of all that one address may have unless the settings say otherwise, and the least that
#: this is: a browser alone opens six connections.
_PART = 4
_LEAST = 32


class Shares:
    """Counts connections and the live boards they hold, in all and by address."""

    def __init__(self, settings: Settings) -> None:
        self.most_connections = settings.max_connections
        self.most_of_one = settings.max_connections_per_address or _part(settings.max_connections)
        self.most_boards_of_one = settings.live_boards_per_address or _part(settings.live_boards)
        #: Open connections.
        self.open = 0
        #: By address: its connections, and how many boards they hold; and by address and board,
        #: how many of them hold it. A key without a connection is not there.
        self.connections: Counter[str] = Counter()
        self._boards: Counter[str] = Counter()
        self._holding: Counter[tuple[str, str]] = Counter()

    @property
    def full(self) -> bool:
        """Whether there are as many connections as there may be."""
        return self.open >= self.most_connections

    def exhausted(self, address: str) -> bool:
        """Whether `address` has as many connections as it may have."""
        return self.connections[neighbourhood(address)] >= self.most_of_one

    def enter(self, address: str) -> Share:
        """Count a connection from `address`, until it is let go."""
        self.open += 1
        share = Share(self, address)
        self.connections[share.key] += 1
        return share

    def move(self, share: Share, address: str) -> None:
        """Count `share` as one of `address` from now on. It holds no board then."""
        share.drop()
        _decrement(self.connections, share.key)
        share.address, share.key = address, neighbourhood(address)
        self.connections[share.key] += 1

    def hold(self, share: Share, board_ids: Sequence[str]) -> bool:
        """See `Share.hold`."""
        wanted = set(board_ids)
        more = sum((share.key, board_id) not in self._holding for board_id in wanted)
        if more and self._boards[share.key] + more > self.most_boards_of_one:
            return False
        share.drop()
        share.board_ids = tuple(wanted)
        for board_id in wanted:
            self._holding[share.key, board_id] += 1
            if self._holding[share.key, board_id] == 1:
                self._boards[share.key] += 1
        return True

    def too_many_boards(self) -> Problem:
        """What is said to who may not hold another board."""
        return Problem(
            429,
            "Streams and long-polls of too many boards are open from this address; close some, "
            f"or try later. The most is {self.most_boards_of_one:,}.",
        )

    def drop(self, share: Share) -> None:
        """See `Share.drop`."""
        for board_id in share.board_ids:
            if _decrement(self._holding, (share.key, board_id)):
                _decrement(self._boards, share.key)
        share.board_ids = ()

    def leave(self, share: Share) -> None:
        """See `Share.leave`."""
        share.drop()
        self.open -= 1
        _decrement(self.connections, share.key)


class Share:
    """What one connection takes of its address's share."""

    __slots__ = ("address", "board_ids", "key", "peer", "shares")

    def __init__(self, shares: Shares, address: str) -> None:
        self.shares = shares
        #: The client's address, and that of who has connected: a proxy may tell of the client.
        self.address = self.peer = address
        #: What the connection is counted under.
        self.key = neighbourhood(address)
        #: The boards that it holds.
        self.board_ids: tuple[str, ...] = ()

    def hold(self, *board_ids: str) -> bool:
        """Hold these boards in place of those held before, if any.

        ``False``, with nothing changed, where the address holds as many boards as it may.
        """
        return self.shares.hold(self, board_ids)

    def drop(self) -> None:
        """Hold no board any more. May be called twice."""
        self.shares.drop(self)

    def leave(self) -> None:
        """The connection was closed. To be called once."""
        self.shares.leave(self)


@functools.lru_cache(maxsize=1024)
def neighbourhood(address: str) -> str:
    """What `address` is counted under: an IPv6 address under its /64, of which one customer has
    all (RFC 6177), and an IPv4 address that is mapped into IPv6 as what it is."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address)
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(parsed) >> 64 << 64, 64)))


def _part(whole: int) -> int:
    return max(whole // _PART, _LEAST)


def _decrement(counter: Counter[Any], key: object) -> bool:
    """Count one less under `key`; whether that was the last."""
    counter[key] -= 1
    if counter[key] > 0:
        return False
    del counter[key]
    return True


@functools.lru_cache(maxsize=1024)
def is_own(address: str) -> bool:
    """Whether the address is one of loopback, or none at all, as of a Unix socket."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return True
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return parsed.is_loopback
