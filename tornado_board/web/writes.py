"""What follows a write: the ranks are told of it, and asked for the answer."""

from __future__ import annotations

from collections.abc import Sequence

from tornado_board.models import Number, Player
from tornado_board.realtime.ranks import Standing
from tornado_board.seasons import partition_of
from tornado_board.store import StoreError, Submitted
from tornado_board.web.exchange import Asked


def wrote(asked: Asked, board_id: str, done: Submitted, since: int) -> None:
    """Tell the ranks what the store was just told, so that the caller's own write is in them.
    `since`: `Ranks.position` before the write began."""
    before = None if done.was_hidden else done.previous
    _wrote(asked, board_id, done.player, before, _shown_score(done.player), since)


def made(asked: Asked, board_id: str, player: Player, since: int) -> None:
    """The same of a player that was made."""
    _wrote(asked, board_id, player, None, _shown_score(player), since)


def deleted(asked: Asked, board_id: str, player: Player, since: int) -> None:
    """The same of a player that was deleted."""
    _wrote(asked, board_id, player, _shown_score(player), None, since)


def _shown_score(player: Player) -> Number | None:
    """The score that the ranks have of `player`: none of one that is hidden."""
    return None if player.hidden else player.score


def _wrote(
    asked: Asked,
    board_id: str,
    player: Player,
    before: Number | None,
    after: Number | None,
    since: int,
) -> None:
    """The player's score was `before` and is `after`; ``None`` where it had no place."""
    once = asked.once
    # What an earlier request wrote is in them already, and maybe no longer so.
    if before != after and not (once is not None and once.replayed):
        asked.services.lag.confirm(board_id, player.id)
        asked.services.player_reads.wrote(board_id, player.id)
        partition = partition_of(board_id, player.season)
        asked.services.ranks.wrote(partition, player.id, before, after, since)


def wrote_many(
    asked: Asked, board_id: str, outcomes: Sequence[Submitted | StoreError], since: int
) -> None:
    """As `wrote`, of many submissions in the order of their answers; those that were refused wrote
    nothing."""
    keeps, kept = asked.services.ranks.keeps, {0: False}
    for done in outcomes:
        if isinstance(done, Submitted):
            season = done.player.season
            if season not in kept:
                kept[season] = keeps(partition_of(board_id, season))
            if kept[season]:
                wrote(asked, board_id, done, since)


async def standing(asked: Asked, board_id: str, player: Player, *scores: Number) -> Standing | None:
    """How `scores` stand in the season of `player`, for the answer to a write; ``None`` if that is
    hidden, or the store can't tell it any more, since what was written was written all the same."""
    if player.hidden:
        return None
    partition = partition_of(board_id, player.season)
    try:
        return await asked.services.ranks.standing(partition, *scores)
    except StoreError:
        return None
