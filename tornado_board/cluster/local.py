"""The bus of a process without others: it publishes, always."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tornado_board.cluster import Member, Role


class LocalBus:
    """The `Bus` where neither the store nor the replay log is shared."""

    fence = None

    async def start(self, member: Member) -> None:
        member.take_role(Role.PUBLISHER)

    async def close(self) -> None:
        """There is nothing to give up."""

    def missing(self) -> list[str]:
        return []

    def wake(self) -> None:
        """The role never changes."""

    async def follow(self, board_ids: Iterable[str]) -> None:
        """There is nobody to follow."""

    async def unfollow(self, board_ids: Iterable[str]) -> None:
        """There was nobody to follow."""

    async def want(self, board_id: str) -> bool:
        return False

    async def followed(self, board_ids: Sequence[str]) -> set[str]:
        return set()

    async def all_followed(self) -> Sequence[str]:
        return ()
