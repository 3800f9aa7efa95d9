"""The ranks that players had at some time: the parameter ``since`` of a page."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from tornado_board.models import Board, Player, season_in, shows_private
from tornado_board.realtime.past_ranks import ranks_of_board, ranks_of_places
from tornado_board.replay import Event, LogUnavailable
from tornado_board.replay.track import DAY
from tornado_board.seasons import partition_of, spelled
from tornado_board.store import SeasonGone
from tornado_board.web.described import Read
from tornado_board.web.exchange import Asked
from tornado_board.web.pages import MOST_IDS
from tornado_board.web.problems import Problem
from tornado_board.web.times import PATTERN, is_date, parse, written

#: For how long places that were kept are those of a time after it, in milliseconds: as exactly as
#: the coarsest step of the track knows the best.
_NEAR = 60_000

#: What stands for the season before, and before the number of another one.
_SEASON = "season"
_NUMBER = re.compile(rf"{_SEASON}:([1-9]\d{{0,8}})", re.ASCII)

#: The longest page that has ranks of another season: each may take a look-up of its own.
MOST_OF_SEASON = MOST_IDS


@dataclass(frozen=True)
class SeasonBefore:
    """The end of the season with this `number`; ``None``: of that before the page's."""

    number: int | None = None


@dataclass(frozen=True, kw_only=True)
class _Since(Read):
    """A point in time, or the end of a season."""

    @property
    def schema(self) -> Mapping[str, Any]:
        return {"type": "string", "pattern": f"{PATTERN}|^{_SEASON}(:[1-9][0-9]{{0,8}})?$"}

    def of(self, asked: Asked) -> int | SeasonBefore | None:
        """What the request says, a time as ms since 1970; ``None`` where it says nothing. Raises
        `Problem` 422."""
        text = asked.argument(self.name)
        if text is None:
            return None
        if text == _SEASON:
            return SeasonBefore()
        if (found := _NUMBER.fullmatch(text)) is not None:
            return SeasonBefore(int(found[1]))
        try:
            return parse(text)
        except ValueError as error:
            raise Problem(422, f"{self.name}: {error}, or {_SEASON}, or {_SEASON}:6.") from None


SINCE = _Since(
    name="since",
    text="With the rank that each had at this time, too: a time; `season`, the end of the season"
    " before; or `season:6`, the end of that season.",
)


class PreviousRanks(NamedTuple):
    """Ranks of then, as far as they are known.

    They are of `time`, or of up to `resolution` seconds before it. `season` is the number of the
    season whose final ones they are: then all are known.
    """

    time: str
    resolution: int
    ranks: Mapping[str, int]
    season: int | None = None

    def shown(self) -> dict[str, Any] | None:
        """What of it is told once; ``None`` if nothing is known."""
        if not self.ranks and self.season is None:
            return None
        shown: dict[str, Any] = {"time": self.time, "resolution": self.resolution}
        return shown if self.season is None else {**shown, "season": self.season}


_UNKNOWN = PreviousRanks("", 0, {})


def check_length(asked: Asked, limit: int) -> None:
    """Raise `Problem` 422 if a page of `limit` players can't have the ranks that are asked for, or
    what they are asked for is nothing."""
    if limit > MOST_OF_SEASON and isinstance(SINCE.of(asked), SeasonBefore):
        raise Problem(
            422, f"limit: must be at most {MOST_OF_SEASON} where since is the end of a season."
        )


async def previous_ranks(
    asked: Asked, board: Board, players: Sequence[Player]
) -> PreviousRanks | None:
    """The ranks of `players` at the time that ``since`` names, among those of the season that
    `board` is as of; or at the end of the season that it names. ``None`` where it is not there.

    Raises `Problem` 422, and what the store raises.
    """
    since = SINCE.of(asked)
    if since is None:
        return None
    if isinstance(since, SeasonBefore):
        number = board.number - 1 if since.number is None else since.number
        return await _at_the_end_of(asked, board.id, number, [player.id for player in players])
    return await _at(asked, board, since)


async def _at_the_end_of(
    asked: Asked, board_id: str, number: int, ids: Sequence[str]
) -> PreviousRanks:
    """The final ranks of `ids`, of the season with this number: from what the store has of it. Who
    was not in it had none."""
    if number < 1:
        return _UNKNOWN
    store, ranks = asked.services.store, asked.services.ranks
    try:
        season = (await store.get_board(board_id, number)).season
        if season is None or season.ended is None:
            raise Problem(422, f"{SINCE.name}: season {number} is not over; it has no final ranks.")
        players = await store.players_by_id(board_id, ids, number) if ids else ()
        scores = list(dict.fromkeys(player.score for player in players))
        standing = await ranks.standing(partition_of(board_id, number), *scores)
    except SeasonGone:
        return _UNKNOWN
    better = dict(zip(scores, standing.better, strict=True))
    found = {player.id: better[player.score] + 1 for player in players}
    return PreviousRanks(spelled(season.ended), 0, found, number)


async def _at(asked: Asked, board: Board, ms: int) -> PreviousRanks:
    """The ranks at a time, ms since 1970, as far as what is kept of the board has them.

    A date by itself is the time of that day at which places were kept. Nothing is known of what is
    not kept, nor while the replay log is away, nor of a time at which the board was private, to who
    may read no private board, nor from another season.
    """
    board_id, log = board.id, asked.services.log
    try:
        if is_date(asked.argument(SINCE.name) or ""):
            places = await log.places_at(board_id, ms + DAY - 1)
            if places is not None and places.id is not None and places.id.ms >= ms:
                ms = places.id.ms
            else:
                places = None
        else:
            places = await log.places_at(board_id, ms)
        looked = await log.at(board_id, [ms])
    except LogUnavailable:
        return _UNKNOWN
    if ms < looked.now - log.reach_ms:
        return _UNKNOWN
    ranks: dict[str, int] = {}
    resolution = 0
    [past] = looked.pasts
    # What the board itself showed then counts for more.
    if places is not None and places.id is not None and ms - places.id.ms <= _NEAR:
        ranks.update(await _ranks(asked, board, places, ranks_of_places))
        resolution = -(-(ms - places.id.ms) // 1000)
    if past is not None:
        ranks.update(await _ranks(asked, board, past.event, ranks_of_board))
        resolution = max(resolution, past.resolution // 1000)
    return PreviousRanks(written(ms), resolution, ranks)


async def _ranks(
    asked: Asked, board: Board, event: Event, read: Callable[[str], Mapping[str, int]]
) -> Mapping[str, int]:
    """The ranks in `event`, if it is of the season of `board` and the caller may know them."""
    if season_in(event.data) != board.number:
        return {}
    try:
        if shows_private(event.data):
            await asked.check_as_private()
        return read(event.data)
    except (Problem, msgspec.DecodeError):  # the latter: another program's
        return {}
