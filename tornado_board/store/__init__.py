"""Where boards and players live: the `Store` protocol, and `open_store` that picks a backend.

A store also tells of every change to its boards and players, whoever made it (`Store.changes`).
Nothing in here knows who reads that.
"""

from __future__ import annotations

import importlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

from tornado_board.inputs import BoardPatch, NewBoard, NewPlayer, PlayerPatch, Submission
from tornado_board.models import Board, Change, Number, Player, Ranking
from tornado_board.store.audit import Audited, AuditEntry
from tornado_board.store.errors import (
    AlreadyExists as AlreadyExists,
)
from tornado_board.store.errors import (
    HasPlayers as HasPlayers,
)
from tornado_board.store.errors import (
    Invalid as Invalid,
)
from tornado_board.store.errors import (
    KeyReused as KeyReused,
)
from tornado_board.store.errors import (
    NotFound as NotFound,
)
from tornado_board.store.errors import (
    OutcomeUnknown as OutcomeUnknown,
)
from tornado_board.store.errors import (
    OutOfRange as OutOfRange,
)
from tornado_board.store.errors import (
    SeasonGone as SeasonGone,
)
from tornado_board.store.errors import (
    StoreError as StoreError,
)
from tornado_board.store.errors import (
    StoreUnavailable as StoreUnavailable,
)
from tornado_board.store.errors import (
    WrongSeason as WrongSeason,
)
from tornado_board.store.results import (
    Place as Place,
)
from tornado_board.store.results import (
    Scores as Scores,
)
from tornado_board.store.results import (
    Seasons as Seasons,
)
from tornado_board.store.results import (
    Submitted as Submitted,
)
from tornado_board.store.results import (
    no_season as no_season,
)

if TYPE_CHECKING:
    from tornado_board.settings import Settings


@dataclass
class Once:
    """What makes a write happen once, however often its request comes: the caller's key for it.

    A write that is given one stores its outcome with its change, in the same atomic step. One with
    a `key` that the store has for the same resource changes nothing and returns that outcome again;
    then `replayed` is set, for several submissions also where that is so of some of them only. If
    it is another `request`, it raises `KeyReused`.

    Outcomes are kept for `KEPT` seconds or longer, unless `docs/` name a bound by number. A write
    that raises stores nothing.
    """

    #: A digest of the caller and the key, and one of all that makes the request what it is: 1 to 64
    #: of ``A-Z a-z 0-9 - _``.
    key: str
    request: str
    replayed: bool = False

    #: Seconds that an outcome is kept.
    KEPT: ClassVar[float] = 24 * 3600.0


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
    are in the order of their board (`models.Ordering`). Those who are hidden are written like all
    others; no read has them, but for one that says so. A write that leaves its board's bounds, or
    whose `Once` belongs to another request (`KeyReused`), is refused and changes nothing.

    Players belong to a season of their board. Whatever is written goes to the season that is the
    present one in the very step of the write; if its time is over by then, that step or the one
    before it ends it. What is read is of the present season, or of the one whose number is given as
    `season`: then `NotFound` says that there is none yet, `SeasonGone` that it is no longer kept.

    A write that is given `audited` leaves an entry of what it changed in the audit trail, if that
    is kept (the setting `audit`): with the change, or begun before it and completed after it.
    """

    #: One line for the start-up banner: which store this is, and where; no password in it.
    description: str

    #: Whether several processes may use it at once.
    shared: bool

    @property
    def waiting(self) -> int:
        """How many writes, or queries, wait for it at present."""

    @property
    def identity(self) -> str:
        """Which store this is: made once, by the store itself, and kept in it. 1 to 64 of
        ``A-Z a-z 0-9 -``; it stays the same for as long as the store is open."""

    async def ping(self) -> None:
        """Return if the store can serve; otherwise raise `StoreUnavailable` saying what is
        missing."""

    async def list_boards(self, limit: int, after: str = "") -> list[Board]:
        """At most `limit` boards with an id greater than `after`, in the order of their ids."""

    async def create_board(
        self, new: NewBoard, once: Once | None = None, *, audited: Audited | None = None
    ) -> Board:
        """Raises `AlreadyExists` or `Invalid`."""

    async def get_board(self, board_id: str, season: int | None = None) -> Board:
        """Raises `NotFound`."""

    async def delete_board(self, board_id: str, *, audited: Audited | None = None) -> None:
        """Delete the board and its players. Raises `NotFound`."""

    async def update_board(
        self,
        board_id: str,
        patch: BoardPatch,
        once: Once | None = None,
        *,
        audited: Audited | None = None,
    ) -> Board:
        """Change the board's name and settings. Raises `NotFound`, `HasPlayers` where `order` or
        `ties` would become another while its season has players, hidden ones too, or `Invalid`."""

    async def ranking(self, board_id: str, limit: int, season: int | None = None) -> Ranking:
        """The board and its best players, `Board.depth` of `limit`, in one read.

        Raises `NotFound`.
        """

    # Seasons

    async def end_season(
        self,
        board_id: str,
        season: int | None = None,
        once: Once | None = None,
        *,
        audited: Audited | None = None,
    ) -> Board:
        """End the present season of the board, and begin the next one; the board after that.

        One write, however many players there are, that happens only if the season is still the
        present one: `season`, or what it was when this was called. Raises `NotFound`, and
        `WrongSeason` where the board has no seasons, or is not in `season`.
        """

    async def end_if_due(self, board_id: str) -> bool:
        """End the present season of the board if its time is over; whether it did. It is no error
        if there is no such board."""

    async def ending_seasons(self, limit: int) -> Sequence[Board]:
        """At most `limit` boards whose season ends by the calendar, those that end first, first."""

    async def seasons(self, board_id: str, before: int, limit: int) -> Seasons:
        """The board, and at most `limit` of its seasons that are over and kept, with the greatest
        numbers that are less than `before`. Raises `NotFound`."""

    # Players

    async def create_player(
        self,
        board_id: str,
        new: NewPlayer,
        once: Once | None = None,
        *,
        audited: Audited | None = None,
    ) -> Player:
        """Raises `NotFound` (the board), `AlreadyExists` (the player, on this board), `OutOfRange`
        or `Invalid`."""

    async def get_player(
        self, board_id: str, player_id: str, season: int | None = None, *, hidden: bool = False
    ) -> Player:
        """The player; `hidden`: also where it is that. Raises `NotFound`."""

    async def find_player(
        self, board_id: str, player_id: str, season: int | None = None
    ) -> tuple[Board, Player]:
        """The board as of the season, and the player, in one read. Raises `NotFound`."""

    async def update_player(
        self,
        board_id: str,
        player_id: str,
        patch: PlayerPatch,
        once: Once | None = None,
        *,
        audited: Audited | None = None,
    ) -> Submitted:
        """Raises `NotFound`, `OutOfRange` or `Invalid`."""

    async def delete_player(
        self, board_id: str, player_id: str, *, audited: Audited | None = None
    ) -> Player:
        """Delete the player, and return it as it was. Raises `NotFound`."""

    async def add_score(
        self,
        board_id: str,
        player_id: str,
        amount: Number,
        *,
        create: bool = False,
        once: Once | None = None,
        audited: Audited | None = None,
    ) -> Submitted:
        """Add `amount`; `create`: to 0, if there is no such player.

        Additions that wait at the same time share one transaction or query. Raises `NotFound` or
        `OutOfRange`.
        """

    async def submit(
        self,
        board_id: str,
        submissions: Sequence[Submission],
        once: Once | None = None,
        *,
        audited: Audited | None = None,
    ) -> list[Submitted | StoreError]:
        """Hand in scores, in order; each stands for itself. The results are in the same order: of
        what was refused, why (`OutOfRange`, `Invalid`, `StoreUnavailable`, `OutcomeUnknown`).

        An operator that a submission does not name is the board's. Several of one player are
        carried out one after the other. They share transactions and queries, also with those of
        other callers. Raises `NotFound` (the board), and otherwise only where nothing was changed.
        """

    async def audit(self, board_id: str | None, after: str, limit: int) -> Sequence[AuditEntry]:
        """At most `limit` entries of the audit trail, the newest first, of one board or of all;
        those behind the entry with the id `after`, unless that is empty."""

    # Pages. Of a board that does not exist each raises `NotFound`.

    async def players_after(
        self,
        board_id: str,
        place: Place | None,
        limit: int,
        season: int | None = None,
        *,
        backwards: bool = False,
        until: Number | None = None,
    ) -> Sequence[Player]:
        """At most `limit` players behind `place`, best first; ``None`` is before the first player.

        `backwards`: before `place`, that nearest to it first; ``None`` is behind the last player.
        `until`: a score up to which there seem to be so many, for a store that reads the players up
        to a score quicker than a number of them; it changes nothing but that.
        """

    async def players_by_id(
        self, board_id: str, ids: Sequence[str], season: int | None = None
    ) -> Sequence[Player]:
        """Those of `ids` that there are, in any order."""

    async def hidden_players(self, board_id: str, after: str, limit: int) -> Sequence[Player]:
        """At most `limit` of the hidden players with an id greater than `after`, by their ids."""

    async def player_at(self, board_id: str, rank: int, season: int | None = None) -> Player | None:
        """The first player whose rank is `rank` or greater, if any. Where a board has many players
        this is slow: it counts."""

    def everyone(
        self, board_id: str, season: int | None = None
    ) -> AsyncGenerator[Sequence[Player], None]:
        """All players, best first, in pieces of some hundreds that take the event loop no longer
        than some milliseconds. Nothing is read before it is asked for.

        Who does not move meanwhile is in there, once. SQLite has all of one moment, and holds a
        read transaction until the last piece or ``aclose``: whoever reads bounds the time. Where
        the store has no such thing (RethinkDB), who moves may be in there twice, or not at all.
        Raises `NotFound`, and `StoreUnavailable`, also in the middle.
        """

    # Counts and ranks; what `ranking.ranks` answers where it knows the board.

    async def count(self, board_id: str, season: int | None = None) -> int:
        """How many players the board has. Slow where there are many. Raises `NotFound`."""

    async def rank(self, board_id: str, score: Number, season: int | None = None) -> int:
        """One more than the number of players with a better score. Slow where there are many above.
        Raises `NotFound`."""

    def scores(
        self, board_id: str, season: int | None = None, *, middle: Number | None = None
    ) -> AsyncGenerator[Scores, None]:
        """All players' scores, in pieces, without order. Players whose score changes meanwhile, who
        come or go, are in it as they were at some time until the last piece, or twice, or not.
        `middle`: a score about as many are above as not, for a store that is quicker in halves.

        Raises `NotFound`, and `StoreUnavailable` also in the middle. A piece takes the event loop
        no longer than some milliseconds.
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
