"""Where boards and players live: the `Store` protocol, and `open_store` that picks a backend.

A store also tells of every change to its boards and players, whoever made it (`Store.changes`).
Nothing in here knows who reads that.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from tornado_board.models import (
    Board,
    Change,
    NewBoard,
    NewPlayer,
    Number,
    Player,
    PlayerPatch,
    RankedPlayer,
    Ranking,
)

if TYPE_CHECKING:
    from tornado_board.settings import Settings


class StoreError(Exception):
    """What a store answers instead of a result. `str(error)` is fit to be shown to a client."""


class NotFound(StoreError):
    """There is no such board, or no such player on it."""


class AlreadyExists(StoreError):
    """The id is taken."""


class OutOfRange(StoreError):
    """The sum would leave ±2^53; nothing was changed."""


class StoreUnavailable(StoreError):
    """The store can't be reached or is overloaded; nothing was changed. Trying again may help."""


class OutcomeUnknown(StoreError):
    """The store was lost while it carried out a write, which may have been applied or not."""


class FeedLost(Exception):
    """The feed ended or skipped changes. Open it anew and read again what matters."""


class Feed(Protocol):
    """An open changefeed. It holds every change since `Store.changes` returned it."""

    async def next(self) -> Sequence[Change]:
        """Wait for changes and return those there are, in order; never an empty sequence.

        Raises `FeedLost` when it can't go on. Cancelling it loses nothing.
        """

    async def close(self) -> None:
        """Release it. Never raises, and may be called twice."""


class Store(Protocol):
    """Boards and players. Every method may raise `StoreUnavailable`, writes `OutcomeUnknown` too.

    Ids and bodies have been validated by the caller. A write that returned is durable. Players
    are in the order of `models.ORDERING`.
    """

    #: One line for the start-up banner: which store this is, and where; no password in it.
    description: str

    #: Whether several processes may use it at once.
    shared: bool

    @property
    def identity(self) -> str:
        """Which store this is: made once, by the store itself, and kept in it. 1 to 64 of
        ``A-Z a-z 0-9 -``; it stays the same for as long as the store is open."""

    async def ping(self) -> None:
        """Return if the store can serve; otherwise raise `StoreUnavailable` saying what is
        missing."""

    async def list_boards(self, limit: int, after: str = "") -> list[Board]:
        """At most `limit` boards with an id greater than `after`, in the order of their ids."""

    async def create_board(self, new: NewBoard) -> Board:
        """Raises `AlreadyExists`."""

    async def get_board(self, board_id: str) -> Board:
        """Raises `NotFound`."""

    async def delete_board(self, board_id: str) -> None:
        """Delete the board and its players. Raises `NotFound`."""

    async def ranking(self, board_id: str, limit: int) -> Ranking:
        """The board and its best `limit` players. Raises `NotFound`."""

    async def create_player(self, board_id: str, new: NewPlayer) -> Player:
        """Raises `NotFound` (the board) or `AlreadyExists` (the player, on this board)."""

    async def get_player(self, board_id: str, player_id: str) -> RankedPlayer:
        """Raises `NotFound`."""

    async def update_player(self, board_id: str, player_id: str, patch: PlayerPatch) -> Player:
        """Raises `NotFound`."""

    async def delete_player(self, board_id: str, player_id: str) -> None:
        """Raises `NotFound`."""

    async def add_score(self, board_id: str, player_id: str, amount: Number) -> Player:
        """Add `amount` and return the player as it stands after this very addition.

        Additions that wait at the same time share one transaction or query. Raises `NotFound` or
        `OutOfRange`.
        """

    async def changes(self) -> Feed:
        """Open a changefeed over all boards. Raises `StoreUnavailable`."""

    async def close(self) -> None:
        """Finish the writes under way and release everything. May be called twice."""


class Scheme(NamedTuple):
    """A kind of store, by the scheme of its URLs."""

    #: The module and the name in it; imported when the first such store is opened.
    module: str
    name: str
    #: How a URL of it looks, for messages.
    form: str
    #: `Store.shared` of all of its stores.
    shared: bool


#: Another kind of store is another line.
SCHEMES: Mapping[str, Scheme] = {
    "sqlite": Scheme("tornado_board.store.sqlite", "SQLiteStore", "sqlite:///file", False),
    "rethinkdb": Scheme(
        "tornado_board.store.rethinkdb", "RethinkDBStore", "rethinkdb://host:port/db", True
    ),
}


def scheme_of(url: str) -> Scheme:
    """The kind of store that `url` names. Raises `ValueError` if there is none."""
    scheme, _, rest = url.partition(":")
    if scheme in SCHEMES:
        return SCHEMES[scheme]
    # Nothing but a scheme is shown, since anything else may hold a password.
    is_scheme = scheme.isalpha() and (not rest or rest.startswith("//"))
    shown = f"{scheme!r} " if is_scheme else ""
    forms = " or ".join(known.form for known in SCHEMES.values())
    raise ValueError(f"database_url: {shown}names no store; use {forms}")


async def open_store(url: str, settings: Settings) -> Store:
    """Open the store that `url` names, ready to serve: tables, indexes and sample board made.

    ``sqlite:///file`` or ``rethinkdb://[user:password@]host:port/db``. Raises `ValueError` for a
    URL that names no store, and `StoreUnavailable` when it can't be opened.
    """
    scheme = scheme_of(url)
    kind = getattr(importlib.import_module(scheme.module), scheme.name)
    store: Store = await kind.open(url, settings)
    return store


#: Made on an empty database, so that the page has something to show.
SAMPLE_BOARD = NewBoard(id="demo", name="Demo board")
SAMPLE_PLAYERS = (
    NewPlayer(id="mercury", name="Mercury", score=12),
    NewPlayer(id="venus", name="Venus", score=31),
    NewPlayer(id="earth", name="Earth", score=27),
    NewPlayer(id="mars", name="Mars", score=19),
    NewPlayer(id="jupiter", name="Jupiter", score=23),
)
