"""Scores that are handed in, many in one transaction: computed here, written once a player."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from tornado_board.inputs import Submission
from tornado_board.models import Board, Number, Player
from tornado_board.store import Once, StoreError, Submitted, scoring
from tornado_board.store.audit import Audited, summary_of
from tornado_board.store.sqlite import outcomes, rows, writes
from tornado_board.store.sqlite.audit import Trail
from tornado_board.store.sqlite.outcomes import Results
from tornado_board.store.sqlite.written import Written


class Slice(NamedTuple):
    """Some submissions of one request, and the key of theirs."""

    board_id: str
    submissions: Sequence[Submission]
    once: Once | None
    audited: Audited | None = None


def submit_slices(
    c: sqlite3.Connection, slices: Sequence[Slice], written: Written, trail: Trail
) -> list[Results | StoreError]:
    """What became of each: its results, or why it was not carried out."""
    results: dict[int, Results | StoreError] = {}
    by_board: dict[str, list[int]] = {}
    for number, part in enumerate(slices):
        by_board.setdefault(part.board_id, []).append(number)
    for board_id, numbers in by_board.items():
        of_board = {number: slices[number] for number in numbers}
        _submit(c, board_id, of_board, results, written, trail)
    return [results[number] for number in range(len(slices))]


def _submit(
    c: sqlite3.Connection,
    board_id: str,
    slices: dict[int, Slice],
    results: dict[int, Results | StoreError],
    written: Written,
    trail: Trail,
) -> None:
    """Carry out those of one board: each player is read once, and written once."""
    now = writes.now()
    found = rows.find_board(c, board_id)
    ids = {submission.id for part in slices.values() for submission in part.submissions}
    there = {p.id: p for p in rows.players(c, board_id, ids)} if found is not None else {}
    after = dict(there)

    def work(part: Slice) -> Results:
        if found is None:
            raise rows.no_board(board_id)
        before = None if part.audited is None else dict(after)
        outcomes: Results = []
        for submission in part.submissions:
            try:
                done = _submitted(found, after.get(submission.id), submission, now)
            except StoreError as refused:
                outcomes.append(refused)
            else:
                if done.changed:
                    after[submission.id] = done.player
                outcomes.append(done)
        if before is not None:
            _note(c, part, before, outcomes, trail)
        return outcomes

    for number, part in slices.items():
        do = partial(work, part)
        try:
            key = part.once
            results[number] = do() if key is None else outcomes.once(c, key, outcomes.RESULTS, do)
        except StoreError as refused:
            results[number] = refused
    if found is not None:
        _store(c, found, there, after, written)


def _note(
    c: sqlite3.Connection, part: Slice, before: dict[str, Player], results: Results, trail: Trail
) -> None:
    """Have an entry in the audit trail: of one submission, or a summary of many. `before` has the
    players as they were."""
    done = [result for result in results if isinstance(result, Submitted) and result.changed]
    if done and len(part.submissions) == 1:
        player = done[0].player
        trail.note(c, part.audited, part.board_id, player.id, before.get(player.id), player)
    elif done:
        trail.note_many(c, part.audited, part.board_id, summary_of(results))


class Addition(NamedTuple):
    """One that `Store.add_score` is to carry out."""

    board_id: str
    player_id: str
    amount: Number
    create: bool
    once: Once | None
    audited: Audited | None = None


def add(
    c: sqlite3.Connection, additions: Sequence[Addition], written: Written, trail: Trail
) -> list[Submitted | StoreError]:
    """What became of each."""
    results: dict[int, Submitted | StoreError] = {}
    by_board: dict[str, list[int]] = {}
    for number, addition in enumerate(additions):
        by_board.setdefault(addition.board_id, []).append(number)
    for board_id, numbers in by_board.items():
        of_board = {number: additions[number] for number in numbers}
        _add(c, board_id, of_board, results, written, trail)
    return [results[number] for number in range(len(additions))]


def _add(
    c: sqlite3.Connection,
    board_id: str,
    additions: dict[int, Addition],
    results: dict[int, Submitted | StoreError],
    written: Written,
    trail: Trail,
) -> None:
    """Carry out those of one board."""
    now = writes.now()
    found = rows.find_board(c, board_id)
    ids = {addition.player_id for addition in additions.values()} if found is not None else ()
    there = {player.id: player for player in rows.players(c, board_id, ids)}
    after = dict(there)

    def work(addition: Addition) -> Submitted:
        player_id = addition.player_id
        if found is None:
            raise rows.no_board(board_id)
        before = after.get(player_id)
        if before is None and not addition.create:
            raise rows.no_player(board_id, player_id)
        done = _submitted(found, before, scoring.addition(player_id, addition.amount), now)
        if done.changed:
            after[player_id] = done.player
            trail.note(c, addition.audited, board_id, player_id, before, done.player)
        return done

    for number, addition in additions.items():
        try:
            if addition.once is None:
                results[number] = work(addition)
            else:
                do = partial(work, addition)
                results[number] = outcomes.once(c, addition.once, outcomes.SUBMITTED, do)
        except StoreError as refused:
            results[number] = refused
    if found is not None:
        _store(c, found, there, after, written)


def _submitted(board: Board, before: Player | None, submission: Submission, now: int) -> Submitted:
    player = scoring.submitted(board, before, submission, now)
    if before is None:
        return Submitted(player, None, True)
    changed = player is not before and (
        player.score != before.score
        or player.name != before.name
        or not writes.are_same(player.meta, before.meta)
    )
    return Submitted(player if changed else before, before.score, changed, before.hidden)


def _store(
    c: sqlite3.Connection,
    board: Board,
    there: dict[str, Player],
    after: dict[str, Player],
    written: Written,
) -> None:
    """Write the players that are others now."""
    others = {id: player for id, player in after.items() if there.get(id) is not player}
    written.begin(c, others)
    scores: list[Player] = []
    made: list[Player] = []
    for player in others.values():
        before = there.get(player.id)
        if before is None:
            made.append(player)
        elif player.name == before.name and player.meta is before.meta:
            scores.append(player)
        else:
            writes.update_player(c, board, player)
    writes.set_scores(c, board, scores)
    writes.make_players(c, board, made)
    written.end(c, board.id, others, there)
