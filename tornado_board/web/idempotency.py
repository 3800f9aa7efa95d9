"""``Idempotency-Key``: a request that comes again is not carried out again, but answered again.

The store keeps what a request with a key did, in one step with the change (`store.Once`). Here is
what one process adds: nobody's request is carried out twice at a time, and an answer that is still
in memory is given as it was.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from tornado_board.store import KeyReused, Once
from tornado_board.web.problems import Problem

#: The field, and what an answer says that was given before.
KEY: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"

#: The longest key, in characters.
_LONGEST = 128

#: What a key is.
KEY_PATTERN: Final = f"^[!-~]{{1,{_LONGEST}}}$"

#: Answers that are kept in memory, and their bytes: each and in all. Others are made again from
#: what the store has of them.
MOST_ANSWERS = 10_000
_BYTES_OF_ONE = 65_536
MOST_BYTES = 16 * 2**20


class Answer(NamedTuple):
    """A whole answer, as far as it is this request's own."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class _Kept(NamedTuple):
    request: str
    answer: Answer
    until: float


class Repeats:
    """The requests with keys of one process: those under way, and the newest answers."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        #: By the key of each, the request that is under way.
        self._under_way: dict[str, str] = {}
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._bytes = 0

    @property
    def size(self) -> int:
        """How many answers are kept."""
        return len(self._kept)

    @property
    def bytes(self) -> int:
        """How many bytes they have."""
        return self._bytes

    def begin(self, once: Once) -> Repeat:
        """A request with the key of `once` begins.

        Raises `KeyReused` where the key was another request's, and `Problem` 409 where the same
        one is under way.
        """
        key = once.key
        kept = self._kept.get(key)
        if kept is not None and kept.until <= self._clock():
            self._forget(key)
            kept = None
        request = self._under_way.get(key) or (kept.request if kept is not None else None)
        if request not in (None, once.request):
            raise KeyReused("the idempotency key was used for another request")
        if key in self._under_way:
            raise Problem(
                409,
                "A request with this Idempotency-Key is under way; its answer will be given "
                "to whoever asks again.",
            )
        if kept is None:
            self._under_way[key] = once.request
        return Repeat(self, once, kept.answer if kept is not None else None)

    def keep(self, once: Once, answer: Answer) -> None:
        """See `Repeat.keep`."""
        if len(answer.body) > _BYTES_OF_ONE:
            return
        self._forget(once.key)
        self._kept[once.key] = _Kept(once.request, answer, self._clock() + Once.KEPT)
        self._bytes += len(answer.body)
        while len(self._kept) > MOST_ANSWERS or self._bytes > MOST_BYTES:
            self._forget(next(iter(self._kept)))

    def end(self, once: Once) -> None:
        """See `Repeat.end`."""
        self._under_way.pop(once.key, None)

    def _forget(self, key: str) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._bytes -= len(kept.answer.body)


class Repeat:
    """One request with a key."""

    def __init__(self, repeats: Repeats, once: Once, answer: Answer | None) -> None:
        self._repeats = repeats
        #: What the store is to be given.
        self.once = once
        #: The answer that was given before, if it is still in memory.
        self.answer = answer

    def keep(self, answer: Answer) -> None:
        """Keep the answer that is given to this request."""
        self._repeats.keep(self.once, answer)

    def end(self) -> None:
        """The request was answered. May be called twice."""
        if self.answer is None:
            self._repeats.end(self.once)


def once_of(key: str, caller: str, resource: Sequence[str], request: Sequence[bytes]) -> Once:
    """What the store is told of a request with this `key` of `caller`.

    `resource`: the ids of the board and the player that it is about, which have keys of their own;
    `request`: all that makes it what it is. Raises `Problem` 400 for a key that is none.
    """
    if not 1 <= len(key) <= _LONGEST or not all("!" <= character <= "~" for character in key):
        raise Problem(
            400, f"{KEY}: must be 1 to {_LONGEST} visible ASCII characters, without spaces."
        )
    return Once(_digest(*(part.encode() for part in (caller, key, *resource))), _digest(*request))


def id_of(once: Once) -> str:
    """The id of what a request makes that names none: the same one each time it comes. As hard to
    guess as the key."""
    return _digest(b"id", once.key.encode(), once.request.encode())[:22]


def _digest(*parts: bytes) -> str:
    """A digest of `parts` in 43 characters of ``A-Z a-z 0-9 - _``."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
