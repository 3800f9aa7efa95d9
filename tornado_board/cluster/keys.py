"""The names of everything that a deployment has in Redis: keys and channels."""

from __future__ import annotations

import re

#: What a prefix may be: visible ASCII, without what has a meaning in a pattern of keys.
_PREFIX = re.compile(r"[!-)+-Z_-~]{0,64}", re.ASCII)
_IDENTITY = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)


def check_prefix(prefix: str) -> None:
    """Raise `ValueError` unless `prefix` may begin the names of keys."""
    if _PREFIX.fullmatch(prefix) is None or "?" in prefix:
        raise ValueError("must be at most 64 visible ASCII characters, none of * ? [ ] \\ ^")


class Keys:
    """Names that carry `prefix` and the `identity` of the store, so that two deployments which
    meet on one Redis by mistake never see each other's boards.

    Keys belong to one database of a server, but channels to all of them: a channel's name carries
    the number of the `database` too. Raises `ValueError` for a prefix or an identity that a name
    can't have.
    """

    def __init__(self, prefix: str, identity: str, database: int = 0) -> None:
        check_prefix(prefix)
        if _IDENTITY.fullmatch(identity) is None:
            raise ValueError(f"{identity!r} is not a valid identity of a store")
        self.identity = identity
        root = f"{prefix}{identity}:"
        #: The key that holds the token of the process that publishes.
        self.lease = f"{root}lease"
        #: The key on which the start tries what this user may do; it is left empty.
        self.trial = f"{root}trial"
        #: The channel on which those who want the lease hear that it is free.
        self.lease_channel = f"{root}{database}:lease"
        #: The channel on which processes ask the publishing one for a board.
        self.wanted = f"{root}{database}:wanted"
        self._ticket = f"{root}ticket:"
        self._stream = f"{root}replay:"
        self._track = f"{root}history:"
        self._channel = f"{root}{database}:events:"
        #: What `SCAN` finds all keys by, and streams; ``PUBSUB CHANNELS`` the channels of events.
        self.all = f"{root}*"
        self.streams = f"{self._stream}*"
        self.tracks = f"{self._track}*"
        self.channels = f"{self._channel}*"

    def ticket(self, digest: str) -> str:
        """The key of what a ticket stands for, whose digest this is."""
        return self._ticket + digest

    def stream(self, board_id: str) -> str:
        """The key of the board's events."""
        return self._stream + board_id

    def track(self, step: str, board_id: str) -> str:
        """The key of what the track of this step, a name without a colon, has of the board."""
        return f"{self._track}{step}:{board_id}"

    def channel(self, board_id: str) -> str:
        """The channel on which the board's events are published."""
        return self._channel + board_id

    def board_of_stream(self, key: str) -> str | None:
        """The board whose events `key` holds; ``None`` for any other key."""
        return _rest(key, self._stream)

    def step_of_track(self, key: str) -> str | None:
        """The step of the track that `key` holds; ``None`` for any other key."""
        step, _, board_id = (_rest(key, self._track) or "").partition(":")
        return step if board_id else None

    def board_of_track(self, key: str) -> str | None:
        """The board of whose track `key` holds a step; ``None`` for any other key."""
        return (_rest(key, self._track) or "").partition(":")[2] or None

    def board_of_channel(self, channel: str) -> str | None:
        """The board whose events are published on `channel`; ``None`` for any other channel."""
        return _rest(channel, self._channel)


def _rest(name: str, start: str) -> str | None:
    return name[len(start) :] if name.startswith(start) and len(name) > len(start) else None
