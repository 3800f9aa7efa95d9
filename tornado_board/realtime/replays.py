"""Catch-ups on their way to clients that have not taken them yet, and the bound of them all.

A client that asks for the past and does not read it costs what it asked for, for as long as it
stays. What all of them cost has a bound, and past it those who have been at it longest have to go:
so whoever reads gets what was missed, whatever others do.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

from tornado_board.realtime.wires import Message

#: How many bytes all catch-ups may have together. One that several are sent counts once.
MOST_BYTES_IN_ALL = 64 * 2**20

#: Clients noted as taking a catch-up before it is looked which of them still are.
_LOOK_AT = 64


class Holder(Protocol):
    """A subscriber that has been sent a catch-up: see `subscriber.Subscriber`."""

    @property
    def replay(self) -> Replay | None:
        """What it has not taken all of yet."""

    def close(self) -> None:
        """Close the connection; the client comes back for the rest."""


class Replay(Message):
    """Events that all have to arrive, counted for as long as anybody has them."""

    _replays: Replays
    _key: Hashable

    @property
    def kept(self) -> Message:
        return self

    def held_by(self, holder: Holder) -> None:
        """Note that `holder` could not take it at once."""
        self._replays.note(holder, self._key)

    def __del__(self) -> None:
        # Whoever had it last: a cache, a subscriber's unfinished message, a TLS stream's buffer.
        self._replays.bytes -= len(self)


class Replays:
    """All catch-ups that are kept or on their way, and who they are on their way to."""

    def __init__(self) -> None:
        #: How many bytes there are.
        self.bytes = 0
        # The longest at it first; also some who have taken theirs meanwhile.
        self._holders: dict[Holder, None] = {}
        # By what they hold, the latest of them.
        self._latest: dict[Hashable, Holder] = {}
        self._look_at = _LOOK_AT

    def make(self, key: Hashable, data: Message) -> Replay:
        """`data`, counted; `key` says what it is."""
        replay = Replay(data)
        replay._replays, replay._key = self, key
        replay.content = data.content
        self.bytes += len(data)
        return replay

    def find(self, key: Hashable) -> Replay | None:
        """One that is on its way to a client, for another who asks for the same."""
        holder = self._latest.get(key)
        replay = None if holder is None else holder.replay
        return replay if replay is not None and replay._key == key else None

    def note(self, holder: Holder, key: Hashable) -> None:
        """Note that `holder` could not take all that it was sent at once."""
        if max(len(self._holders), len(self._latest)) >= self._look_at:
            self._holders = {h: None for h in self._holders if h.replay is not None}
            self._latest = {k: h for k, h in self._latest.items() if h.replay is not None}
            self._look_at = max(_LOOK_AT, 2 * len(self._holders))
        self._holders[holder] = None
        self._latest[key] = holder

    def has_room(self, size: int) -> bool:
        """Whether `size` bytes more are within the bound."""
        return self.bytes + size <= MOST_BYTES_IN_ALL

    def make_room(self, size: int) -> bool:
        """Have those go who have been at it longest, until there is room for `size` bytes more.

        Returns whether there is.
        """
        while not self.has_room(size) and self._holders:
            holder = next(iter(self._holders))
            del self._holders[holder]
            if holder.replay is not None:
                holder.close()
        return self.has_room(size)
