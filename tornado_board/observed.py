"""What can be read of a server at any time, as metrics: nothing of it is counted as it happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from tornado_board.cluster import Role
from tornado_board.metrics import Metrics
from tornado_board.realtime.feed import Changefeed
from tornado_board.realtime.live_boards import LiveBoards
from tornado_board.realtime.season_clock import SeasonClock
from tornado_board.web.connections import Server
from tornado_board.web.edge.services import EdgeServices
from tornado_board.web.exchange import Services

#: Seconds between two looks at how late the event loop is, and how many of them are remembered:
#: those of a quarter of a minute, which is how often most scrape.
_LOOK_EVERY = 0.5
_REMEMBERED = 30


class LoopDelay:
    """How late the event loop runs what is due."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._delays: list[float] = []
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Look from now on."""
        self._due = self._loop.time() + _LOOK_EVERY
        self._timer = self._loop.call_at(self._due, self._look)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._delays = [*self._delays[1 - _REMEMBERED :], self._loop.time() - self._due]
        self.start()

    @property
    def seconds(self) -> float:
        """The longest delay of late."""
        return max(self._delays, default=0.0)


def observe(
    metrics: Metrics,
    services: Services,
    server: Server,
    boards: LiveBoards,
    feed: Changefeed,
    seasons: SeasonClock,
    delay: LoopDelay,
) -> None:
    """Have `metrics` tell what there is in each of these."""
    ranks = services.ranks

    def role() -> Mapping[str, float]:
        return {role.name.lower(): float(boards.role is role) for role in Role}

    def lost() -> float:
        return 0.0 if feed.lost_at is None else time.monotonic() - feed.lost_at

    metrics.observe("role", "What this process does for its boards: 1 for its role.", role, "role")
    metrics.observe(
        "feed_open", "Whether the store's changes are heard.", lambda: float(feed.is_open)
    )
    metrics.observe("feed_lost_seconds", "Since when the feed is wanted and not open.", lost)
    metrics.observe(
        "feed_lag_seconds",
        "From when a write began here until the feed told of it, of the write measured last.",
        lambda: feed.lag.seconds,
    )
    metrics.observe(
        "season_overdue_seconds",
        "For how long a season goes on that ought to have ended by its calendar.",
        lambda: seasons.overdue,
    )
    settings = services.settings
    _observe_all(
        metrics,
        services,
        server,
        delay,
        kept=lambda: {
            "rank_boards": ranks.size,
            "rank_entries": ranks.entries,
            "boards_read": services.reads.size,
            "players_read": services.player_reads.size,
            "idempotent_answers": services.repeats.size,
        },
        kept_bytes=lambda: {"idempotent_answers": services.repeats.bytes},
        limits={
            "rank_entries": settings.rank_entries,
            "waiting_writes": settings.waiting_writes,
        },
    )
    queues = ("board_reads", "log_reads", "log_backlog")
    metrics.observe(
        "waiting",
        "What waits, by the queue that it waits in.",
        lambda: {
            "store": services.store.waiting,
            **dict(zip(queues, boards.waiting, strict=True)),
        },
        "queue",
    )


def observe_edge(
    metrics: Metrics, services: EdgeServices, server: Server, delay: LoopDelay
) -> None:
    """The same, of a server that follows another one."""
    upstreams, kept = services.upstreams, services.kept
    _observe_all(
        metrics,
        services,
        server,
        delay,
        kept=lambda: {"answers": kept.size},
        kept_bytes=lambda: {"answers": kept.bytes},
        limits={},
    )
    metrics.observe(
        "upstream_up",
        "Whether a server that is followed answers.",
        lambda: float(not upstreams.down),
    )
    metrics.observe(
        "upstream_streams",
        "Streams from the servers that are followed.",
        lambda: upstreams.open_streams,
    )


def _observe_all(
    metrics: Metrics,
    services: Services,
    server: Server,
    delay: LoopDelay,
    *,
    kept: Callable[[], Mapping[str, float]],
    kept_bytes: Callable[[], Mapping[str, float]],
    limits: Mapping[str, float],
) -> None:
    """What every server has; beside what it keeps itself, how many bytes that has, and what bounds
    it."""
    settings = services.settings
    metrics.observe(
        "kept",
        "What is in memory, by what it is.",
        lambda: {
            "watched_players": services.places.size,
            "catch_ups": services.catch_ups.size,
            "write_rates": services.gate.size,
            **kept(),
        },
        "what",
    )
    metrics.observe(
        "kept_bytes",
        "Bytes in memory, by what they are.",
        lambda: {
            "catch_ups": services.catch_ups.bytes,
            "large_bodies": server.body_room.taken,
            **kept_bytes(),
        },
        "what",
    )
    metrics.observe(
        "limits",
        "The settings that bound what is told here.",
        lambda: {
            "max_connections": settings.max_connections,
            "live_boards": settings.live_boards,
            **limits,
        },
        "setting",
    )
    metrics.observe(
        "event_loop_delay_seconds",
        "How late the event loop was at the most, in the last 15 seconds.",
        lambda: delay.seconds,
    )
    metrics.observe("connections", "Open connections.", lambda: server.open_connections)
    metrics.observe("live_boards", "Boards that are kept warm.", lambda: services.hub.size)
