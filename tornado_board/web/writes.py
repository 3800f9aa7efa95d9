"""What follows a write: the ranks are told of it, and asked for the answer."""

from __future__ import annotations

from collections.abc import Sequence

from tornado_board.models import Number
from tornado_board.realtime.ranks import Standing
from tornado_board.store import StoreError, Submitted
from tornado_board.web.exchange import Asked


def wrote(
    asked: Asked,
    board_id: str,
    player_id: str,
    before: Number | None,
    after: Number | None,
    since: int,
) -> None:
    """Tell the ranks what the store was just told, so that the caller's own write is in them: the
    player's score `before` and `after`, ``None`` where it was not there. `since`: `Ranks.position`
    before the write began."""
    once = asked.once
    # What an earlier request wrote is in them already, and maybe no longer so.
    if before != after and not (once is not None and once.replayed):
        asked.services.ranks.wrote(board_id, player_id, before, after, since)


def wrote_many(
    asked: Asked, board_id: str, outcomes: Sequence[Submitted | StoreError], since: int
) -> None:
    """The same of many submissions, in the order of their answers; those that were refused wrote
    nothing."""
    once = asked.once
    ranks = asked.services.ranks
    if ranks.keeps(board_id) and not (once is not None and once.replayed):
        for done in outcomes:
            if isinstance(done, Submitted) and done.previous != done.player.score:
                ranks.wrote(board_id, done.player.id, done.previous, done.player.score, since)


async def standing(asked: Asked, board_id: str, *scores: Number) -> Standing | None:
    """How `scores` stand on the board, for the answer to a write; ``None`` if the store can't tell
    it any more, since what was written was written all the same."""
    try:
        return await asked.services.ranks.standing(board_id, *scores)
    except StoreError:
        return None
