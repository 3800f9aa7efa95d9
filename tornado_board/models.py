"""Boards, players, their order and changes: plain data, no I/O."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, Literal, TypeVar, get_args

import msgspec
import ujson
from msgspec.structs import astuple, replace

from tornado_board.seasons import PastSeason, Season, partition_of, shown

_S = TypeVar("_S")
_T = TypeVar("_T")
_I = TypeVar("_I")

#: An integer or a float. Scores are compared and added as IEEE 754 doubles, as RethinkDB stores
#: them; whole numbers are kept as ``int``, so that they read as such in JSON.
Number = int | float

#: Scores, amounts and sums lie within ±2^53, where every integer is its own double (RFC 8259,
#: section 6).
SCORE_LIMIT = 2**53

#: How many players an event, and a board without ``limit``, shows: unless the board says otherwise,
#: and at the most.
TOP = 5
MOST_TOP = 100

#: The longest ``meta`` of a board and of a player, in bytes of JSON without blanks.
BOARD_META = 4096
PLAYER_META = 2048

#: Which scores are better, who is first of those with the same score, and what a submission does.
Order = Literal["desc", "asc"]
Ties = Literal["id", "first"]
Operator = Literal["best", "set", "add"]

#: What of a player an event can show beside its id, name and score.
Shown = Literal["meta"]

#: A JSON object of the owner's.
Meta = dict[str, Any]

#: Ids, but for ``.`` and ``..``: in a path these are steps (RFC 3986, section 3.3), also where they
#: are percent-encoded, and a client that deletes the player ``..`` would delete the board.
ID_PATTERN: Final = r"^(?!\.{1,2}\Z)[A-Za-z0-9._~-]{1,64}\Z"

_is_id = re.compile(ID_PATTERN, re.ASCII).match


def is_id(text: str) -> bool:
    """Whether `text` can be the id of a board or a player: 1 to 64 of ``A-Z a-z 0-9 . _ ~ -``, and
    neither ``.`` nor ``..``."""
    return _is_id(text) is not None


def new_id() -> str:
    """A fresh id of 22 characters with 128 random bits, safe in a URL."""
    return secrets.token_urlsafe(16)


def score_of(value: Number) -> Number:
    """`value` as every backend keeps it: a float that is whole becomes an ``int``.

    Raises `ValueError` if it is not finite or lies outside ±`SCORE_LIMIT`.
    """
    if not -SCORE_LIMIT <= value <= SCORE_LIMIT:  # which a NaN is not
        raise ValueError("must be a finite number from -2^53 to 2^53")
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def merged(meta: Meta, patch: Meta) -> Meta:
    """`meta` with `patch` merged into it: members that are ``null`` are taken out (RFC 7396,
    section 2)."""
    result = dict(meta)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            there = result.get(name)
            result[name] = merged(there if isinstance(there, dict) else {}, value)
        else:
            result[name] = value
    return result


def meta_size(meta: Meta) -> int:
    """The length of `meta` in bytes of JSON without blanks, which `BOARD_META` and `PLAYER_META`
    bound."""
    return len(msgspec.json.encode(meta))


def number_of(score: float) -> Number:
    """`score`, as an integer if it is one that a score may be."""
    if score.is_integer() and -SCORE_LIMIT <= score <= SCORE_LIMIT:
        return int(score)
    return score


class Ordering(msgspec.Struct, frozen=True):
    """In which order players are, best first; nothing else knows it.

    By score, the highest first (``desc``) or the lowest (``asc``); those who have the same score by
    `Player.reached_at`, and then by their ids. Where ties go by id (``id``), nobody's `reached_at`
    is set, so that the order of rows does not depend on `ties`: only what is written does.
    """

    order: Order = "desc"
    ties: Ties = "id"

    def key(self, player: Player) -> Key:
        """What players are compared by: a better one's is smaller."""
        # As `parts` has it, without two more calls: it is asked for at each change of a player.
        score = player.score
        return (-score if self.order == "desc" else score, player.reached_at, player.id)

    def parts(self, score: _S, reached_at: _T, player_id: _I) -> tuple[_S, _T, _I]:
        """The key of a player with this score, time and id. Of ReQL's terms it is one that an index
        may have."""
        return (self.merit(score), reached_at, player_id)

    def merit(self, score: _S) -> _S:
        """`score`, a number or a term of ReQL, such that that of a better one is smaller."""
        number: Any = score
        # Not a product with -1: that makes -0 of 0, which is another key to RethinkDB.
        turned: _S = 0 - number if self.order == "desc" else number
        return turned

    def is_better(self, score: Number, than: Number) -> bool:
        """Whether `score` is better than another one."""
        return score > than if self.order == "desc" else score < than

    def reached_at(self, now: int) -> int:
        """`Player.reached_at` of one whose score changes `now`, ms since 1970."""
        return now if self.ties == "first" else 0


#: The ordering of a board that says nothing of it.
ORDERING: Final = Ordering()


class Board(msgspec.Struct, frozen=True):
    """A board without its players. A board that was stored without a name goes by its id.

    Where a setting is missing in the store, or is none that there can be, the default holds: see
    `of`.
    """

    id: str
    name: str
    #: Which scores are better, and who is first of those with the same score. They change only
    #: while the board has no players.
    order: Order = "desc"
    ties: Ties = "id"
    #: What a submission does that does not say it.
    operator: Operator = "best"
    #: How many players the events show.
    top: int = TOP
    #: Bounds of scores. What is stored outside of them stays until it is written.
    min: Number | None = None
    max: Number | None = None
    #: The owner's own.
    meta: Meta = msgspec.field(default_factory=dict)
    #: What of the players the events show beside id, name and score.
    show: tuple[Shown, ...] = ()
    #: Whether reading it needs a token, where the server takes tokens.
    private: bool = False
    #: Its present season, or another one that was asked for; ``None`` where it has none, so that
    #: all players are in the first.
    season: Season | None = None

    @property
    def number(self) -> int:
        """The number of the season."""
        return 1 if self.season is None else self.season.number

    @property
    def partition(self) -> str:
        """Where the players of the season are."""
        return partition_of(self.id, self.number)

    def of_season(self, past: PastSeason) -> Board:
        """The board as of a season that is over: with its order, which may have changed since."""
        return replace(self, order=past.order, ties=past.ties, season=past.season)

    @property
    def ordering(self) -> Ordering:
        return _ORDERINGS[self.order, self.ties]

    def allows(self, score: Number) -> bool:
        """Whether `score` is within the bounds."""
        return (self.min is None or score >= self.min) and (self.max is None or score <= self.max)

    def depth(self, limit: int) -> int:
        """How many players a read of the best `limit` has: enough that the events can be shown for
        a while though players leave."""
        return max(limit, 2 * self.top)

    def check(self) -> None:
        """Raises `ValueError` if its settings contradict each other or `meta` is too long."""
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min is {self.min}, which is greater than max, {self.max}")
        if (size := meta_size(self.meta)) > BOARD_META:
            raise ValueError(f"meta has {size} bytes as JSON; a board's has at most {BOARD_META}")

    @classmethod
    def of(cls, id: str, name: str, stored: Mapping[str, Any]) -> Board:
        """The board with the settings in `stored`, which anybody may have written: whatever is no
        setting, or none that there can be, is passed over."""
        settings = {
            field: stored[field]
            for field, is_valid in _SETTINGS.items()
            if field in stored and is_valid(stored[field])
        }
        for bound in ("min", "max"):
            if settings.get(bound) is not None:
                settings[bound] = score_of(settings[bound])
        if "show" in settings:
            settings["show"] = tuple(settings["show"])
        return cls(id, name, **settings, season=Season.of(stored.get("season")))


_ORDERINGS: Final = {
    (order, ties): Ordering(order, ties) for order in get_args(Order) for ties in get_args(Ties)
}


def _is_bound(value: Any) -> bool:
    if value is None:
        return True
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and -SCORE_LIMIT <= value <= SCORE_LIMIT


def _is_one_of(kind: Any) -> Callable[[Any], bool]:
    values = get_args(kind)
    return lambda value: isinstance(value, str) and value in values


#: What each setting of a board can be.
_SETTINGS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "order": _is_one_of(Order),
    "ties": _is_one_of(Ties),
    "operator": _is_one_of(Operator),
    "top": lambda value: type(value) is int and 1 <= value <= MOST_TOP,
    "min": _is_bound,
    "max": _is_bound,
    "meta": lambda value: isinstance(value, dict),
    "show": lambda value: isinstance(value, list | tuple) and list(value) in ([], ["meta"]),
    "private": lambda value: isinstance(value, bool),
}


class Player(msgspec.Struct, frozen=True, gc=False):
    """A player of one board. Ids are unique within a season of a board.

    `reached_at` is when it reached its score, ms since 1970, on boards whose ties go to the first
    (`Ordering.reached_at`), otherwise 0. It is in no cycle of references, and there are many: the
    garbage collector need not look at each.
    """

    id: str
    name: str
    score: Number
    reached_at: int = 0
    #: The owner's own.
    meta: Meta = msgspec.field(default_factory=dict)
    #: Whether it has no place: no rank, no count, no page and no event has it. Its score goes on.
    hidden: bool = False
    #: The number of its season; its partition says it.
    season: int = 1

    def check(self) -> None:
        """Raises `ValueError` if `meta` is too long."""
        if (size := meta_size(self.meta)) > PLAYER_META:
            raise ValueError(f"meta has {size} bytes as JSON; a player's has at most {PLAYER_META}")


class RankedPlayer(Player, frozen=True, kw_only=True, gc=False):
    """A player with its rank: one more than the number of players with a better score."""

    rank: int

    @classmethod
    def of(cls, player: Player, rank: int) -> RankedPlayer:
        """`player`, who has this rank."""
        return cls(*astuple(player), rank=rank)


#: What `Ordering.key` gives. The last part is the player's id.
Key = tuple[Number, int, str]


class Ranking(msgspec.Struct, frozen=True):
    """A board and its best players, best first, as one read saw them.

    `version` orders the read among the store's changes (see `PlayerChanged`); 0 where the store
    has no such order.
    """

    board: Board
    players: Sequence[Player]
    version: int = 0


class PlayerChanged(msgspec.Struct, frozen=True, gc=False):
    """The player `player_id` of a `season` of board `board_id` is now `player`, or no longer there
    (``None``).

    One that is hidden is not there: to hide it, or to show it again, is a change like any other. A
    player that moves between boards is two changes. `version` grows from one change to the next; a
    `Ranking` whose `version` is not smaller has seen this change. 0 where the store has no
    such order: then a change that was under way during a read may tell of an older state, and the
    newer one follows.

    `before` is the score in what the feed told of this player before, or would have told if it had
    told of it: where several changes become one it is the score before the first of them. ``None``:
    there was no such player; ``UNSET``: that is not known.
    """

    board_id: str
    player_id: str
    player: Player | None
    version: int = 0
    before: Number | msgspec.UnsetType | None = msgspec.UNSET
    season: int = 1


class BoardChanged(msgspec.Struct, frozen=True, gc=False):
    """The board `board_id` is now `board`, or was deleted with its players (``None``)."""

    board_id: str
    board: Board | None
    version: int = 0


Change = PlayerChanged | BoardChanged


def shown_player(player: Player, fields: Collection[str] = ()) -> dict[str, Any]:
    """`player` as the API shows it: its id, name and score, its rank if it has one, and which of
    `fields` (``meta``) was asked for."""
    shown: dict[str, Any] = {"id": player.id, "name": player.name, "score": player.score}
    if isinstance(player, RankedPlayer):
        shown["rank"] = player.rank
    if "meta" in fields:
        shown["meta"] = player.meta
    return shown


def board_json(
    board: Board,
    players: Sequence[Player],
    extra: Mapping[str, Any] = {},
    fields: Collection[str] = (),
) -> str:
    """The board as the API and the events show it, as JSON on one line; `extra` stands between the
    name and the players, who are shown with `fields` and with those of `Board.show`."""
    fields = (*board.show, *fields)
    season = board.season
    text: str = ujson.dumps(
        {
            # Where `shows_private`, `season_in` and `shows_end` look for it.
            **({"private": True} if board.private else {}),
            **({} if season is None else {"season": shown(season)}),
            "id": board.id,
            "name": board.name,
            **extra,
            "players": [shown_player(player, fields) for player in players],
        },
        ensure_ascii=False,
        escape_forward_slashes=False,
    )
    return text


def shows_private(json: str) -> bool:
    """Whether `json`, which `board_json` gave, is of a private board."""
    return json.startswith('{"private":true,')


_SEASON: Final = re.compile(r'\{(?:"private":true,)?"season":\{"number":([0-9]{1,9}),')
_END: Final = re.compile(_SEASON.pattern + r'"started":"[^"]{20,24}","ended":')


def season_in(json: str) -> int:
    """The number of the season that `json` is of, which `board_json` gave."""
    match = _SEASON.match(json)
    return 1 if match is None else int(match[1])


def shows_end(json: str) -> bool:
    """Whether `json`, which `board_json` gave, is the final board of a season that is over."""
    return _END.match(json) is not None
