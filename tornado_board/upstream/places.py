"""The places of players that are watched here: each over one stream from the upstream, which all
who watch that player share."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from functools import partial

import msgspec

from tornado_board.backoff import Backoff
from tornado_board.metrics import Metrics
from tornado_board.models import Number, Player
from tornado_board.realtime.hub import LimitReached
from tornado_board.realtime.places_kept_alive import PlacesKeptAlive
from tornado_board.realtime.watched import Watched
from tornado_board.realtime.wires import End
from tornado_board.store import NotFound
from tornado_board.tasks import Shared, Tasks, fail, succeed
from tornado_board.upstream import UpstreamBroke, UpstreamError, UpstreamLate
from tornado_board.upstream.asking import check_answer
from tornado_board.upstream.board_stream import events
from tornado_board.upstream.upstreams import Upstreams

logger = logging.getLogger(__name__)

#: Players that are watched at a time.
MOST_WATCHED = 10_000

#: Seconds for which a player is followed that nobody watches.
_LINGER = 10.0

#: Bounds of the pauses, in seconds, before a stream that broke off is opened again.
_BACKOFF = (0.25, 10.0)


class _Rank(msgspec.Struct):
    id: str
    name: str
    #: ``None``: there is none yet in the board's present season.
    score: Number | None


class _Place:
    """A watched player, and its stream."""

    def __init__(self, watched: Watched) -> None:
        self.watched = watched
        #: Done when there is something to show, or it was found that there is not.
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.task: asyncio.Task[None] | None = None
        self.idle_since: float | None = None


class EdgePlaces:
    """The watched players of this process. `tick` is to be called once a second."""

    def __init__(
        self,
        upstreams: Upstreams,
        *,
        per_board: int,
        keepalive: float,
        silence: float,
        metrics: Metrics,
    ) -> None:
        """`per_board` is how many may watch a board's places."""
        self._upstreams = upstreams
        self._per_board = per_board
        self._kept_alive = PlacesKeptAlive(keepalive)
        self._silence = silence
        self._metrics = metrics
        self._boards: dict[str, dict[str, _Place]] = {}
        self._count = 0
        self._opening: Shared[tuple[str, str], None] = Shared()
        self._tasks = Tasks()
        self._keeping: asyncio.Task[None] | None = None
        #: Whether the server stops, so that it is no time to wait.
        self.stopping = False

    async def close(self) -> None:
        """End every stream. May be called twice."""
        self.stop_waiting()
        for place in self._all():
            place.watched.end(End.STOPPING)
            fail(place.ready, LimitReached("the server is stopping"))
        self._boards.clear()
        await self._tasks.cancel()

    def stop_waiting(self) -> None:
        """Have the waiting long-polls answered: the server stops."""
        self.stopping = True
        for place in self._all():
            place.watched.wake()

    @property
    def size(self) -> int:
        """How many players are watched."""
        return self._count

    def is_private(self, board_id: str) -> bool:
        """Whether a board of which places are watched is private: those are never followed."""
        return False

    async def open(self, board_id: str, player_id: str) -> Watched:
        """The player with its place; to be joined, or waited for, before anything is awaited.

        Raises `LimitReached`, `NotFound`, `NotPublic`, and what `UpstreamError` has.
        """
        for _ in range(2):
            places = self._boards.get(board_id, {})
            place = places.get(player_id)
            if place is not None and place.watched.is_shown:
                if self.stopping:
                    raise LimitReached("the server is stopping")
                if sum(one.watched.clients for one in places.values()) >= self._per_board:
                    raise LimitReached("the board has as many streams as this server allows")
                return place.watched
            key = (board_id, player_id)
            await self._opening.get(key, partial(self._open, board_id, player_id))
        raise NotFound(f"there is no player {player_id!r} on board {board_id!r}")

    async def _open(self, board_id: str, player_id: str) -> None:
        if self.stopping:
            raise LimitReached("the server is stopping")
        if self._count >= MOST_WATCHED:
            raise LimitReached("as many players are watched as this server allows")
        place = _Place(Watched(player_id, self._metrics))
        self._boards.setdefault(board_id, {})[player_id] = place
        self._count += 1
        place.task = self._tasks.start(self._follow(board_id, place))
        try:
            async with asyncio.timeout(2 * self._upstreams.timeout):
                await asyncio.shield(place.ready)
        except TimeoutError:
            self._drop(board_id, place)
            raise UpstreamLate(f"{self._upstreams.current} does not tell the place") from None
        except BaseException:
            self._drop(board_id, place)
            raise

    async def _follow(self, board_id: str, place: _Place) -> None:
        backoff = Backoff(*_BACKOFF)
        try:
            while True:
                try:
                    await self._hear(board_id, place, backoff.reset)
                except UpstreamError as error:
                    if not place.ready.done():
                        raise
                    logger.info("a place of board %s is not heard of: %s", board_id, error)
                await asyncio.sleep(backoff.next())
                if place.ready.done():
                    await self._upstreams.available()
                    await asyncio.sleep(random.uniform(0, 0.3))
        except NotFound as error:
            fail(place.ready, error)
            self._drop(board_id, place)
            await place.watched.lose()
        except Exception as error:
            # Not for everybody any more; or the upstream can't be had, and nobody waits yet.
            fail(place.ready, error)
            self._drop(board_id, place)
            place.watched.end(End.PRIVATE)

    async def _hear(self, board_id: str, place: _Place, on_heard: Callable[[], None]) -> None:
        watched = place.watched
        target = f"/boards/{board_id}/players/{watched.player_id}/events/"
        reply = await self._upstreams.open_stream(target, [("Accept", "text/event-stream")])
        try:
            if reply.status != 200:
                body = await reply.whole(self._upstreams.timeout, 65_536)
                check_answer(reply, body, board_id)
            async for some in events(reply, self._silence):
                for event in some:
                    if event.name == "gone":
                        raise NotFound(f"there is no player {watched.player_id!r}")
                    if event.name == "rank":
                        on_heard()
                        await self._show(reply.address, place, event.data)
        finally:
            reply.close()

    async def _show(self, address: object, place: _Place, data: str) -> None:
        try:
            rank = msgspec.json.decode(data, type=_Rank)
        except msgspec.DecodeError as error:
            raise UpstreamBroke(f"{address} gave a wrong event: {error}") from None
        player = None if rank.score is None else Player(rank.id, rank.name, rank.score)
        if place.watched.show_as_told(player, data):
            place.watched.sent_at = time.monotonic()
            await place.watched.send(place.watched.current)
        succeed(place.ready)

    def _drop(self, board_id: str, place: _Place) -> None:
        places = self._boards.get(board_id, {})
        if places.get(place.watched.player_id) is place:
            del places[place.watched.player_id]
            self._count -= 1
            if not places:
                del self._boards[board_id]
        if place.task is not None and place.task is not asyncio.current_task():
            place.task.cancel()

    def _all(self) -> list[_Place]:
        return [place for places in self._boards.values() for place in places.values()]

    def tick(self) -> None:
        """A second has passed."""
        now = time.monotonic()
        for board_id, places in list(self._boards.items()):
            for place in list(places.values()):
                if place.watched.clients or not place.ready.done():
                    place.idle_since = None
                elif place.idle_since is None:
                    place.idle_since = now
                elif now - place.idle_since > _LINGER:
                    self._drop(board_id, place)
        if self._keeping is None or self._keeping.done():
            players = (place.watched for place in self._all())
            self._keeping = self._tasks.start(self._kept_alive.keep(now, players))
