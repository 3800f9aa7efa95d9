"""What the handlers of a server that follows another one work with, beside what all do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from tornado_board.log_once import LogOnce
from tornado_board.realtime.ranks import Ranks
from tornado_board.store import Store, StoreUnavailable
from tornado_board.upstream import LoopFound, hops
from tornado_board.upstream.followed import FollowedBoards
from tornado_board.upstream.upstreams import Upstreams
from tornado_board.web.edge.kept_answers import KeptAnswers
from tornado_board.web.exchange import Asked, Services


@dataclass(frozen=True, kw_only=True)
class EdgeServices(Services):
    """`Services` without a store."""

    upstreams: Upstreams
    followed: FollowedBoards
    kept: KeptAnswers
    said: LogOnce

    def check_loop(self, field: str) -> None:
        """Raise `LoopFound` if a request with this ``CDN-Loop`` has come through this server
        before."""
        if field:
            try:
                hops.extended(field, self.upstreams.own)
            except hops.Looped as error:
                message = f"{error}: the setting upstream leads back to where it began"
                self.said.warning(f"a request goes round in circles: {message}")
                raise LoopFound(message) from None


def edge_services(asked: Asked) -> EdgeServices:
    """Those of a request to a server that follows another one."""
    services = asked.services
    assert isinstance(services, EdgeServices)
    return services


class NoStore:
    """What a server that follows another one has in place of a store: whatever is asked of it
    fails."""

    shared = False

    def __init__(self, description: str = "") -> None:
        self.description = description

    def __getattr__(self, name: str) -> object:
        async def unavailable(*_: object, **__: object) -> None:
            raise StoreUnavailable("this server has no store: it follows another one")

        return unavailable


def no_ranks() -> Ranks:
    """What a server without a store has in place of ranks: nobody asks it for any."""
    return cast(Ranks, NoStore())


def no_store(description: str = "none") -> Store:
    """A `NoStore`, where a `Store` is asked for."""
    return cast(Store, NoStore(description))
