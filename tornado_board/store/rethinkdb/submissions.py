"""Many submissions of one request: those of one player go together, in their order."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence

from tornado_board.inputs import UNSET, Submission
from tornado_board.store import (
    Invalid,
    KeyReused,
    NotFound,
    Once,
    StoreError,
    StoreUnavailable,
    Submitted,
)
from tornado_board.store.audit import summary_of
from tornado_board.store.rethinkdb.audit import Record
from tornado_board.store.rethinkdb.documents import check_meta
from tornado_board.store.rethinkdb.runs import Results, Write
from tornado_board.store.rethinkdb.steps import Submit
from tornado_board.store.rethinkdb.writes import GROUP_SIZE, GROUPS_IN_FLIGHT, Writes

#: Players of one request whose submissions are under way at once. The next ones wait, so that other
#: callers have their turns in between.
_SLICE = GROUP_SIZE * GROUPS_IN_FLIGHT


async def submit(
    writes: Writes,
    board_id: str,
    submissions: Sequence[Submission],
    once: Once | None,
    record: Record,
) -> Results:
    """See `Store.submit`. With `once` each player's document keeps the key of its own. `record` is
    told of one submission, or of many in all."""
    results: dict[int, Submitted | StoreError] = {}
    mine: dict[str, list[int]] = {}
    for place, submission in enumerate(submissions):
        try:
            if submission.meta is not UNSET:
                check_meta(submission.meta)
        except Invalid as error:
            results[place] = error
        else:
            mine.setdefault(submission.id, []).append(place)
    counted: list[Once] = []
    players = iter(mine.items())
    begun: list[Write] = []
    while some := dict(itertools.islice(players, _SLICE)):
        keys = {one: None if once is None else Once(once.key, once.request) for one in some}
        steps = {one: [Submit(submissions[place]) for place in some[one]] for one in some}
        begun.clear()
        for one, found in (await _outcomes(writes, board_id, steps, keys, begun)).items():
            results |= zip(some[one], found, strict=True)
            key = keys[one]
            if key is not None and any(isinstance(result, Submitted) for result in found):
                counted.append(key)
    if once is not None:
        once.replayed = any(key.replayed for key in counted)
    in_order = [results[place] for place in range(len(submissions))]
    done = [one for one in in_order if isinstance(one, Submitted) and one.changed]
    if len(submissions) == 1 and done and begun and not (once is not None and once.replayed):
        record.player_id = done[0].player.id
        record.change(begun[0].before, done[0].player)
    elif len(submissions) > 1 and done and not (once is not None and once.replayed):
        record.changed, record.after = True, summary_of(in_order)
    return in_order


async def _outcomes(
    writes: Writes,
    board_id: str,
    steps: dict[str, list[Submit]],
    keys: dict[str, Once | None],
    begun: list[Write],
) -> dict[str, Results]:
    """What the steps of each player did; `begun` gets their writes. Raises `NotFound` (the board)
    or `KeyReused`."""
    try:
        writes.check()
    except StoreUnavailable as error:
        return {one: [error] * len(asked) for one, asked in steps.items()}
    begun += [writes.start(board_id, one, asked, keys[one]) for one, asked in steps.items()]
    answers = [write.answer for write in begun]
    try:
        outcomes = await asyncio.gather(*answers, return_exceptions=True)
    finally:
        for answer in answers:
            answer.cancel()
    found: dict[str, Results] = {}
    for (one, asked), outcome in zip(steps.items(), outcomes, strict=True):
        if isinstance(outcome, StoreError):
            found[one] = [outcome] * len(asked)
        elif isinstance(outcome, BaseException):
            raise outcome
        else:
            found[one] = outcome
        for result in found[one]:
            if isinstance(result, NotFound | KeyReused):
                raise result
    return found
