"""What clients send: the bodies of requests, as far as a type can say what is right.

Types and lengths are msgspec's to check, with messages that name the field and give its
description; scores are checked with `models.score_of`, ids with `models.is_id`.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec.structs import asdict, replace

from tornado_board.models import (
    ID_PATTERN,
    MOST_TOP,
    SCORE_LIMIT,
    TOP,
    Board,
    Meta,
    Operator,
    Order,
    Player,
    Shown,
    Ties,
    merged,
    new_id,
    score_of,
)
from tornado_board.seasons import MOST_KEPT, MOST_NUMBER, Season
from tornado_board.seasons.calendar import LONGEST_CRON, LONGEST_ZONE
from tornado_board.seasons.course import planned, unplanned

_Name = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=200,
        description="a string of 1 to 200 characters",
        # Only told: `web.bodies` looks at it, and says more.
        extra_json_schema={"pattern": r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$"},
    ),
]
_Id = Annotated[
    str,
    msgspec.Meta(
        pattern=ID_PATTERN,
        description="a string of 1 to 64 characters of A-Z a-z 0-9 . _ ~ -, but not . or ..",
    ),
]
_Score = Annotated[
    Annotated[int, msgspec.Meta(ge=-SCORE_LIMIT, le=SCORE_LIMIT)]
    | Annotated[float, msgspec.Meta(ge=-SCORE_LIMIT, le=SCORE_LIMIT)],
    msgspec.Meta(description="a finite number from -2^53 to 2^53"),
]
_Amount = _Score
_Bound = Annotated[
    _Score | None, msgspec.Meta(description="a finite number from -2^53 to 2^53, or null")
]
_Top = Annotated[
    int,
    msgspec.Meta(ge=1, le=MOST_TOP, description=f"a whole number from 1 to {MOST_TOP}"),
]
_Order = Annotated[Order, msgspec.Meta(description="desc or asc")]
_Ties = Annotated[Ties, msgspec.Meta(description="id or first")]
_Operator = Annotated[Operator, msgspec.Meta(description="best, set or add")]
_Show = Annotated[
    list[Shown], msgspec.Meta(max_length=1, description='an empty array, or ["meta"]')
]
_Private = Annotated[bool, msgspec.Meta(description="true or false")]
_Every = Annotated[
    str,
    msgspec.Meta(
        max_length=LONGEST_CRON,
        description="day, week, month, a cron expression of five fields, or null",
    ),
]
_Timezone = Annotated[
    str,
    msgspec.Meta(
        max_length=LONGEST_ZONE, description="a name of the IANA database, like Europe/Berlin"
    ),
]
_Keep = Annotated[
    int,
    msgspec.Meta(ge=1, le=MOST_KEPT, description=f"a whole number from 1 to {MOST_KEPT}"),
]
_Number = Annotated[
    int,
    msgspec.Meta(ge=1, le=MOST_NUMBER, description=f"a whole number from 1 to {MOST_NUMBER}"),
]
_Hidden = Annotated[bool, msgspec.Meta(description="true or false")]
_Meta = Annotated[Meta, msgspec.Meta(description="an object")]

#: What is left out of a body.
UNSET = msgspec.UNSET
Unset = msgspec.UnsetType


def _given(body: msgspec.Struct) -> dict[str, Any]:
    """What a body has, by field."""
    return {name: value for name, value in asdict(body).items() if value is not UNSET}


class SeasonPlan(msgspec.Struct, forbid_unknown_fields=True):
    """The ``season`` of a board that is made or changed: what is left out stays as it is. `every`:
    see `calendar`; ``null`` for seasons that end by hand only."""

    every: _Every | Unset | None = UNSET
    timezone: _Timezone | Unset = UNSET
    keep: _Keep | Unset = UNSET

    def apply(self, season: Season | None, now: int) -> Season:
        """`season`, or a first one, with this plan from `now` on, ms since 1970. Raises
        `ValueError` if there is no such calendar."""
        before = Season(1, now) if season is None else season
        given = {"every": before.every, "timezone": before.timezone, "keep": before.keep}
        return planned(season, now, **{**given, **_given(self)})


_Season = Annotated[
    SeasonPlan, msgspec.Meta(description="an object with every, timezone and keep, or null")
]


def _season_of(plan: SeasonPlan | None, season: Season | None, now: int) -> Season | None:
    return unplanned(season) if plan is None else plan.apply(season, now)


class NewBoard(msgspec.Struct, forbid_unknown_fields=True):
    """``POST /boards/``. Without `id` one is made up; without `name` the id serves."""

    id: _Id | None = None
    name: _Name | None = None
    order: _Order = "desc"
    ties: _Ties = "id"
    operator: _Operator = "best"
    top: _Top = TOP
    min: _Bound = None
    max: _Bound = None
    meta: _Meta = msgspec.field(default_factory=dict)
    show: _Show = msgspec.field(default_factory=list)
    private: _Private = False
    season: _Season | None = None

    def board(self, now: int = 0) -> Board:
        """The board that is to be made `now`, ms since 1970; another one each time if it has no id
        yet. Raises `ValueError` if its season is none that there can be."""
        board_id = self.id or new_id()
        fixed = {"id": board_id, "name": self.name or board_id, "show": tuple(self.show)}
        season = _season_of(self.season, None, now)
        return Board(**{**asdict(self), **fixed, "meta": merged({}, self.meta), "season": season})


class BoardPatch(msgspec.Struct, forbid_unknown_fields=True):
    """``PATCH /boards/{board}/``: what is left out stays as it is; ``null`` takes a bound away, or
    the calendar of the seasons; `meta` is merged (RFC 7396)."""

    name: _Name | Unset = UNSET
    order: _Order | Unset = UNSET
    ties: _Ties | Unset = UNSET
    operator: _Operator | Unset = UNSET
    top: _Top | Unset = UNSET
    min: _Bound | Unset = UNSET
    max: _Bound | Unset = UNSET
    meta: _Meta | Unset = UNSET
    show: _Show | Unset = UNSET
    private: _Private | Unset = UNSET
    season: _Season | Unset | None = UNSET

    def apply(self, board: Board, now: int = 0) -> Board:
        """`board` with these changes, `now`, ms since 1970. Raises `ValueError` if its season would
        be none that there can be."""
        given = _given(self)
        if self.season is not UNSET:
            given["season"] = _season_of(self.season, board.season, now)
        if "meta" in given:
            given["meta"] = merged(board.meta, given["meta"])
        if "show" in given:
            given["show"] = tuple(given["show"])
        return replace(board, **given)


class NewPlayer(msgspec.Struct, forbid_unknown_fields=True):
    """``POST /boards/{board}/players/``."""

    name: _Name
    id: _Id | None = None
    score: _Score = 0
    meta: _Meta = msgspec.field(default_factory=dict)

    def player(self, reached_at: int = 0, season: int = 1) -> Player:
        """The player that is to be made; another one each time if it has no id yet."""
        fixed = {"id": self.id or new_id(), "score": score_of(self.score)}
        meta = merged({}, self.meta)
        given = {**asdict(self), **fixed, "meta": meta}
        return Player(**given, reached_at=reached_at, season=season)


class PlayerPatch(msgspec.Struct, forbid_unknown_fields=True):
    """``PATCH /boards/{board}/players/{player}/``: what is left out stays as it is; `meta` is
    merged (RFC 7396)."""

    name: _Name | Unset = UNSET
    score: _Score | Unset = UNSET
    meta: _Meta | Unset = UNSET
    hidden: _Hidden | Unset = UNSET

    def apply(self, player: Player, reached_at: int) -> Player:
        """`player` with these changes; `reached_at` holds where the score becomes another one."""
        given = _given(self)
        if "score" in given:
            given["score"] = score_of(given["score"])
            if given["score"] != player.score:
                given["reached_at"] = reached_at
        if "meta" in given:
            given["meta"] = merged(player.meta, given["meta"])
        return replace(player, **given)


class Addition(msgspec.Struct, forbid_unknown_fields=True):
    """``POST /boards/{board}/players/{player}/score-add/``."""

    amount: _Amount = 1


class Score(msgspec.Struct, forbid_unknown_fields=True):
    """``POST /boards/{board}/players/{player}/score/``. `meta` is merged (RFC 7396)."""

    score: _Score
    operator: _Operator | Unset = UNSET
    name: _Name | Unset = UNSET
    meta: _Meta | Unset = UNSET
    #: The season that it is for; it is refused where the board is in another one.
    season: _Number | Unset = UNSET

    def submission(self, player_id: str) -> Submission:
        """What it hands in for this player."""
        return Submission(id=player_id, **_given(self))


class Submission(Score, forbid_unknown_fields=True, kw_only=True, gc=False):
    """One of those that ``POST /boards/{board}/scores/`` hands in: the score of the player `id`,
    who is made if there is no such player. As `Player`, it is none of the garbage collector's."""

    id: _Id


class SeasonEnd(msgspec.Struct, forbid_unknown_fields=True):
    """``POST /boards/{board}/seasons/``: ends the present season; that of this number, if given."""

    season: _Number | None = None
