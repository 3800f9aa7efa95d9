"""Who publishes, and how the processes that share a deployment hear of each other.

A `Bus` gives this process its role and tells a `Member` what other processes have to say. Which bus
there is depends on the replay log: one that is not shared needs none (`local`), one in Redis brings
its own (`redis_bus`).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from tornado_board.replay import Event, Fence, is_shared

if TYPE_CHECKING:
    from tornado_board.settings import Settings


class Role(enum.Enum):
    """What this process does for the boards that are live in it."""

    #: It reads the feed, appends to the replay log, and tells the others.
    PUBLISHER = "publishes"
    #: Another process does; this one passes on what it hears.
    FOLLOWER = "follows"
    #: Nobody can know who publishes. It reads the feed for its own clients; events have no id.
    ISOLATED = "publishes without ids, for its own clients"


class Member(Protocol):
    """Whom a bus tells: this process's live boards."""

    def take_role(self, role: Role) -> None:
        """Play `role` from now on. Called anew where the role is the same but was interrupted."""

    def on_following(self, board_id: str) -> None:
        """From now on everything that is published of the board is heard; what came before may
        have been missed."""

    def on_event(self, board_id: str, event: Event | None) -> None:
        """The publisher sent `event`; ``None``: the board was deleted."""

    def on_wanted(self, board_id: str) -> None:
        """Another process asks this one, which publishes, for the board."""

    def unfit_for(self) -> float:
        """For how many seconds this process has been unable to publish, 0 if it can."""

    async def can_publish(self) -> bool:
        """Whether the store answers, so that this process could publish. Never raises."""


class Bus(Protocol):
    """How this process knows its role, and hears of the others. No method raises for a bus that
    is away: what can't be told or heard shows in `missing`, and is made up for."""

    @property
    def fence(self) -> Fence | None:
        """Tells the replay log whether this process may append; ``None`` where no other can."""

    async def start(self, member: Member) -> None:
        """Find the first role, tell it `member`, and keep it up to date from then on."""

    async def close(self) -> None:
        """Give up the role, so that another process need not wait. May be called twice."""

    def missing(self) -> list[str]:
        """What keeps this process from taking part, for ``/readyz``."""

    def wake(self) -> None:
        """Look at the role now: an append was refused since another process publishes."""

    async def follow(self, board_ids: Iterable[str]) -> None:
        """Have `Member.on_event` called with everything that is published of these boards."""

    async def unfollow(self, board_ids: Iterable[str]) -> None:
        """The reverse. An event that is on its way may still be heard."""

    async def want(self, board_id: str) -> bool:
        """Ask the publisher for the board; ``False`` if there is nobody who was asked."""

    async def followed(self, board_ids: Sequence[str]) -> set[str]:
        """Which of these boards other processes follow. Raises `LogUnavailable`."""

    async def all_followed(self) -> Sequence[str]:
        """All boards that other processes follow. Raises `LogUnavailable`."""


def open_bus(url: str, settings: Settings, identity: str, *, shared_store: bool) -> Bus:
    """The bus that goes with the replay log at `url`, for the processes whose store is `identity`.

    `shared_store`: several processes may use that store. Raises `ValueError` for a URL that names
    no log.
    """
    if is_shared(url):
        from tornado_board.cluster.redis_bus import RedisBus

        return RedisBus.open(url, settings, identity, may_follow=shared_store)
    from tornado_board.cluster.local import LocalBus

    return LocalBus()
