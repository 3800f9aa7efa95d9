"""Writes of players, many in one query.

A write waits in the queue of its document. A query takes writes of up to `GROUP_SIZE` documents,
and of each document those that can be carried out in one go (`runs`): the documents of a query are
updated once each, whoever asked, and every caller is told what its own write did. Players who are
not there yet are made the same way (`making`).
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import Any

from tornado_board.store import (
    Invalid,
    Once,
    OutcomeUnknown,
    StoreError,
    StoreUnavailable,
)
from tornado_board.store.rethinkdb import groups
from tornado_board.store.rethinkdb.connection import Connection
from tornado_board.store.rethinkdb.documents import Document, is_same, player_of, qualified
from tornado_board.store.rethinkdb.making import Making
from tornado_board.store.rethinkdb.once import entry_in
from tornado_board.store.rethinkdb.rules import NONE_STORED, KnownRules, rules_of
from tornado_board.store.rethinkdb.runs import Results, Run, Write, run_of
from tornado_board.store.rethinkdb.steps import Create, Step, carried_out

#: Documents that one query updates at most, and those of several queries under way at once.
GROUP_SIZE = 200

#: Queries under way at the same time, about different documents.
GROUPS_IN_FLIGHT = 2

#: Steps that one update carries out at most, unless a single write has more.
RUN_LENGTH = 1_000

#: Players known to have a qualified primary key; of others the plain one is tried first.
KNOWN_QUALIFIED = 10_000


class Writes:
    """Takes writes of players and answers each one.

    Args:
        connection: what the queries run on.
        rules: of the boards.
        max_waiting: writes without an answer yet; where there are as many further ones are refused.
        max_wait: how long a write may wait for its turn, in seconds.
    """

    def __init__(
        self, connection: Connection, rules: KnownRules, max_waiting: int, max_wait: float
    ) -> None:
        self._connection = connection
        self._rules = rules
        self._max_waiting = max_waiting
        self._max_wait = max_wait
        self._loop = asyncio.get_running_loop()
        self._making = Making(connection, rules, self._put, max_wait)
        #: By primary key, in the order of arrival; a key without writes is not in it.
        self._waiting: dict[str, deque[Write]] = {}
        #: The keys of `_waiting` that no query is about, the one that waits longest first.
        self._ready: dict[str, None] = {}
        self._unanswered = 0
        self._under_way = 0
        self._groups: set[asyncio.Task[None]] = set()
        self._sending = False
        self._known_qualified: OrderedDict[tuple[str, str], None] = OrderedDict()

    def check(self) -> None:
        """Raise `StoreUnavailable` if no write would be taken."""
        self._connection.check()
        if self._unanswered >= self._max_waiting:
            raise StoreUnavailable("the store is overloaded: too many writes are waiting")

    def start(
        self, board_id: str, player_id: str, steps: Sequence[Step], once: Once | None = None
    ) -> Write:
        """Begin to carry out `steps` of one player, in one go; what each of them did is its answer.

        Call `check` before. The answer raises `StoreError` where nothing of it was done, or nobody
        knows.
        """
        keys = [player_id, qualified(board_id, player_id)]
        if (board_id, player_id) in self._known_qualified:
            self._known_qualified.move_to_end((board_id, player_id))
            keys.reverse()
        write = Write(
            *(board_id, player_id, steps, self._loop.time(), keys),
            self._loop.create_future(),
            once,
        )
        self._unanswered += 1
        write.answer.add_done_callback(functools.partial(self._answered, write))
        if once is None and isinstance(steps[0], Create):
            write.keys.clear()
            self._making.add(write, player_id)
            self._send_soon()
        else:
            self._put(write)
        return write

    async def drain(self) -> None:
        """Wait until nothing is under way or waiting."""
        while self._sending or self._groups:
            await asyncio.sleep(0)
            if self._groups:
                await asyncio.wait(set(self._groups))

    def _answered(self, write: Write, answer: asyncio.Future[Results]) -> None:
        # One whose caller went away counts for as long as it is in its queue.
        if not (write.queued and answer.cancelled()):
            self._unanswered -= 1

    def _put(self, write: Write, *, first: bool = False) -> None:
        write.queued = True
        key = write.keys[0]
        queue = self._waiting.get(key)
        if queue is None:
            self._waiting[key] = deque((write,))
            self._ready[key] = None
        elif first:
            queue.appendleft(write)
        else:
            queue.append(write)
        self._send_soon()

    def _send_soon(self) -> None:
        if not self._sending:
            # Not at once: what else arrives in this turn of the loop goes out with it.
            self._sending = True
            self._loop.call_soon(self._send)

    def _send(self) -> None:
        self._sending = False
        while self._under_way < GROUPS_IN_FLIGHT:
            made = self._making.next_group(GROUP_SIZE)
            if made:
                self._start_group(self._make(made))
                continue
            if not self._ready:
                break
            runs = self._next_runs()
            if runs:
                self._start_group(self._carry_out(runs))

    def _start_group(self, group: Any) -> None:
        self._under_way += 1
        task = self._loop.create_task(group)
        self._groups.add(task)
        task.add_done_callback(self._groups.discard)

    def _next_runs(self) -> dict[str, Run]:
        runs: dict[str, Run] = {}
        now = int(time.time() * 1000)
        for key in list(itertools.islice(self._ready, GROUP_SIZE)):
            del self._ready[key]
            writes = self._next_writes(self._waiting[key])
            if writes:
                runs[key] = run_of(writes, self._rules.get(writes[0].board_id), now)
            else:
                self._release(key)
        return runs

    def _next_writes(self, queue: deque[Write]) -> list[Write]:
        """Take from `queue` what can be carried out in one go."""
        taken: list[Write] = []
        steps = 0
        oldest = self._loop.time() - self._max_wait
        while queue:
            write = queue[0]
            if write.since < oldest:
                write.fail(StoreUnavailable("the store is overloaded: waited too long"))
            if write.answer.done():
                queue.popleft()
                if write.answer.cancelled():  # its caller went away: nothing shall be done
                    self._unanswered -= 1
                continue
            steps += len(write.steps)
            if taken and (
                write.once is not None or write.board_id != taken[0].board_id or steps > RUN_LENGTH
            ):
                break
            write.queued = False
            taken.append(queue.popleft())
            if write.once is not None:
                break
        return taken

    def _release(self, key: str) -> None:
        """`key` may be taken again if anything waits for it."""
        if self._waiting[key]:
            self._ready[key] = None
        else:
            del self._waiting[key]

    async def _carry_out(self, runs: dict[str, Run]) -> None:
        writes = [write for run in runs.values() for write in run.writes]
        try:
            await self._guarded(self._update(runs), writes)
        finally:
            for key in runs:
                self._release(key)
            self._under_way -= 1
            self._send()

    async def _make(self, made: dict[str, Run]) -> None:
        try:
            await self._guarded(
                self._making.make(made), [write for run in made.values() for write in run.writes]
            )
        finally:
            self._making.made(made)
            self._under_way -= 1
            self._send()

    async def _guarded(self, work: Any, writes: Sequence[Write]) -> None:
        """Do `work`, about `writes`, which all fail where it fails."""
        try:
            await work
        except StoreError as error:
            for write in writes:
                # One exception each: a shared one would collect the tracebacks of all callers.
                write.fail(type(error)(*error.args))
        except Exception as error:
            for write in writes:
                write.fail(OutcomeUnknown("the store failed; the write may have been applied"))
            self._loop.call_exception_handler(
                {"message": "a group of writes failed", "exception": error}
            )

    async def _update(self, runs: dict[str, Run]) -> None:
        parameters = {key: run.parameters(key) for key, run in runs.items()}
        query, more = groups.update_scores, {key: run.more() for key, run in runs.items()}
        if any(more.values()):
            query = groups.update_players
            parameters = {key: [*run, more[key]] for key, run in parameters.items()}
        # Each once: players of several boards may have the same id.
        plain = {key: run.writes[0].player_id for key, run in runs.items()}
        plain = {key: player_id for key, player_id in plain.items() if key != player_id}
        boards = sorted({run.board_id for run in runs.values()})
        found = await self._connection.run(
            query(
                runs=parameters,
                plain=sorted(set(plain.values())),
                boards=boards,
                rules=self._rules.texts(boards),
            ),
            write=True,
            last_step=len(runs) == 1,
        )
        if "rules" in found:  # nothing was done
            for board_id in boards:
                self._rules.learn(board_id, found["rules"].get(board_id))
            for run in runs.values():
                self._again(run.writes)
            return
        result = found["result"]
        rows: dict[str, Any] = {}
        for row in result.get("changes", ()):  # left out where no document was there
            if row["old_val"] is not None:
                rows[row["old_val"]["id"]] = row
        for key, run in runs.items():
            row = rows.get(key)
            error = None if row is None else row.get("error")
            if row is None and result["errors"]:
                for write in run.writes:
                    write.fail(
                        OutcomeUnknown(
                            f"RethinkDB says of this write or another: {result['first_error']}; "
                            "it may have been applied or not"
                        )
                    )
            elif error is not None:
                for write in run.writes:
                    write.fail(StoreUnavailable(f"RethinkDB did not write: {error}"))
            elif row is None or row["old_val"].get("board") != run.board_id:
                self._missed(key, run, is_free=row is None)
            elif found["plain"].get(plain.get(key)) == run.board_id:
                self._shadowed(run)
            else:
                self._settle(key, run, row["old_val"], row["new_val"])

    def _again(self, writes: Sequence[Write]) -> None:
        """Put writes that were not carried out back, first of all."""
        for write in reversed(writes):
            if not write.answer.done():
                self._put(write, first=True)

    def _missed(self, key: str, run: Run, *, is_free: bool) -> None:
        """There is no such player under this key: try the other one, or make the player."""
        for write in run.writes:
            self._known_qualified.pop(write.place, None)
            write.seen = None
            write.keys[:] = [other for other in write.keys if other != key]
            if write.answer.done():  # its caller went away
                continue
            if write.taken:
                write.fail(Invalid(f"the id {write.player_id!r} is taken by what is no player"))
                continue
            results, made = carried_out(write.steps, write.board_id, run.rules, None, run.now)
            if made is None and not write.keys:
                write.succeed(results)
            elif made is not None and ((is_free and key == write.player_id) or not write.keys):
                # The query that makes it sees to it that there is nobody under the other key.
                self._making.add(write, key if is_free else write.player_id)
            else:
                self._put(write)
        self._send_soon()

    def _shadowed(self, run: Run) -> None:
        """Another document counts as the player, under the plain key."""
        for write in run.writes:
            self._known_qualified.pop(write.place, None)
            write.keys[:] = [write.player_id]
            write.seen = None
            if not write.answer.done():
                self._put(write)

    def _settle(self, key: str, run: Run, old: Document, new: Document) -> None:
        """Answer what was carried out on the document `old`, which became `new`."""
        held = player_of(old)
        if held is None:
            self._missed(key, run, is_free=False)
            return
        first = run.writes[0]
        if key != first.player_id:
            self._known_qualified[first.place] = None
            if len(self._known_qualified) > KNOWN_QUALIFIED:
                self._known_qualified.popitem(last=False)
        if old == new and self._replayed(first, old):
            return
        results, after = run.results(held[1])
        # Pinned to a state that was there it was carried out, though RethinkDB sees no difference.
        if old != new or old == run.seen or (is_same(after, held[1]) and run.once is None):
            for write, outcome in zip(run.writes, results, strict=True):
                write.succeed(outcome)
            return
        if run.once is not None and not any(map(_is_done, results[0])):
            first.succeed(results[0])  # what is refused leaves no key
            return
        # Something did not hold, so nothing was done. Now the document is known.
        for write in run.writes:
            write.seen = old
        self._again(run.writes)

    @staticmethod
    def _replayed(write: Write, old: Document) -> bool:
        """Answer `write` with what is kept of it, if anything is."""
        try:
            entry = entry_in(old, write.once)
        except StoreError as error:
            write.fail(error)
            return True
        if entry is None or write.once is None:
            return False
        text = entry.get("rules", NONE_STORED)
        rules = rules_of(write.board_id, text)
        stored = entry.get("before")
        before = player_of({**stored, "id": old["id"]}) if isinstance(stored, dict) else None
        player = None if before is None else before[1]
        results, _ = carried_out(write.steps, write.board_id, rules, player, entry.get("at", 0))
        write.once.replayed = True
        write.succeed(results)
        return True


def _is_done(result: Any) -> bool:
    return not isinstance(result, StoreError)
