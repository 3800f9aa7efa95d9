"""The hub's source in a process that does not publish: hears the events of the one that does."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import Mapping

from tornado_board.models import TOP, board_json
from tornado_board.realtime.hub import Hub, LimitReached
from tornado_board.replay import Event, EventId, Gap, LogUnavailable
from tornado_board.replay.redis import RedisReplayLog
from tornado_board.replay.redis_link import TIMEOUT, time_limit
from tornado_board.replay.redis_listener import Listener
from tornado_board.store import NotFound, Store, StoreError, StoreUnavailable
from tornado_board.tasks import Tasks, fail, succeed

logger = logging.getLogger(__name__)

#: Events heard of a board that may wait for the hub; with more they are read from the log again.
_WAITING = 64

#: How long, in seconds, the publishing process may take to publish a board it is asked for.
_ANSWER = 1.0

#: Bounds, in seconds, of the wait before an unsuccessful try is repeated.
_AGAIN = (0.3, 10.0)

#: Boards that are looked up in the log and the store at once, after the connection was lost.
_LOOKUPS = 16


class _Followed:
    """What the follower knows of one live board."""

    __slots__ = (
        "again",
        "first",
        "heard",
        "last",
        "must_compare",
        "must_read",
        "news",
        "subscribed",
        "worker",
    )

    def __init__(self, last: EventId | None) -> None:
        #: The newest id that was handed to the hub, and what was heard after it.
        self.last = last
        self.heard: deque[Event] = deque()
        self.news = asyncio.Event()  # set when something is heard
        self.subscribed = False
        #: What is left to do: read from the log what was not heard; see whether the log's newest
        #: event is what the store has, for nobody publishes a board that nobody follows.
        self.must_read = False
        self.must_compare = False
        #: How long to wait before the next try, should this one fail too.
        self.again = _AGAIN[0]
        self.worker: asyncio.Task[None] | None = None
        #: Done when the hub has the board, or it was found that it can't.
        self.first: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Follower:
    """Hears every event of the boards that are live here, and hands each to the hub once.

    A board is subscribed to first; then what was missed is read from the log, then the log's
    newest event is compared with the store. Where the two differ, the board was quiet and nobody
    followed it: the publisher is asked to publish it (`RedisReplayLog.want`). A gap in the
    counters and a lost connection are treated alike. Only the lease's holder ever appends.
    """

    def __init__(self, store: Store, log: RedisReplayLog, hub: Hub, listener: Listener) -> None:
        """`listener` is to call `on_message` and `on_subscribed`."""
        self._store = store
        self._log = log
        self._hub = hub
        self._listener = listener
        self._boards: dict[str, _Followed] = {}
        self._lookups = asyncio.Semaphore(_LOOKUPS)
        self._tasks = Tasks()
        self._closed = False

    async def start(self, last: Mapping[str, EventId] | None = None) -> None:
        """Follow the boards that are live in the hub.

        `last` has the newest ids of those whose current event has none.
        """
        for board_id in self._hub.board_ids():
            current = self._hub.current(board_id)
            newest = current.id if current else None
            self._boards[board_id] = _Followed(newest or (last or {}).get(board_id))
        await self._listener.subscribe(map(self._log.keys.channel, self._boards))

    async def close(self) -> None:
        """Stop following; the boards stay in the hub as they are."""
        self._closed = True
        for followed in self._boards.values():
            fail(followed.first, StoreUnavailable("this process no longer follows; try again"))
        board_ids = list(self._boards)
        self._boards.clear()
        await self._tasks.cancel()
        await self._listener.unsubscribe(map(self._log.keys.channel, board_ids))

    # What the hub asks for

    async def watch(self, board_id: str) -> None:
        """Follow the board. Raises `NotFound`, `StoreUnavailable` or `LimitReached`."""
        if self._closed:
            raise StoreUnavailable("this process no longer follows; try again")
        followed = self._boards.get(board_id)
        if followed is None:
            followed = self._boards[board_id] = _Followed(None)
            await self._listener.subscribe([self._log.keys.channel(board_id)])
        with contextlib.suppress(TimeoutError):
            async with time_limit(2 * TIMEOUT):
                await asyncio.wait((followed.first,))
        if not followed.subscribed and not followed.first.done():
            # Redis can't be heard. What there is goes out without an id.
            try:
                data = await self._stored(board_id)
                if self._boards.get(board_id) is followed:
                    await self._hand_over(board_id, Event(None, data))
                    succeed(followed.first)
            except (StoreError, LimitReached) as error:
                if self._boards.get(board_id) is followed:
                    fail(followed.first, error)
                    self.unwatch(board_id)
        await asyncio.shield(followed.first)

    def unwatch(self, board_id: str) -> None:
        """Follow the board no more."""
        followed = self._boards.pop(board_id, None)
        if followed is not None:
            fail(followed.first, LimitReached("the board is no longer live; try again"))
            self._tasks.start(self._listener.unsubscribe([self._log.keys.channel(board_id)]))

    # What Redis tells

    def on_subscribed(self, channel: str) -> None:
        """From now on everything on `channel` is heard; what came before may have been missed."""
        board_id = self._log.keys.board_of_channel(channel)
        followed = self._boards.get(board_id) if board_id is not None else None
        if board_id is not None and followed is not None:
            followed.subscribed = True
            followed.must_read = followed.must_compare = True
            self._work_on(board_id, followed)

    def on_message(self, channel: str, payload: str) -> None:
        """A board's event, or word that it was deleted."""
        heard = self._log.heard(channel, payload)
        followed = self._boards.get(heard.board_id) if heard is not None else None
        if heard is None or followed is None:
            return
        if heard.event is None:
            self._end(heard.board_id)
            return
        if len(followed.heard) >= _WAITING:
            followed.heard.clear()
            followed.must_read = True
        followed.heard.append(heard.event)
        followed.news.set()
        self._work_on(heard.board_id, followed)

    # One worker for each board that has something to do

    def _work_on(self, board_id: str, followed: _Followed) -> None:
        if followed.worker is None and followed.subscribed and not self._closed:
            followed.worker = self._tasks.start(self._work(board_id, followed))

    async def _work(self, board_id: str, followed: _Followed) -> None:
        complained = False
        try:
            while self._boards.get(board_id) is followed:
                try:
                    if followed.must_read:
                        async with self._lookups:
                            await self._read(board_id, followed)
                    elif followed.heard:
                        await self._take_in(board_id, followed, followed.heard.popleft())
                    elif followed.must_compare:
                        await self._compare(board_id, followed)
                    else:
                        followed.again = _AGAIN[0]
                        return
                except NotFound:
                    self._end(board_id)
                except LimitReached as error:
                    fail(followed.first, error)
                    self.unwatch(board_id)
                except (LogUnavailable, StoreError) as error:
                    if not complained:
                        logger.warning("board %s can't be followed: %s", board_id, error)
                        complained = True
                    self._fall_back(board_id, followed, error)
                    await self._pause(followed)
        finally:
            followed.worker = None

    async def _read(self, board_id: str, followed: _Followed) -> None:
        """Read from the log what was not heard."""
        followed.must_read = False
        try:
            try:
                if followed.last is None:
                    raise Gap
                missed = await self._log.since(board_id, followed.last)
            except Gap:  # the newest is what subscribers need; its counter shows what they missed
                head = await self._log.head(board_id)
                missed = [] if head is None else [head]
        except LogUnavailable:
            followed.must_read = True
            raise
        if followed.last is None and self._hub.current(board_id) is not None:
            return  # sent without an id, and the log's newest may be older: `_compare` tells
        for event in missed:
            await self._deliver(board_id, followed, event)

    async def _take_in(self, board_id: str, followed: _Followed, event: Event) -> None:
        """Deliver an event that was heard, after what was missed before it."""
        last = followed.last
        if event.id is not None and (last is None or event.id > last):
            followed.must_compare = False  # the publisher has this board
            if last is not None and event.id.n > last.n + 1:
                await self._read(board_id, followed)
        await self._deliver(board_id, followed, event)

    async def _deliver(self, board_id: str, followed: _Followed, event: Event) -> None:
        """Hand `event` to the hub unless it was handed over before."""
        if event.id is None:
            current = self._hub.current(board_id)
            if current is not None and current.data == event.data:
                return
        elif followed.last is not None and event.id <= followed.last:
            return
        else:
            followed.last = event.id
        if self._boards.get(board_id) is followed:
            await self._hand_over(board_id, event)
            if not followed.must_compare:
                succeed(followed.first)

    async def _hand_over(self, board_id: str, event: Event) -> None:
        # Shielded: an event that was begun goes to all subscribers, whatever becomes of this.
        await asyncio.shield(asyncio.ensure_future(self._hub.publish(board_id, event)))

    async def _compare(self, board_id: str, followed: _Followed) -> None:
        """See whether what the hub has is what the store has; have it published if not."""
        async with self._lookups:
            data = await self._stored(board_id)
            head = None
            current = self._hub.current(board_id)
            if current is None or current.id is None:
                head = await self._log.head(board_id)
        if followed.heard or followed.must_read:
            return
        if head is not None and head.data == data:
            followed.last, current = None, head
            await self._deliver(board_id, followed, head)
        if current is not None and current.id is not None and current.data == data:
            followed.must_compare = False
            succeed(followed.first)
            return
        followed.news.clear()
        if await self._log.want(board_id):
            try:
                async with asyncio.timeout(_ANSWER):
                    await followed.news.wait()
                return
            except TimeoutError:
                pass
        # Nobody publishes at present; whoever does so next reads every board that is followed. Till
        # then the log's newest event does: one without an id would leave a hole in the counters.
        if self._boards.get(board_id) is followed:
            if self._hub.current(board_id) is None:
                await self._hand_over(board_id, Event(None, data))
            succeed(followed.first)
        await self._pause(followed)

    async def _stored(self, board_id: str) -> str:
        ranking = await self._store.ranking(board_id, TOP)
        return board_json(ranking.board, ranking.players)

    async def _pause(self, followed: _Followed) -> None:
        """Wait before the next try, longer each time, unless something is heard."""
        followed.news.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(followed.again * (1 + random.random())):
                await followed.news.wait()
        followed.again = min(followed.again * 2, _AGAIN[1])

    def _fall_back(self, board_id: str, followed: _Followed, error: Exception) -> None:
        """Let those who wait for the board have what there is, or hear what is wrong."""
        if followed.first.done():
            return
        if self._hub.current(board_id) is not None:
            succeed(followed.first)
        else:
            text = str(error) if isinstance(error, StoreError) else "the board can't be read"
            fail(followed.first, StoreUnavailable(text))
            self.unwatch(board_id)

    def _end(self, board_id: str) -> None:
        """The board was deleted."""
        followed = self._boards.get(board_id)
        if followed is not None:
            fail(followed.first, NotFound(f"there is no board {board_id!r}"))
            self.unwatch(board_id)
        self._hub.end_board(board_id)
