"""Boards, players and the bodies of requests: plain data, no I/O."""

from __future__ import annotations

import math
import re
import secrets
import unicodedata
from collections.abc import Sequence
from typing import Annotated

import msgspec
import ujson

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

    @property
    def key(self) -> tuple[Number, str]:
        """What players are ordered by, best first: the score descending, then the id ascending."""
        return (-self.score, self.id)


class RankedPlayer(msgspec.Struct, frozen=True):
    """A player with its rank: one more than the number of players with a higher score."""

    id: str
    name: str
    score: Number
    rank: int


class Ranking(msgspec.Struct, frozen=True):
    """A board and its best players, best first, as one read saw them.

    `version` orders the read among the store's changes (see `store.Change.version`); 0 where the
    store has no such order.
    """

    board: Board
    players: Sequence[Player]
    version: int = 0


def board_json(board: Board, players: Sequence[Player]) -> str:
    """The board as the API and the events show it, as JSON on one line."""
    text: str = ujson.dumps(
        {
            "id": board.id,
            "name": board.name,
            "players": [{"id": p.id, "name": p.name, "score": p.score} for p in players],
        },
        ensure_ascii=False,
        escape_forward_slashes=False,
    )
    return text


# The bodies of requests. Types and lengths are msgspec's to check, with messages that name the
# field; scores are checked with `score_of`, ids with `is_id`.

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Id = Annotated[str, msgspec.Meta(pattern=_ID)]
_Score = (
    Annotated[int, msgspec.Meta(ge=-SCORE_LIMIT, le=SCORE_LIMIT)]
    | Annotated[float, msgspec.Meta(ge=-SCORE_LIMIT, le=SCORE_LIMIT)]
)


class NewBoard(msgspec.Struct, forbid_unknown_fields=True):
    """``POST /boards/``. Without `id` one is made up; without `name` the id serves."""

    id: _Id | None = None
    name: _Name | None = None


class NewPlayer(msgspec.Struct, forbid_unknown_fields=True):
    """``POST /boards/{board}/players/``."""

    name: _Name
    id: _Id | None = None
    score: _Score = 0


class PlayerPatch(msgspec.Struct, forbid_unknown_fields=True):
    """``PATCH /boards/{board}/players/{player}/``: what is left out stays as it is."""

    name: _Name | msgspec.UnsetType = msgspec.UNSET
    score: _Score | msgspec.UnsetType = msgspec.UNSET


class Addition(msgspec.Struct, forbid_unknown_fields=True):
    """``POST /boards/{board}/players/{player}/score-add/``."""

    amount: _Score = 1
