"""The publishing lease: a key in Redis that at most one process holds.

The holder renews it long before it expires. By its own clock it counts the lease as lost before
the key can expire, so no two processes think at once that they hold it; and should the holder be
stopped just after it looked at its clock, the token that every append carries no longer is the
key's (``replay/append.lua``).

A token is ``{identity}:{host}:{pid}:{random}``: the identity is the store's, so that the key says
which deployment publishes.

What lies at the key may be no lease at all: of another type, another program's, or without an
expiry within `LONGEST`, which no process ever sets (a hand at the console, or a clock of Redis's
that stepped back). A token of this deployment is then made to run out; anything else is left
alone, and `Lease.problem` says what is wrong, since nobody can publish until it is gone.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import time
from collections.abc import Callable

from tornado_board.cluster.keys import Keys
from tornado_board.replay.redis_link import TIMEOUT, RedisLink, Script

logger = logging.getLogger(__name__)

_ACQUIRE, _RENEW, _RELEASE = (
    Script(name, package=__package__) for name in ("acquire", "renew", "release")
)

#: The longest lease that the settings allow, in seconds.
LONGEST = 60.0

#: The part of its duration after which the holder counts the lease as lost. The rest is for
#: clocks that run at different speeds.
_LOCAL_PART = 0.9


class Lease:
    """The lease at `keys.lease` on `link`'s server, for `duration` seconds at a time.

    A process may try to acquire it again and again; each time it gets it under a new token.
    """

    def __init__(
        self,
        link: RedisLink,
        keys: Keys,
        duration: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._link = link
        self._keys = keys
        self._duration_ms = round(duration * 1000)
        self._clock = clock
        self._within = min(TIMEOUT, duration / 3)
        self._valid_until = 0.0
        self._tried = ""  # a token that an acquisition with an unknown outcome may have set
        self.token = ""
        #: What is wrong with the key, as far as the last try to acquire it told: then nobody can
        #: say who publishes. ``None`` where this or another process of the deployment has it.
        self.problem: str | None = None

    @property
    def held(self) -> bool:
        """Whether this process holds it, as far as its own clock tells."""
        return self.remaining > 0

    @property
    def remaining(self) -> float:
        """For how many seconds it is still held; 0 where it isn't."""
        return max(0.0, self._valid_until - self._clock()) if self.token else 0.0

    async def acquire(self) -> bool:
        """Take it if nobody has it, and say whether; `problem` tells of a key that is no lease.

        Raises `LogUnavailable`.
        """
        started = self._clock()
        if self._tried and await self._run(_RENEW, self._tried, self._duration_ms):
            token = self._tried
        else:
            start = f"{self._keys.identity}:"
            token = f"{start}{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(16)}"
            self._tried = token
            longest = round(max(LONGEST * 1000, self._duration_ms))
            reply = await self._run(_ACQUIRE, token, self._duration_ms, longest, start)
            self._note(reply)
            if reply != 1:
                self._tried = ""
                return False
        self._tried, self.problem = "", None
        self._take(token, started)
        return self.held

    async def renew(self) -> bool:
        """Hold it for its full time again; ``False``, and it is lost, if it is not ours any more.

        Raises `LogUnavailable`: then it is held until its time is up, and may be renewed.
        """
        started, token = self._clock(), self.token
        if not self.held or not await self._run(_RENEW, token, self._duration_ms):
            self.token = ""
            return False
        if self.token == token:  # and was not released meanwhile
            self._take(token, started)
        return self.held

    async def release(self) -> None:
        """Hand it back, so that another process need not wait. Raises `LogUnavailable`."""
        token, self.token = self.token or self._tried, ""
        if token:
            await self._run(_RELEASE, token, self._keys.lease_channel)

    def _note(self, reply: int | str) -> None:
        """Take down what the script said of the key, and say it once."""
        problem = None
        if isinstance(reply, str):
            problem = f"the publishing lease at {self._keys.lease!r} is none: {reply}"
        if problem is not None and problem != self.problem:
            logger.warning("%s", problem)
        self.problem = problem

    async def _run(self, script: Script, *arguments: str | int) -> int | str:
        # Taking it twice would fail for having succeeded.
        reply: int | str = await self._link.run(
            script,
            (self._keys.lease,),
            arguments,
            within=self._within,
            repeatable=script is not _ACQUIRE,
        )
        return reply

    def _take(self, token: str, started: float) -> None:
        """Hold the lease under `token`, from when the command was sent that got it."""
        self.token = token
        self._valid_until = started + self._duration_ms / 1000 * _LOCAL_PART
