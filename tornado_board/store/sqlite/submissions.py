"""Scores that are handed in, many in one transaction: computed here, written once a player."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from tornado_board.inputs import UNSET, Submission
from tornado_board.models import Board, Number, Player, merged, score_of
from tornado_board.store import NotFound, StoreError, Submitted
from tornado_board.store.sqlite import rows, writes


def submit(
    c: sqlite3.Connection, board_id: str, submissions: Sequence[Submission]
) -> list[Submitted | StoreError]:
    """What became of each. Raises `NotFound` (the board)."""
    board = rows.board(c, board_id)
    there = {
        player.id: player
        for player in rows.players(c, board_id, {submission.id for submission in submissions})
    }
    after = dict(there)
    reached_at = board.ordering.reached_at(writes.now())
    results: list[Submitted | StoreError] = []
    for submission in submissions:
        try:
            done = submitted(board, after.get(submission.id), submission, reached_at)
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
        raise NotFound(f"board {board_id!r} has no player {player_id!r}")
    addition = Submission(id=player_id, score=amount, operator="add")
    reached_at = board.ordering.reached_at(writes.now())
    done = submitted(board, there.get(player_id), addition, reached_at)
    if done.changed:
        _store(c, board, there, {player_id: done.player})
    return done


def submitted(
    board: Board, before: Player | None, submission: Submission, reached_at: int
) -> Submitted:
    """What `submission` makes of the player `before`. Raises `OutOfRange` or `Invalid`."""
    if before is None:
        meta = {} if submission.meta is UNSET else merged({}, submission.meta)
        name = submission.id if submission.name is UNSET else submission.name
        player = Player(submission.id, name, score_of(submission.score), reached_at, meta)
        writes.check_score(board, player.score)
        if meta:
            writes.check_meta(player)
        return Submitted(player, None, True)
    score = _score(board, before.score, submission)
    is_new_score = score != before.score
    if is_new_score:
        writes.check_score(board, score)
    else:
        score, reached_at = before.score, before.reached_at
    name, meta = before.name, before.meta
    if submission.name is UNSET and submission.meta is UNSET:
        player = Player(before.id, name, score, reached_at, meta)
        return Submitted(player, before.score, is_new_score)
    if submission.name is not UNSET:
        name = submission.name
    is_new_meta = False
    if submission.meta is not UNSET:
        meta = merged(before.meta, submission.meta)
        is_new_meta = not writes.are_same(meta, before.meta)
    player = Player(before.id, name, score, reached_at, meta)
    if is_new_meta:
        writes.check_meta(player)
    return Submitted(player, before.score, is_new_score or is_new_meta or name != before.name)


def _score(board: Board, before: Number, submission: Submission) -> Number:
    operator = board.operator if submission.operator is UNSET else submission.operator
    if operator == "add":
        return writes.sum_of(before, submission.score)
    score = score_of(submission.score)
    if operator == "set" or board.ordering.is_better(score, before):
        return score
    return before


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
