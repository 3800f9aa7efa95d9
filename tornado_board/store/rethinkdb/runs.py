"""Runs: what one update makes of one document, for one or more writes. No I/O, no clock.

An update can't ask Python what to do, and what it does has to be exact. So there are two kinds:

* One that holds whatever the document is. The score becomes ``score + add``, but not less than
  ``floor`` and not more than ``ceiling``. That covers a single submission with any operator,
  several additions of whole amounts, and several of the best scores.
* One that is pinned to a state: it is made only if the score (and ``meta``, where that counts) is
  what it was when the document was last seen, and then stores what Python has made of that. That
  covers everything else.

Either is left out where something does not hold (`Run.parameters`). The update gives the document
as it was; from that `steps.carried_out` tells what the writes did, or would have done.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from sys import float_info
from typing import Any

from tornado_board.inputs import UNSET
from tornado_board.models import SCORE_LIMIT, Number, Player, score_of
from tornado_board.store import Once, StoreError, Submitted
from tornado_board.store.rethinkdb.documents import Document, is_same, player_of
from tornado_board.store.rethinkdb.once import entry_of, oldest_at
from tornado_board.store.rethinkdb.rules import NONE_STORED, Rules
from tornado_board.store.rethinkdb.steps import Step, Submit, carried_out
from tornado_board.store.scoring import operator_of

#: Below and above all scores that anybody can have stored.
_LEAST, _MOST = -float_info.max, float_info.max

Results = list[Submitted | StoreError]


@dataclass(eq=False)
class Write:
    """What one caller asks of one player: steps that are taken in one go. `keys` are the primary
    keys still to be tried, the next one first."""

    board_id: str
    player_id: str
    steps: Sequence[Step]
    since: float
    keys: list[str]
    answer: asyncio.Future[Results]
    once: Once | None = None
    #: The document as it was when something did not hold.
    seen: Document | None = None
    #: Whether a document that is no player was found to have taken the id.
    taken: bool = False
    #: Whether it is in a queue, and not in a query.
    queued: bool = False
    #: The player before it, once it is answered; ``None`` where there was none.
    before: Player | None = None

    @property
    def place(self) -> tuple[str, str]:
        """The ids of the board and the player."""
        return self.board_id, self.player_id

    def fail(self, error: StoreError) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)

    def succeed(self, results: Results) -> None:
        if not self.answer.done():
            self.answer.set_result(results)


@dataclass(eq=False)
class Run:
    """What one update makes of one document."""

    writes: Sequence[Write]
    rules: Rules
    #: ms since 1970.
    now: int
    add: Number = 0
    floor: Number = _LEAST
    ceiling: Number = _MOST
    #: The update is made to a score within these,
    low: Number = _LEAST
    high: Number = _MOST
    #: that is a whole number, if `whole`,
    whole: bool = False
    #: and becomes one within these.
    least: Number = _LEAST
    most: Number = _MOST
    #: Fields that are set besides.
    put: dict[str, Any] = field(default_factory=dict)
    #: What `meta` has to be, and becomes; a list of both.
    meta: list[Any] = field(default_factory=list)
    #: The document that it is pinned to.
    seen: Document | None = None

    @property
    def board_id(self) -> str:
        return self.writes[0].board_id

    @property
    def once(self) -> Once | None:
        """The key of its only write, if that has one."""
        return self.writes[0].once

    def parameters(self, key: str) -> list[Any]:
        """For the queries of `groups`, as an update of the document `key`."""
        player_id = self.writes[0].player_id
        return [
            self.board_id,
            player_id if key != player_id else "",
            self.low,
            self.high,
            self.add,
            self.floor,
            self.ceiling,
            self.rules.board.ordering.reached_at(self.now),
        ]

    def more(self) -> dict[str, Any]:
        """What it has besides `parameters`."""
        more: dict[str, Any] = {}
        if self.whole:
            more["whole"] = True
        if (self.least, self.most) != (_LEAST, _MOST):
            more["within"] = [self.least, self.most]
        if self.put:
            more["put"] = self.put
        if self.meta:
            more["meta"] = self.meta
        if self.once is not None:
            more["once"] = entry_of(self.once, self.now, **self._kept_rules())
            more["oldest"] = oldest_at(self.now)
        return more

    def _kept_rules(self) -> dict[str, Any]:
        text = self.rules.text
        return {"rules": text} if text != NONE_STORED else {}

    def entry(self) -> dict[str, Any]:
        """The entry of its only write, which makes the player."""
        assert self.once is not None
        return entry_of(self.once, self.now, **self._kept_rules())

    def results(self, player: Player | None) -> tuple[list[Results], Player | None]:
        """What each of the writes does, the first of them to `player`; and what becomes of it."""
        found = []
        for write in self.writes:
            write.before = player
            results, player = carried_out(write.steps, self.board_id, self.rules, player, self.now)
            found.append(results)
        return found, player


def run_of(writes: Sequence[Write], rules: Rules, now: int) -> Run:
    """The run that carries out `writes`; where these need to know the document first, one that
    changes nothing."""
    run = Run(writes, rules, now)
    seen = writes[0].seen
    if seen is not None:
        return _pinned(run, seen)
    steps = [step for write in writes for step in write.steps]
    # Where there is no board each step says so by itself.
    if rules.text is None and any(getattr(step, "create", True) for step in steps):
        run.low, run.high = 1, 0
    elif not (_single(run, steps[0]) if len(steps) == 1 else _several(run, steps)):
        run.low, run.high = 1, 0  # nothing is that
    return run


def _single(run: Run, step: Step) -> bool:
    """Make `run` that of one submission, if it can be made without a look."""
    if not isinstance(step, Submit) or step.submission.meta is not UNSET:
        return False
    board, submission = run.rules.board, step.submission
    score = score_of(submission.score)
    operator = operator_of(board, submission)
    if operator == "add":
        run.add = score
        # Not the sum is compared with the limit but the score with the limit less the amount: as
        # doubles, 2^53 + 1 is 2^53.
        run.low = max(-SCORE_LIMIT, -SCORE_LIMIT - score)
        run.high = min(SCORE_LIMIT, SCORE_LIMIT - score)
        run.least = _LEAST if board.min is None else board.min
        run.most = _MOST if board.max is None else board.max
    elif not board.allows(score):
        return False
    else:
        _bound(run, operator == "set", score)
    if submission.name is not UNSET:
        run.put = {"name": submission.name}
    return True


def _several(run: Run, steps: Sequence[Step]) -> bool:
    """Make `run` that of several submissions, if it can be made without a look."""
    board = run.rules.board
    scores, operators = [], set()
    for step in steps:
        if not isinstance(step, Submit):
            return False
        submission = step.submission
        if submission.name is not UNSET or submission.meta is not UNSET:
            return False
        scores.append(score_of(submission.score))
        operators.add(operator_of(board, submission))
    if operators == {"best"} and all(map(board.allows, scores)):
        _bound(run, False, max(scores) if board.order == "desc" else min(scores))
        return True
    if operators != {"add"} or not all(isinstance(score, int) for score in scores):
        return False
    total = least = most = scores[0]
    for score in scores[1:]:
        total += score
        least, most = min(least, total), max(most, total)
    run.add, run.whole = total, True
    lowest = -SCORE_LIMIT if board.min is None else math.ceil(board.min)
    highest = SCORE_LIMIT if board.max is None else math.floor(board.max)
    run.low = max(-SCORE_LIMIT, lowest - least)
    run.high = min(SCORE_LIMIT, highest - most)
    if board.ties == "first" and any(scores):
        run.put = {"reached_at": run.now}  # the sum may be 0 all the same
    return True


def _bound(run: Run, both: bool, score: Number) -> None:
    if both or run.rules.board.order == "desc":
        run.floor = score
    if both or run.rules.board.order == "asc":
        run.ceiling = score


def _pinned(run: Run, seen: Document) -> Run:
    """Make `run` one that holds for the document `seen` only."""
    held = player_of(seen)
    assert held is not None
    run.seen = seen
    before = held[1]
    _, after = run.results(before)
    assert after is not None
    run.low = run.high = before.score
    run.floor = run.ceiling = after.score
    run.put = {
        name: value
        for name in ("name", "reached_at", "hidden")
        if (value := getattr(after, name)) != getattr(before, name)
    }
    if not is_same(after.meta, before.meta):
        run.meta = [seen.get("meta"), after.meta]
    return run
