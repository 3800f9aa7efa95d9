"""Which of the processes that share a Redis publishes, and what the others do meanwhile.

Each process has one of three roles, settled anew a few times a second:

- *Publisher*: it holds the lease. It runs feed, standings and publisher; its appends carry the
  lease's token.
- *Follower*: another process holds the lease. It hands to its hub what it hears from Redis.
- *Alone*: Redis can't be reached, so nobody can know who publishes. It runs feed, standings and
  publisher like the holder, and its own clients get every change, without ids. A holder is alone
  once its lease has run out by its own clock, a follower once it could not ask for the lease for a
  while (`_PATIENCE`).

Why no client is told that it missed nothing when it did:

1. Two processes never append at once: see `Lease`. Alone, a process appends nothing.
2. An event without an id is counted by whoever sent it. If that process publishes next, its first
   append to the board leaves a hole in the counters (`lost`). If it follows next, it first has the
   log leave that hole (`ReplayLog.record_gap`), whichever process appends next and whether or not
   that one noticed an outage: it may be that only this process's link was cut. A client that
   comes back with an id from before the hole gets a reset.
3. A new holder starts with a fresh `Publisher`: it reads every board that is live here, has events
   in the log or is followed elsewhere, from the store and from the log, publishes those that
   differ, and hands its own hub what its predecessor published unheard.
4. A new follower reads from the log what it has not sent yet, and compares each of its boards with
   the store; what differs the publisher is asked for.

What stays open: a process that sent events without ids and is killed before it could tell anyone
takes that knowledge with it. Its clients, when they come back with an id from before, get the
events of the log after it and the current board, but no reset.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice

from tornado_board.cluster.lease import Lease
from tornado_board.realtime.feed import Changefeed
from tornado_board.realtime.follower import Follower
from tornado_board.realtime.hub import Hub, LimitReached
from tornado_board.realtime.publisher import Publisher
from tornado_board.replay import Event, EventId, LogUnavailable, ReplayLog
from tornado_board.replay.redis import RedisReplayLog
from tornado_board.replay.redis_listener import Listener
from tornado_board.settings import Settings
from tornado_board.store import Store, StoreError, StoreUnavailable

logger = logging.getLogger(__name__)

#: As parts of the lease's duration: how often it is renewed, how often the others try to get it,
#: and how long a follower bears with a Redis that it can't reach.
_RENEWALS, _TRIES, _PATIENCE = 0.25, 0.1, 0.5

#: Seconds before Redis is tried again when it could not be reached.
_AGAIN = 0.1

#: Boards whose unlogged events the log is told of in one go.
_REPORTS = 200

#: Boards that other processes ask for and that are being looked at; more are passed over, and
#: asked for again.
_WANTED = 1_000


class Role(enum.Enum):
    PUBLISHER = "publishes"
    FOLLOWER = "follows"
    ALONE = "publishes without ids, for its own clients"


class Sole:
    """The hub's `Source` where the log isn't shared: this process publishes, always."""

    def __init__(self, store: Store, log: ReplayLog, hub: Hub, settings: Settings) -> None:
        self._publishing = _Publishing(store, log, hub, settings)

    async def start(self) -> None:
        """Nothing is to be settled."""

    async def close(self) -> None:
        """Stop. May be called twice."""
        await self._publishing.close()

    def missing(self) -> list[str]:
        """What keeps this process from being up to date."""
        return self._publishing.missing()

    async def watch(self, board_id: str) -> None:
        await self._publishing.publisher.watch(board_id)

    def unwatch(self, board_id: str) -> None:
        self._publishing.publisher.unwatch(board_id)


class _Publishing:
    """A publisher, and the feed that tells it of every change."""

    def __init__(
        self,
        store: Store,
        log: ReplayLog,
        hub: Hub,
        settings: Settings,
        on_fenced: Callable[[], None] = lambda: None,
        unlogged: Mapping[str, tuple[EventId, int]] | None = None,
    ) -> None:
        self.publisher = Publisher(
            store,
            log,
            hub,
            squash=settings.squash,
            depth=settings.standings_depth,
            live_boards=settings.live_boards,
            on_fenced=on_fenced,
            unlogged=unlogged,
        )
        self._feed = Changefeed(store, self.publisher)
        self._feeding = asyncio.create_task(self._feed.run())

    def missing(self) -> list[str]:
        return [] if self._feed.connected else ["the changefeed is not open yet"]

    async def close(self) -> None:
        self._feeding.cancel()
        await asyncio.gather(self._feeding, return_exceptions=True)
        await self.publisher.close()


class Roles:
    """The hub's `Source` in a process that shares `log` with others."""

    def __init__(self, store: Store, log: RedisReplayLog, hub: Hub, settings: Settings) -> None:
        self._store = store
        self._log = log
        self._hub = hub
        self._settings = settings
        self.role: Role | None = None
        self._lease = log.fence = Lease(log.link, log.keys, settings.lease)
        self._term = ""  # the lease's token for which this process took over
        self._listener = Listener(log.link, self._on_message, self._on_subscribed)
        self._publishing: _Publishing | None = None
        self._follower: Follower | None = None
        self._settled = asyncio.Event()
        self._nudge = asyncio.Event()
        #: Since when Redis can't be reached. Counted from the first failure, not the last success:
        #: after a stall of this process's loop there has been no success for long either.
        self._failing_since: float | None = None
        #: What is to be told to the log: see rule 2. At most one entry a live board.
        self._unlogged: dict[str, tuple[EventId, int]] = {}
        self._wanted: dict[str, asyncio.Task[None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take the first role; from then on roles change by themselves."""
        await self._listener.subscribe([self._log.keys.lease_channel])
        while self.role is None:
            await self._settle()
            if self.role is None:
                await asyncio.sleep(_AGAIN)
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Hand the lease back and stop. The hub stays as it is."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._settled.set()
        await self._leave()
        with contextlib.suppress(LogUnavailable):
            await self._lease.release()
        await self._listener.close()

    @property
    def cut_off(self) -> bool:
        """Whether this process publishes though it could not renew the lease in time."""
        if self.role is Role.ALONE:
            return True
        return self._out_of_patience and not self._lease.held

    @property
    def _out_of_patience(self) -> bool:
        if self._failing_since is None:
            return False
        return time.monotonic() - self._failing_since > _PATIENCE * self._settings.lease

    def missing(self) -> list[str]:
        """What keeps this process from being up to date."""
        missing = self._log.missing()
        if self._lease.problem is not None:
            missing.append(self._lease.problem)
        if self._publishing is not None:
            missing += self._publishing.missing()
        elif self._follower is not None and not self._listener.connected:
            missing.append("Redis can't be heard")
        return missing

    # What the hub asks for

    @property
    def _source(self) -> Publisher | Follower | None:
        return self._publishing.publisher if self._publishing is not None else self._follower

    async def watch(self, board_id: str) -> None:
        while True:
            await self._settled.wait()
            source = self._source
            if source is None:
                raise StoreUnavailable("the server is stopping")
            try:
                return await source.watch(board_id)
            except StoreUnavailable:
                # It may be that the role changed meanwhile: then there is another to ask.
                if self._settled.is_set() and source is self._source:
                    raise

    def unwatch(self, board_id: str) -> None:
        source = self._source
        if source is not None:
            source.unwatch(board_id)

    # What Redis tells

    def _on_subscribed(self, channel: str) -> None:
        if self._follower is not None:
            self._follower.on_subscribed(channel)

    def _on_message(self, channel: str, payload: str) -> None:
        if channel == self._log.keys.lease_channel:
            if self.role is not Role.PUBLISHER:
                self._nudge.set()
        elif channel == self._log.keys.wanted:
            if payload and self._publishing is not None:
                self._publish_wanted(self._publishing.publisher, payload)
        elif self._follower is not None:
            self._follower.on_message(channel, payload)

    def _publish_wanted(self, publisher: Publisher, board_id: str) -> None:
        async def publish() -> None:
            try:
                await publisher.watch(board_id)
            except (StoreError, LimitReached) as error:
                logger.debug("board %s, asked for elsewhere, is not published: %s", board_id, error)
            finally:
                self._wanted.pop(board_id, None)

        if board_id not in self._wanted and len(self._wanted) < _WANTED:
            self._wanted[board_id] = asyncio.create_task(publish())

    # Changing roles

    async def _run(self) -> None:
        while True:
            part = _RENEWALS if self.role is Role.PUBLISHER else _TRIES
            wait = part * self._settings.lease
            if self._failing_since is not None:
                wait = _AGAIN
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._nudge.wait()
            self._nudge.clear()
            try:
                await self._settle()
            except Exception:
                logger.exception("roles could not be settled")
                await asyncio.sleep(_AGAIN)

    async def _settle(self) -> None:
        """Renew or try to acquire the lease, and take the role that follows from it."""
        try:
            holds = bool(self._lease.token) and await self._lease.renew()
            holds = holds or await self._lease.acquire()
        except LogUnavailable as error:
            self._failing_since = self._failing_since or time.monotonic()
            await self._do_without(error)
            return
        self._failing_since = None
        if holds and self._term != self._lease.token:
            await self._publish()
        elif not holds and self.role is not Role.FOLLOWER:
            await self._follow()
        if self._unlogged:
            await self._report_unlogged()

    async def _do_without(self, error: LogUnavailable) -> None:
        """Take the role that is left while Redis can't be reached."""
        if not self._out_of_patience:
            return
        if self._publishing is not None:
            if self.role is Role.PUBLISHER and not self._lease.held:
                self._announce(Role.ALONE, str(error))  # with the same publisher
        else:
            self._settled.clear()
            await self._leave()
            self._announce(Role.ALONE, str(error))
            self._start_publisher()

    async def _publish(self) -> None:
        self._settled.clear()
        await self._leave()
        self._term = self._lease.token
        # For what is live here the publisher leaves the holes: the hub's events have no id.
        live = set(self._hub.board_ids())
        left_behind = {id: left for id, left in self._unlogged.items() if id in live}
        self._unlogged = {id: left for id, left in self._unlogged.items() if id not in live}
        self._announce(Role.PUBLISHER)
        self._start_publisher(left_behind)
        await self._listener.subscribe([self._log.keys.wanted])

    async def _follow(self) -> None:
        self._settled.clear()
        await self._leave()
        self._term = ""
        self._announce(Role.FOLLOWER)
        last = {board_id: last for board_id, (last, _) in self._unlogged.items()}
        await self._report_unlogged()
        follower = Follower(self._store, self._log, self._hub, self._listener)
        self._follower = follower
        self._settled.set()
        await follower.start(last)

    async def _leave(self) -> None:
        """Stop what the present role runs."""
        publishing, self._publishing = self._publishing, None
        follower, self._follower = self._follower, None
        if publishing is not None:
            self._unlogged |= publishing.publisher.unlogged()
            await publishing.close()
            for task in list(self._wanted.values()):
                task.cancel()
            await self._listener.unsubscribe([self._log.keys.wanted])
        if follower is not None:
            await follower.close()

    def _start_publisher(self, unlogged: Mapping[str, tuple[EventId, int]] | None = None) -> None:
        log = _Log(self._log, self)
        self._publishing = _Publishing(
            self._store, log, self._hub, self._settings, self._nudge.set, unlogged
        )
        self._settled.set()

    def _announce(self, role: Role, reason: str = "") -> None:
        level = logging.WARNING if role is Role.ALONE else logging.INFO
        logger.log(level, "this process %s%s", role.value, reason and f": {reason}")
        self.role = role

    async def _report_unlogged(self) -> None:
        """Have the log leave holes for the events that this process sent without ids."""
        some = dict(islice(self._unlogged.items(), _REPORTS))
        outcomes = await asyncio.gather(
            *[
                self._log.record_gap(board_id, last, count)
                for board_id, (last, count) in some.items()
            ],
            return_exceptions=True,
        )
        for board_id, outcome in zip(some, outcomes, strict=True):
            if outcome is None:
                del self._unlogged[board_id]
            elif not isinstance(outcome, LogUnavailable):  # then the next time
                raise outcome


class _Log:
    """The log as this process's publisher sees it: away for as long as the process is alone."""

    def __init__(self, log: RedisReplayLog, roles: Roles) -> None:
        self._log = log
        self._roles = roles
        self.description = log.description
        self.shared = log.shared

    async def ping(self) -> None:
        await self._present().ping()

    def missing(self) -> list[str]:
        return self._log.missing()

    async def append(
        self, board_id: str, data: str, *, after: EventId | None = None, lost: int = 0
    ) -> EventId:
        return await self._present().append(board_id, data, after=after, lost=lost)

    async def head(self, board_id: str) -> Event | None:
        return await self._present().head(board_id)

    async def since(self, board_id: str, event_id: EventId) -> Sequence[Event]:
        return await self._present().since(board_id, event_id)

    async def recent(self, board_id: str, limit: int) -> Sequence[Event]:
        return await self._present().recent(board_id, limit)

    async def record_gap(self, board_id: str, after: EventId, count: int) -> None:
        await self._present().record_gap(board_id, after, count)

    async def delete(self, board_id: str) -> None:
        await self._present().delete(board_id)

    async def watched(self, board_ids: Sequence[str]) -> set[str]:
        return await self._present().watched(board_ids)

    async def board_ids(self) -> Sequence[str]:
        return await self._present().board_ids()

    async def prune(self) -> int:
        return await self._present().prune()

    async def close(self) -> None:
        """Nothing: the log is not this publisher's to close."""

    def _present(self) -> RedisReplayLog:
        if self._roles.cut_off:
            raise LogUnavailable("Redis can't be asked who publishes")
        return self._log
