"""Scores that are handed in, many in one transaction: computed here, written once a player."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from tornado_board.inputs import Submission
from tornado_board.models import Board, Number, Player
from tornado_board.store import StoreError, Submitted, scoring
from tornado_board.store.sqlite import rows, writes


def submit(
    c: sqlite3.Connection, board_id: str, submissions: Sequence[Submission]
) -> list[Submitted | StoreError]:
    """What became of each. Raises `NotFound` (the board)."""
    board = rows.board(c, board_id)
    ids = {submission.id for submission in submissions}
    there = {player.id: player for player in rows.players(c, board_id, ids)}
    after = dict(there)
    now = writes.now()
    results: list[Submitted | StoreError] = []
    for submission in submissions:
        try:
            done = _submitted(board, after.get(submission.id), submission, now)
        except StoreError as refused:
            results.append(refused)
        else:
            if done.changed:
                after[submission.id] = done.player
            results.append(done)
    _store(c, board, there, after)
    return results


def add(
    c: sqlite3.Connection, board_id: str, player_id: str, amount: Number, create: bool
) -> Submitted:
    """Add to the player's score; `create`: make the player if there is none. Raises `NotFound` or
    `OutOfRange`."""
    board = rows.board(c, board_id)
    there = {player.id: player for player in rows.players(c, board_id, [player_id])}
    if not there and not create:
        raise rows.missing(c, board_id, player_id)
    addition = scoring.addition(player_id, amount)
    done = _submitted(board, there.get(player_id), addition, writes.now())
    if done.changed:
        _store(c, board, there, {player_id: done.player})
    return done


def _submitted(board: Board, before: Player | None, submission: Submission, now: int) -> Submitted:
    player = scoring.submitted(board, before, submission, now)
    if before is None:
        return Submitted(player, None, True)
    changed = player is not before and (
        player.score != before.score
        or player.name != before.name
        or not writes.are_same(player.meta, before.meta)
    )
    return Submitted(player if changed else before, before.score, changed)


def _store(
    c: sqlite3.Connection, board: Board, there: dict[str, Player], after: dict[str, Player]
) -> None:
    """Write the players that are others now."""
    scores: list[Player] = []
    made: list[Player] = []
    for player in after.values():
        before = there.get(player.id)
        if before is None:
            made.append(player)
        elif before is not player:
            if player.name == before.name and player.meta is before.meta:
                scores.append(player)
            else:
                writes.update_player(c, board, player)
    writes.set_scores(c, board, scores)
    writes.make_players(c, board, made)
