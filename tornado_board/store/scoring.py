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
from tornado_board.store import Invalid, OutOfRange, WrongSeason


def addition(player_id: str, amount: Number) -> Submission:
    """The submission that adds `amount`."""
    return Submission(id=player_id, score=amount, operator="add")


def operator_of(board: Board, submission: Submission) -> Operator:
    """What `submission` does: what it says itself, or else what the board says."""
    return board.operator if submission.operator is UNSET else submission.operator


class Scoring:
    """What submissions to a board make of its players, when they come at `now`, ms since 1970."""

    __slots__ = ("_board", "_has_bounds", "_operator", "_ordering", "_reached_at")

    def __init__(self, board: Board, now: int) -> None:
        # Asked for here, and not for each submission: there may be thousands.
        self._board = board
        self._operator = board.operator
        self._ordering = board.ordering
        self._reached_at = board.ordering.reached_at(now)
        self._has_bounds = board.min is not None or board.max is not None

    def submitted(self, player: Player | None, submission: Submission) -> Player:
        """`player`, or a new one, after `submission`: the same object where it changes nothing.

        Raises `WrongSeason` where it names another season than the board's, `OutOfRange` where
        the score that is handed in, or for ``add`` the sum, is not within the bounds, and `Invalid`
        where ``meta`` would become too long.
        """
        if submission.season is not UNSET:
            check_season(self._board, submission.season)
        score = score_of(submission.score)
        operator = submission.operator
        if operator is UNSET:
            operator = self._operator
        if operator == "add" and player is not None:
            score = _sum(player.score, score)
        if self._has_bounds:
            check_bounds(self._board, score)
        if player is None:
            id = submission.id
            player = Player(id, id, score, self._reached_at, season=self._board.number)
        elif score != player.score and (
            operator != "best" or self._ordering.is_better(score, player.score)
        ):
            player = replace(player, score=score, reached_at=self._reached_at)
        if submission.name is UNSET and submission.meta is UNSET:
            return player
        return _described(player, submission)


def check_season(board: Board, season: int) -> None:
    """Raises `WrongSeason` if it is not the present one of the board."""
    if season != board.number:
        is_over = "is over" if season < board.number else "has not begun"
        raise WrongSeason(
            f"season {season} of board {board.id!r} {is_over}; its season is {board.number};"
            " nothing was changed"
        )


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
    return total if type(total) is int else score_of(total)


def _described(player: Player, submission: Submission) -> Player:
    if submission.name is not UNSET and submission.name != player.name:
        player = replace(player, name=submission.name)
    if submission.meta is not UNSET:
        player = replace(player, meta=merged(player.meta, submission.meta))
        check_meta(player)
    return player
