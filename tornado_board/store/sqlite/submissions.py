"""Scores that are handed in, many in one transaction: computed here, written once a player."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import NamedTuple, NoReturn, TypeVar

from tornado_board.inputs import Submission
from tornado_board.models import Board, Number, Player
from tornado_board.store import Once, StoreError, Submitted, scoring
from tornado_board.store.audit import Audited, summary_of
from tornado_board.store.sqlite import ended, outcomes, rows, writes
from tornado_board.store.sqlite.audit import Trail
from tornado_board.store.sqlite.outcomes import Results
from tornado_board.store.sqlite.written import Written


class Slice(NamedTuple):
    """Some submissions of one request, and the key of theirs."""

    board_id: str
    submissions: Sequence[Submission]
    once: Once | None
    audited: Audited | None = None


class Addition(NamedTuple):
    """One that `Store.add_score` is to carry out."""

    board_id: str
    player_id: str
    amount: Number
    create: bool
    once: Once | None
    audited: Audited | None = None


def submit_slices(
    c: sqlite3.Connection, slices: Sequence[Slice], written: Written, trail: Trail
) -> list[Results | StoreError]:
    """What became of each: its results, or why it was not carried out."""

    def ids(part: Slice) -> Iterable[str]:
        return (submission.id for submission in part.submissions)

    def work(players: _Players, part: Slice) -> Results:
        before = None if part.audited is None else dict(players.after)
        results: Results = []
        for submission in part.submissions:
            try:
                results.append(players.submit(submission))
            except StoreError as refused:
                results.append(refused)
        if before is not None:
            _note(c, part, before, results, trail)
        return results

    return _carry_out(c, slices, ids, work, outcomes.RESULTS, written)


def add(
    c: sqlite3.Connection, additions: Sequence[Addition], written: Written, trail: Trail
) -> list[Submitted | StoreError]:
    """What became of each."""

    def ids(addition: Addition) -> Iterable[str]:
        return (addition.player_id,)

    def work(players: _Players, addition: Addition) -> Submitted:
        board_id, player_id = addition.board_id, addition.player_id
        before = players.after.get(player_id)
        if before is None and not addition.create:
            raise rows.no_player(board_id, player_id)
        done = players.submit(scoring.addition(player_id, addition.amount))
        if done.changed:
            trail.note(c, addition.audited, board_id, player_id, before, done.player)
        return done

    return _carry_out(c, additions, ids, work, outcomes.SUBMITTED, written)


P = TypeVar("P", Slice, Addition)
T = TypeVar("T")


def _carry_out(
    c: sqlite3.Connection,
    parts: Sequence[P],
    ids_of: Callable[[P], Iterable[str]],
    work: Callable[[_Players, P], T],
    codec: outcomes.Codec[T],
    written: Written,
) -> list[T | StoreError]:
    """What `work` makes of each of `parts`, board by board: each player is read once, and written
    once. `ids_of` names the players of a part, and `codec` has its outcome."""
    results: dict[int, T | StoreError] = {}
    by_board: dict[str, list[int]] = {}
    for number, part in enumerate(parts):
        by_board.setdefault(part.board_id, []).append(number)
    for board_id, numbers in by_board.items():
        ids = {id for number in numbers for id in ids_of(parts[number])}
        players = _Players.read(c, board_id, ids)
        for number in numbers:
            part = parts[number]
            try:
                if players is None:
                    do: Callable[[], T] = partial(_refuse, board_id)
                else:
                    do = partial(work, players, part)
                key = part.once
                results[number] = do() if key is None else outcomes.once(c, key, codec, do)
            except StoreError as refused:
                results[number] = refused
        if players is not None:
            players.store(c, written)
    return [results[number] for number in range(len(parts))]


def _refuse(board_id: str) -> NoReturn:
    raise rows.no_board(board_id)


class _Players:
    """Some players of a board in one transaction."""

    def __init__(self, board: Board, there: dict[str, Player], now: int) -> None:
        self.after = dict(there)
        self._board = board
        self._there = there
        self._scoring = scoring.Scoring(board, now)
        #: Those of `after` that are to be written.
        self._others: dict[str, Player] = {}

    @classmethod
    def read(cls, c: sqlite3.Connection, board_id: str, ids: Collection[str]) -> _Players | None:
        """Those of `ids` that there are; ``None`` where there is no such board."""
        now = ended.now()
        board = ended.find_board(c, board_id)
        if board is None:
            return None
        there = {player.id: player for player in rows.players(c, board.partition, ids)}
        return cls(board, there, now)

    def submit(self, submission: Submission) -> Submitted:
        """Carry out `submission` on what is to be written. Raises `StoreError`."""
        id = submission.id
        before = self.after.get(id)
        player = self._scoring.submitted(before, submission)
        if before is None:
            done = Submitted(player, None, True)
        elif player is before or _is_same(player, before):
            return Submitted(before, before.score, False, before.hidden)
        else:
            done = Submitted(player, before.score, True, before.hidden)
        self.after[id] = self._others[id] = player
        return done

    def store(self, c: sqlite3.Connection, written: Written) -> None:
        """Write the players that are others now."""
        others = self._others
        written.begin(c, others)
        scores: list[Player] = []
        made: list[Player] = []
        for player in others.values():
            before = self._there.get(player.id)
            if before is None:
                made.append(player)
            elif player.name == before.name and player.meta is before.meta:
                scores.append(player)
            else:
                writes.update_player(c, self._board, player)
        writes.set_scores(c, self._board, scores)
        writes.make_players(c, self._board, made)
        written.end(c, self._board.partition, others, self._there)


def _is_same(player: Player, before: Player) -> bool:
    """Whether a submission has left a player as it was."""
    return (
        player.score == before.score
        and player.name == before.name
        and writes.are_same(player.meta, before.meta)
    )


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
