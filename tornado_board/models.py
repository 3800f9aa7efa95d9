"""Boards, players, their changes, and the bodies of requests: plain data, no I/O."""

from __future__ import annotations

import math
import re
import secrets
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

_ID = re.compile(r"[A-Za-z0-9._~-]{1,64}", re.ASCII)


def is_id(text: str) -> bool:
    """Whether `text` can be the id of a board or a player: 1 to 64 of ``A-Z a-z 0-9 . _ ~ -``."""
    return _ID.fullmatch(text) is not None


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
_Id = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._~-]{1,64}\Z")]
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
