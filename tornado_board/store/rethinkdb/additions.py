"""Additions to scores, many in one query.

An addition waits in the queue of its document. A query takes additions of up to `GROUP_SIZE`
documents, and of each document a run that can be added in one go: the documents of a query are
updated once each, whoever asked, and every caller gets the score after its own addition.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from tornado_board.models import SCORE_LIMIT, Number, Player, score_of
from tornado_board.store import NotFound, OutcomeUnknown, OutOfRange, StoreError, StoreUnavailable
from tornado_board.store.rethinkdb import queries
from tornado_board.store.rethinkdb.connection import Connection
from tornado_board.store.rethinkdb.documents import Document, player_of, qualified, score_in

#: Documents that one query updates at most.
GROUP_SIZE = 200

#: Queries under way at the same time, about different documents.
GROUPS_IN_FLIGHT = 2

#: Players known to have a qualified primary key; of others the plain one is tried first.
KNOWN_QUALIFIED = 10_000


@dataclass(eq=False)
class _Addition:
    """One caller's addition. `keys` are the primary keys still to be tried, the next one first."""

    board_id: str
    player_id: str
    amount: Number
    since: float
    keys: list[str]
    answer: asyncio.Future[Player]
    #: Not to be merged with others: together they would leave the range, or not be exact.
    alone: bool = False
    #: Whether it is in a queue, and not in a query.
    queued: bool = False

    def fail(self, error: StoreError) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


@dataclass(eq=False)
class _Run:
    """Additions that one update makes to one document: several whole amounts, or a single one."""

    additions: list[_Addition]
    total: Number = field(init=False)
    #: The update is made to a score within these, so that no sum on the way leaves ±2^53.
    low: Number = field(init=False)
    high: Number = field(init=False)

    def __post_init__(self) -> None:
        self.total = least = most = self.additions[0].amount
        for addition in self.additions[1:]:
            self.total += addition.amount
            least, most = min(least, self.total), max(most, self.total)
        # Sums are not compared with the limit but the score with the limit less the sum: as
        # doubles, 2^53 + 1 is 2^53.
        self.low = max(-SCORE_LIMIT, -SCORE_LIMIT - least)
        self.high = min(SCORE_LIMIT, SCORE_LIMIT - most)

    @property
    def board_id(self) -> str:
        return self.additions[0].board_id

    def parameters(self, key: str) -> dict[str, Any]:
        """For the query `queries.add_scores`, as an update of the document `key`."""
        player_id = self.additions[0].player_id
        return {
            "board": self.board_id,
            "plain": player_id if key != player_id else "",
            "total": self.total,
            "low": self.low,
            "high": self.high,
            "many": len(self.additions) > 1,
        }

    def fits(self, score: Number) -> bool:
        """Whether the total was added to a document with `score`; agrees with
        `queries.add_scores`. Sums of fractions depend on their order, so several amounts are
        added in one go to whole scores only."""
        return self.low <= score <= self.high and (
            len(self.additions) == 1 or isinstance(score, int)
        )


class Additions:
    """Takes additions and answers each one.

    Args:
        connection: what the queries run on.
        max_waiting: additions without an answer yet; further ones are refused.
        max_wait: how long an addition may wait for its turn, in seconds.
    """

    def __init__(self, connection: Connection, max_waiting: int, max_wait: float) -> None:
        self._connection = connection
        self._max_waiting = max_waiting
        self._max_wait = max_wait
        self._loop = asyncio.get_running_loop()
        #: By primary key, in the order of arrival; a key without additions is not in it.
        self._waiting: dict[str, deque[_Addition]] = {}
        #: The keys of `_waiting` that no query is about, the one that waits longest first.
        self._ready: dict[str, None] = {}
        self._unanswered = 0
        self._under_way = 0
        self._groups: set[asyncio.Task[None]] = set()
        self._sending = False
        self._known_qualified: OrderedDict[tuple[str, str], None] = OrderedDict()

    async def add(self, board_id: str, player_id: str, amount: Number) -> Player:
        """Add `amount` and return the player as it stands after this very addition."""
        self._connection.check()
        if self._unanswered >= self._max_waiting:
            raise StoreUnavailable("the store is overloaded: too many additions are waiting")
        keys = [player_id, qualified(board_id, player_id)]
        if (board_id, player_id) in self._known_qualified:
            self._known_qualified.move_to_end((board_id, player_id))
            keys.reverse()
        addition = _Addition(
            board_id, player_id, amount, self._loop.time(), keys, self._loop.create_future()
        )
        self._unanswered += 1
        addition.answer.add_done_callback(functools.partial(self._answered, addition))
        self._put(addition)
        return await addition.answer

    async def drain(self) -> None:
        """Wait until nothing is under way or waiting."""
        while self._sending or self._groups:
            await asyncio.sleep(0)
            if self._groups:
                await asyncio.wait(set(self._groups))

    def _answered(self, addition: _Addition, answer: asyncio.Future[Player]) -> None:
        # One whose caller went away counts for as long as it is in its queue.
        if not (addition.queued and answer.cancelled()):
            self._unanswered -= 1

    def _put(self, addition: _Addition) -> None:
        addition.queued = True
        key = addition.keys[0]
        queue = self._waiting.get(key)
        if queue is None:
            self._waiting[key] = deque((addition,))
            self._ready[key] = None
        else:
            queue.append(addition)
        if not self._sending:
            # Not at once: what else arrives in this turn of the loop goes out with it.
            self._sending = True
            self._loop.call_soon(self._send)

    def _send(self) -> None:
        self._sending = False
        while self._ready and self._under_way < GROUPS_IN_FLIGHT:
            runs = self._next_runs()
            if runs:
                self._under_way += 1
                task = self._loop.create_task(self._carry_out(runs))
                self._groups.add(task)
                task.add_done_callback(self._groups.discard)

    def _next_runs(self) -> dict[str, _Run]:
        runs: dict[str, _Run] = {}
        for key in list(itertools.islice(self._ready, GROUP_SIZE)):
            del self._ready[key]
            additions = self._next_additions(self._waiting[key])
            if additions:
                runs[key] = _Run(additions)
            else:
                self._release(key)
        return runs

    def _next_additions(self, queue: deque[_Addition]) -> list[_Addition]:
        """Take from `queue` what can be added in one go."""
        taken: list[_Addition] = []
        oldest = self._loop.time() - self._max_wait
        while queue:
            addition = queue[0]
            if addition.since < oldest:
                addition.fail(StoreUnavailable("the store is overloaded: waited too long"))
            if addition.answer.done():
                queue.popleft()
                if addition.answer.cancelled():  # its caller went away: nothing shall be added
                    self._unanswered -= 1
                continue
            if taken and (
                addition.alone
                or not isinstance(addition.amount, int)
                or addition.board_id != taken[0].board_id
            ):
                break
            addition.queued = False
            taken.append(queue.popleft())
            if addition.alone or not isinstance(addition.amount, int):
                break
        return taken

    def _release(self, key: str) -> None:
        """`key` may be taken again if anything waits for it."""
        if self._waiting[key]:
            self._ready[key] = None
        else:
            del self._waiting[key]

    async def _carry_out(self, runs: dict[str, _Run]) -> None:
        try:
            await self._update(runs)
        except StoreError as error:
            self._fail(runs, error)
        except Exception as error:
            self._fail(runs, OutcomeUnknown("the store failed; the score may have been added"))
            self._loop.call_exception_handler(
                {"message": "a group of additions failed", "exception": error}
            )
        finally:
            for key in runs:
                self._release(key)
            self._under_way -= 1
            self._send()

    @staticmethod
    def _fail(runs: dict[str, _Run], error: StoreError) -> None:
        for run in runs.values():
            for addition in run.additions:
                # One exception each: a shared one would collect the tracebacks of all callers.
                addition.fail(type(error)(*error.args))

    async def _update(self, runs: dict[str, _Run]) -> None:
        parameters = {key: run.parameters(key) for key, run in runs.items()}
        # Each once: players of several boards may have the same id.
        plain = sorted({run["plain"] for run in parameters.values() if run["plain"]})
        found = await self._connection.run(
            queries.add_scores(runs=parameters, plain=plain),
            write=True,
            last_step=len(runs) == 1,
        )
        result = found["result"]
        rows: dict[str, Any] = {}
        for row in result.get("changes", ()):  # left out where no document was there
            if row["old_val"] is not None:
                rows[row["old_val"]["id"]] = row
        for key, run in runs.items():
            row = rows.get(key)
            error = None if row is None else row.get("error")
            if row is None and result["errors"]:
                for addition in run.additions:
                    addition.fail(
                        OutcomeUnknown(
                            f"RethinkDB says of this addition or another: {result['first_error']}; "
                            "it may have been applied or not"
                        )
                    )
            elif error is not None:
                for addition in run.additions:
                    addition.fail(StoreUnavailable(f"RethinkDB did not add: {error}"))
            elif row is None or row["old_val"].get("board") != run.board_id:
                self._missed(run)
            elif found["plain"].get(parameters[key]["plain"]) == run.board_id:
                self._shadowed(run)
            else:
                self._answer(key, run, row["old_val"], row["new_val"])

    def _missed(self, run: _Run) -> None:
        """There is no such player under this key: try the other one."""
        for addition in run.additions:
            self._known_qualified.pop((addition.board_id, addition.player_id), None)
            del addition.keys[0]
            if addition.answer.done():  # its caller went away
                continue
            if addition.keys:
                self._put(addition)
            else:
                addition.fail(
                    NotFound(
                        f"there is no player {addition.player_id!r} "
                        f"on the board {addition.board_id!r}"
                    )
                )

    def _shadowed(self, run: _Run) -> None:
        """Another document counts as the player, under the plain key."""
        for addition in run.additions:
            self._known_qualified.pop((addition.board_id, addition.player_id), None)
            addition.keys[:] = [addition.player_id]
            if not addition.answer.done():
                self._put(addition)

    def _answer(self, key: str, run: _Run, old: Document, new: Document) -> None:
        score, found = score_in(old), player_of(new)
        if score is None or found is None:
            self._missed(run)
            return
        first = run.additions[0]
        if key != first.player_id:
            self._known_qualified[first.board_id, first.player_id] = None
            if len(self._known_qualified) > KNOWN_QUALIFIED:
                self._known_qualified.popitem(last=False)
        if run.fits(score):
            _, player = found
            for addition in run.additions:
                score = score_of(score + addition.amount)
                if not addition.answer.done():
                    addition.answer.set_result(replace(player, score=score))
        elif len(run.additions) == 1:
            first.fail(OutOfRange(f"the score is {score}: adding {first.amount} would leave ±2^53"))
        else:
            # Nothing was added. One by one the sums are exact, and only those that leave the range
            # fail. They go first, in their order.
            for addition in reversed(run.additions):
                if not addition.answer.done():
                    addition.alone = addition.queued = True
                    self._waiting[key].appendleft(addition)
