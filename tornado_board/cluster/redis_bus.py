"""The bus of processes that share a Redis: one holds the publishing lease, the others follow.

A process's role is reconciled a few times a second:

- `Role.PUBLISHER`: it holds the lease. Its appends carry the lease's token.
- `Role.FOLLOWER`: another process holds it.
- `Role.ISOLATED`: the lease can't be asked for, so nobody can know who publishes. A holder is
  isolated once its lease has run out by its own clock, a follower once it could not ask for a while
  (`_PATIENCE`). So is a process whose store is its own (SQLite) while another one has the lease.

Two processes never append at once: see `Lease`. A holder that can't publish, because its store's
feed is not open, gives the lease up (`_UNFIT`): another process may reach the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable, Sequence

from tornado_board.cluster import Member, Role
from tornado_board.cluster.keys import Keys
from tornado_board.cluster.lease import Lease
from tornado_board.cluster.listener import Listener
from tornado_board.replay import Event, EventId, LogUnavailable
from tornado_board.replay.redis_link import RedisLink, value
from tornado_board.settings import Settings

logger = logging.getLogger(__name__)

#: As parts of the lease's duration: how often it is renewed, how often the others try to get it,
#: and how long a follower bears with a Redis that it can't reach.
_RENEWALS, _TRIES, _PATIENCE = 0.25, 0.1, 0.5

#: Seconds before Redis is tried again when it could not be reached.
_AGAIN = 0.1

#: Seconds without a feed after which the holder gives the lease up.
_UNFIT = 3.0

#: Connections: for the lease, and for questions about who follows what.
_LEASE, _QUESTIONS = 2, 4


class RedisBus:
    """The `Bus` on Redis."""

    def __init__(
        self, link: RedisLink, keys: Keys, settings: Settings, *, may_follow: bool = True
    ) -> None:
        """`may_follow`: the store is shared, so that another process's events are of its boards."""
        self.fence = self._lease = Lease(link, keys, settings.lease)
        self.role: Role | None = None
        self._link = link
        self._keys = keys
        self._duration = settings.lease
        self._may_follow = may_follow
        self._questions = asyncio.Semaphore(_QUESTIONS)
        self._listener = Listener(link, self._on_message, self._on_subscribed)
        self._member: Member | None = None
        self._term = ""  # the lease's token for which this process took over
        self._unfit = False  # whether it gave the lease up, and has to be able to publish first
        self._woken = asyncio.Event()
        #: Since when Redis can't be reached. Counted from the first failure, not the last success:
        #: after a stall of this process's loop there has been no success for long either.
        self._failing_since: float | None = None
        self._task: asyncio.Task[None] | None = None

    @classmethod
    def open(
        cls, url: str, settings: Settings, identity: str, *, may_follow: bool = True
    ) -> RedisBus:
        """The bus of the store `identity` at ``redis://...``, see `RedisURL`.

        Raises `ValueError` for a URL that names no server.
        """
        link = RedisLink(url, _LEASE + _QUESTIONS)
        keys = Keys(settings.redis_prefix, identity, link.database)
        return cls(link, keys, settings, may_follow=may_follow)

    async def start(self, member: Member) -> None:
        self._member = member
        await self._listener.subscribe([self._keys.lease_channel])
        while self.role is None:
            await self._reconcile()
            if self.role is None:
                await asyncio.sleep(_AGAIN)
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        with contextlib.suppress(LogUnavailable):
            await self._lease.release()
        await self._listener.close()
        await self._link.close()

    def missing(self) -> list[str]:
        missing = []
        if self._lease.problem is not None:
            missing.append(self._lease.problem)
        elif self.role is Role.FOLLOWER and not self._listener.connected:
            missing.append("Redis can't be heard")
        elif self.role is Role.ISOLATED and self._failing_since is None:
            missing.append("another server publishes the boards of this store's copy")
        return missing

    def wake(self) -> None:
        self._woken.set()

    # Other processes

    async def follow(self, board_ids: Iterable[str]) -> None:
        await self._listener.subscribe(map(self._keys.channel, board_ids))

    async def unfollow(self, board_ids: Iterable[str]) -> None:
        await self._listener.unsubscribe(map(self._keys.channel, board_ids))

    async def want(self, board_id: str) -> bool:
        async with self._questions:
            try:
                [reply] = await self._link.send(("PUBLISH", self._keys.wanted, board_id))
                return int(value(reply)) > 0
            except LogUnavailable as error:
                logger.debug("the publisher can't be asked for board %s: %s", board_id, error)
                return False

    async def followed(self, board_ids: Sequence[str]) -> set[str]:
        if not board_ids:
            return set()
        command = ("PUBSUB", "NUMSUB", *map(self._keys.channel, board_ids))
        async with self._questions:
            counts = value(*await self._link.send(command, repeatable=True))
        numbers = map(int, counts[1::2])
        return {board_id for board_id, n in zip(board_ids, numbers, strict=True) if n > 0}

    async def all_followed(self) -> Sequence[str]:
        command = ("PUBSUB", "CHANNELS", self._keys.channels)
        async with self._questions:
            names = value(*await self._link.send(command, repeatable=True))
        return [b for b in map(self._keys.board_of_channel, names) if b is not None]

    # What Redis tells

    def _on_subscribed(self, channel: str) -> None:
        board_id = self._keys.board_of_channel(channel)
        if board_id is not None and self._member is not None:
            self._member.on_following(board_id)

    def _on_message(self, channel: str, payload: str) -> None:
        assert self._member is not None
        if channel == self._keys.lease_channel:
            if self.role is not Role.PUBLISHER:
                self.wake()
        elif channel == self._keys.wanted:
            self._member.on_wanted(payload)
        elif (board_id := self._keys.board_of_channel(channel)) is not None:
            self._on_event(board_id, payload)

    def _on_event(self, board_id: str, payload: str) -> None:
        """A board's channel says ``gone``, or an id (``-`` for none), a blank, and the board."""
        assert self._member is not None
        if payload == "gone":
            self._member.on_event(board_id, None)
            return
        head, blank, data = payload.partition(" ")
        with contextlib.suppress(ValueError):  # another program's
            event_id = None if head == "-" else EventId.parse(head)
            if blank:
                self._member.on_event(board_id, Event(event_id, data))

    # Roles

    async def _run(self) -> None:
        while True:
            part = _RENEWALS if self.role is Role.PUBLISHER else _TRIES
            wait = _AGAIN if self._failing_since is not None else part * self._duration
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._woken.wait()
            self._woken.clear()
            try:
                await self._reconcile()
            except Exception:
                logger.exception("the role could not be reconciled")
                await asyncio.sleep(_AGAIN)

    async def _reconcile(self) -> None:
        """Renew or try to acquire the lease, and take the role that follows from it."""
        assert self._member is not None
        try:
            holds = bool(self._lease.token) and await self._lease.renew()
            if holds and self._member.unfit_for() > _UNFIT:
                logger.warning("the lease is given up, since the store can't be followed")
                self._unfit, holds = True, False
                await self._lease.release()
            elif not holds and (not self._unfit or await self._member.can_publish()):
                holds = await self._lease.acquire()
        except LogUnavailable as error:
            self._do_without(error)
            return
        self._failing_since = None
        if self._lease.problem is not None:
            await self._take(Role.ISOLATED)  # nobody can say who publishes
        elif not holds:
            await self._take(Role.FOLLOWER if self._may_follow else Role.ISOLATED)
        elif self._term != self._lease.token:
            self._term, self._unfit = self._lease.token, False
            await self._take(Role.PUBLISHER, anew=True)

    def _do_without(self, error: LogUnavailable) -> None:
        """Take the role that is left while Redis can't be reached."""
        now = time.monotonic()
        self._failing_since = self._failing_since or now
        is_patient = now - self._failing_since <= _PATIENCE * self._duration
        if self.role is Role.ISOLATED or is_patient or self._lease.held:
            return
        logger.warning("nobody can tell who publishes: %s", error)
        self._announce(Role.ISOLATED)

    async def _take(self, role: Role, *, anew: bool = False) -> None:
        if role is self.role and not anew:
            return
        self._announce(role)
        if role is Role.PUBLISHER:
            await self._listener.subscribe([self._keys.wanted])
        else:
            await self._listener.unsubscribe([self._keys.wanted])

    def _announce(self, role: Role) -> None:
        level = logging.WARNING if role is Role.ISOLATED else logging.INFO
        logger.log(level, "this process %s", role.value)
        self.role = role
        if role is not Role.PUBLISHER:
            self._term = ""
        assert self._member is not None
        self._member.take_role(role)
