"""Boards, players, their order and changes, and the bodies of requests: plain data, no I/O."""

from __future__ import annotations

import math
import re
import secrets
import sys
import unicodedata
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
import ujson
from msgspec.structs import asdict

_S = TypeVar("_S")
_I = TypeVar("_I")

#: An integer or a float. Scores are compared and added as IEEE 754 doubles, as RethinkDB stores
#: them; whole numbers are kept as ``int``, so that they read as such in JSON.
Number = int | float

#: Scores, amounts and sums lie within ±2^53, where every integer is its own double (RFC 8259,
#: section 6).
SCORE_LIMIT = 2**53

#: How many players an event, and a board without ``limit``, shows.
TOP = 5

#: Ids, but for ``.`` and ``..``: in a path these are steps (RFC 3986, section 3.3), also where they
#: are percent-encoded, and a client that deletes the player ``..`` would delete the board.
_ID = r"^(?!\.{1,2}\Z)[A-Za-z0-9._~-]{1,64}\Z"

#: What a character that shows nothing can be: a mark by itself, a control or format character, half
#: of a surrogate pair, a separator.
_BLANK_CATEGORIES = frozenset({"Mn", "Mc", "Me", "Cc", "Cf", "Cs", "Zs", "Zl", "Zp"})

#: And those that are letters or symbols by their category: the fillers of Hangul, the blank of
#: Braille, a note without a head, the place of an object that is not there.
_BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800\U0001d159\ufffc")

_is_id = re.compile(_ID, re.ASCII).match


def is_id(text: str) -> bool:
    """Whether `text` can be the id of a board or a player: 1 to 64 of ``A-Z a-z 0-9 . _ ~ -``, and
    neither ``.`` nor ``..``."""
    return _is_id(text) is not None


def is_visible(text: str) -> bool:
    """Whether `text` has a character that shows something.

    A character that this Python's Unicode does not have yet counts as one, since it may be a new
    emoji, unless it is in a range that is set aside for what is not shown (Unicode's
    Default_Ignorable_Code_Point) or is none.
    """
    return any(map(_shows, text))


def _shows(character: str) -> bool:
    category = unicodedata.category(character)
    if category == "Cn":
        code = ord(character)
        return not (
            code == 0x2065
            or 0xFFF0 <= code <= 0xFFF8
            or 0xE0000 <= code <= 0xE0FFF
            or 0xFDD0 <= code <= 0xFDEF
            or code & 0xFFFE == 0xFFFE
        )
    return category not in _BLANK_CATEGORIES and character not in _BLANK


def new_id() -> str:
    """A fresh id of 22 characters with 128 random bits, safe in a URL."""
    return secrets.token_urlsafe(16)


def score_of(value: Number) -> Number:
    """`value` as every backend keeps it: a float that is whole becomes an ``int``.

    Raises `ValueError` if it is not finite or lies outside ±`SCORE_LIMIT`.
    """
    if not math.isfinite(value) or not -SCORE_LIMIT <= value <= SCORE_LIMIT:
        raise ValueError("must be a finite number from -2^53 to 2^53")
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


class Board(msgspec.Struct, frozen=True):
    """A board without its players. A board that was stored without a name goes by its id."""

    id: str
    name: str


class Player(msgspec.Struct, frozen=True):
    """A player of one board. Ids are unique within a board."""

    id: str
    name: str
    score: Number


class RankedPlayer(Player, frozen=True, kw_only=True):
    """A player with its rank: one more than the number of players with a better score."""

    rank: int

    @classmethod
    def of(cls, player: Player, rank: int) -> RankedPlayer:
        """`player`, who has this rank."""
        return cls(**asdict(player), rank=rank)


#: What `Ordering.key` gives. The last part is the player's id.
Key = tuple[Number, str]


class Ordering(msgspec.Struct, frozen=True):
    """In which order players are, best first; nothing else knows it.

    By score, the highest first (``desc``) or the lowest (``asc``), and those who have the same
    score by their ids.
    """

    order: Literal["desc", "asc"] = "desc"

    def key(self, player: Player) -> Key:
        """What players are compared by: a better one's is smaller."""
        # As `parts` has it, without two more calls: it is asked for at each change of a player.
        return (-player.score if self.order == "desc" else player.score, player.id)

    def parts(self, score: _S, player_id: _I) -> tuple[_S, _I]:
        """The key of a player with this score and id. Of ReQL's terms it is one that an index may
        have."""
        return (self.merit(score), player_id)

    def merit(self, score: _S) -> _S:
        """`score`, a number or a term of ReQL, such that that of a better one is smaller."""
        number: Any = score
        # Not a product with -1: that makes -0 of 0, which is another key to RethinkDB.
        turned: _S = 0 - number if self.order == "desc" else number
        return turned

    @property
    def columns(self) -> str:
        """In SQL: what rows of players are ordered by, and the columns of an index for it."""
        return "score DESC, id" if self.order == "desc" else "score, id"

    def is_better(self, column: str, score: str) -> str:
        """In SQL: whether `column` holds a number that is better than `score`.

        To SQLite text and blobs are greater than all numbers, and NULL is less
        (https://www.sqlite.org/datatype3.html, 4.1).
        """
        if self.order == "desc":
            return f"{column} > {score} AND {column} <= {sys.float_info.max!r}"
        return f"{column} < {score} AND {column} >= -{sys.float_info.max!r}"


#: The ordering of every board.
ORDERING: Final = Ordering()


class Ranking(msgspec.Struct, frozen=True):
    """A board and its best players, best first, as one read saw them.

    `version` orders the read among the store's changes (see `PlayerChanged`); 0 where the store
    has no such order.
    """

    board: Board
    players: Sequence[Player]
    version: int = 0


class PlayerChanged(msgspec.Struct, frozen=True):
    """The player `player_id` of board `board_id` is now `player`, or no longer there (``None``).

    A player that moves between boards is two changes. `version` grows from one change to the
    next; a `Ranking` whose `version` is not smaller has seen this change. 0 where the store has no
    such order: then a change that was under way during a read may tell of an older state, and the
    newer one follows.
    """

    board_id: str
    player_id: str
    player: Player | None
    version: int = 0


class BoardChanged(msgspec.Struct, frozen=True):
    """The board `board_id` is now `board`, or was deleted with its players (``None``)."""

    board_id: str
    board: Board | None
    version: int = 0


Change = PlayerChanged | BoardChanged


def board_json(board: Board, players: Sequence[Player]) -> str:
    """The board as the API and the events show it, as JSON on one line."""
    text: str = ujson.dumps(
        {**asdict(board), "players": [asdict(player) for player in players]},
        ensure_ascii=False,
        escape_forward_slashes=False,
    )
    return text


# The bodies of requests. Types and lengths are msgspec's to check, with messages that name the
# field and give its description; scores are checked with `score_of`, ids with `is_id`.

_Name = Annotated[
    str,
    msgspec.Meta(min_length=1, max_length=200, description="a string of 1 to 200 characters"),
]
_Id = Annotated[
    str,
    msgspec.Meta(
        pattern=_ID,
        description="a string of 1 to 64 characters of A-Z a-z 0-9 . _ ~ -, but not . or ..",
    ),
]
_Score = Annotated[
    Annotated[int, msgspec.Meta(ge=-SCORE_LIMIT, le=SCORE_LIMIT)]
    | Annotated[float, msgspec.Meta(ge=-SCORE_LIMIT, le=SCORE_LIMIT)],
    msgspec.Meta(description="a finite number from -2^53 to 2^53"),
]


class NewBoard(msgspec.Struct, forbid_unknown_fields=True):
    """``POST /boards/``. Without `id` one is made up; without `name` the id serves."""

    id: _Id | None = None
    name: _Name | None = None

    def board(self) -> Board:
        """The board that is to be made; another one each time if it has no id yet."""
        board_id = self.id or new_id()
        return Board(**{**asdict(self), "id": board_id, "name": self.name or board_id})


class NewPlayer(msgspec.Struct, forbid_unknown_fields=True):
    """``POST /boards/{board}/players/``."""

    name: _Name
    id: _Id | None = None
    score: _Score = 0

    def player(self) -> Player:
        """The player that is to be made; another one each time if it has no id yet."""
        fixed = {"id": self.id or new_id(), "score": score_of(self.score)}
        return Player(**{**asdict(self), **fixed})


class PlayerPatch(msgspec.Struct, forbid_unknown_fields=True):
    """``PATCH /boards/{board}/players/{player}/``: what is left out stays as it is."""

    name: _Name | msgspec.UnsetType = msgspec.UNSET
    score: _Score | msgspec.UnsetType = msgspec.UNSET

    def changes(self) -> dict[str, Any]:
        """The new values of a `Player`, by field."""
        given = {name: value for name, value in asdict(self).items() if value is not msgspec.UNSET}
        if "score" in given:
            given["score"] = score_of(given["score"])
        return given


class Addition(msgspec.Struct, forbid_unknown_fields=True):
    """``POST /boards/{board}/players/{player}/score-add/``."""

    amount: _Score = 1
