"""What a submission makes of a player: the rules, the same for every store. No I/O, no clock."""

from __future__ import annotations

from msgspec.structs import replace

from tornado_board.inputs import UNSET, Submission
from tornado_board.models import (
    SCORE_LIMIT,
    Board,
    Number,
    Operator,
    Player,
    merged,
    score_of,
)
from tornado_board.store import Invalid, OutOfRange


def addition(player_id: str, amount: Number) -> Submission:
    """The submission that adds `amount`."""
    return Submission(id=player_id, score=amount, operator="add")


def operator_of(board: Board, submission: Submission) -> Operator:
    """What `submission` does: what it says itself, or else what the board says."""
    return board.operator if submission.operator is UNSET else submission.operator


def submitted(board: Board, player: Player | None, submission: Submission, now: int) -> Player:
    """`player`, or a new one, after `submission`, which comes at `now`, ms since 1970.

    Raises `OutOfRange` where the score that is handed in, or for ``add`` the sum, is not within the
    bounds, and `Invalid` where ``meta`` would become too long.
    """
    score = score_of(submission.score)
    operator = operator_of(board, submission)
    if operator == "add" and player is not None:
        score = _sum(player.score, score)
    if board.min is not None or board.max is not None:
        check_bounds(board, score)
    ordering = board.ordering
    if player is None:
        player_id = submission.id
        made = Player(player_id, player_id, score, ordering.reached_at(now))
        return _described(made, submission)
    if score == player.score or (
        operator == "best" and not ordering.is_better(score, player.score)
    ):
        return _described(player, submission)
    changed = replace(player, score=score, reached_at=ordering.reached_at(now))
    return _described(changed, submission)


def check_bounds(board: Board, score: Number) -> None:
    """Raises `OutOfRange` if `score` is not within the board's bounds."""
    if not board.allows(score):
        bound = (
            f"less than the board's min, {board.min}"
            if board.min is not None and score < board.min
            else f"greater than the board's max, {board.max}"
        )
        raise OutOfRange(f"the score would be {score}, which is {bound}; nothing was changed")


def check_meta(player: Player) -> None:
    """Raises `Invalid` if ``meta`` is too long."""
    try:
        player.check()
    except ValueError as error:
        raise Invalid(f"{error}; nothing was changed") from None


def _sum(score: Number, amount: Number) -> Number:
    total = score + amount
    if not -SCORE_LIMIT <= total <= SCORE_LIMIT:
        raise OutOfRange(
            f"the score is {score}: adding {amount} would leave ±2^53; nothing was changed"
        )
    return score_of(total)


def _described(player: Player, submission: Submission) -> Player:
    if submission.name is not UNSET and submission.name != player.name:
        player = replace(player, name=submission.name)
    if submission.meta is not UNSET:
        player = replace(player, meta=merged(player.meta, submission.meta))
        check_meta(player)
    return player
