"""What `tests/test_schemathesis.py` has schemathesis leave out, since OpenAPI can't say it."""

from __future__ import annotations

import itertools
import math
import re
from typing import Any

import schemathesis

from tornado_board.models import SCORE_LIMIT
from tornado_board.replay import EVENT_ID_PATTERN
from tornado_board.visible import is_visible
from tornado_board.web.idempotency import KEY_PATTERN
from tornado_board.web.meta import MOST_DEPTH

#: Makes each idempotency key another one.
NUMBERS = itertools.count()

#: The parameters of a page of which one may be sent.
BEGINNINGS = ("after", "before", "from_rank", "around", "ids")

#: Those of them that are a cursor, which the server has given.
CURSORS = BEGINNINGS[:2]

#: How a position is spelled, in one board or in several.
POSITION = re.compile(rf"([\w.~-]+:)?(gone|{EVENT_ID_PATTERN})(,.*)?|")

#: Where a client is.
POSITIONS = ("since", "lastEventId", "last_event_id", "Last-Event-ID")


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    query, headers, body = case.query or {}, case.headers or {}, case.body
    key = str(headers.get("Idempotency-Key", ""))
    if re.fullmatch(KEY_PATTERN, key):
        # The answer to one that came before tells of what may be gone by now.
        headers["Idempotency-Key"] = f"{key[:100]}-{next(NUMBERS)}"
    wait = query.get("wait")
    if isinstance(wait, int | float):
        query["wait"] = min(wait, 0.01)
    elif isinstance(wait, list) and wait and wait[-1] in ("", None):
        wait.append("x")  # the last one counts, and an empty one is as none
    _keep_first_position(query, headers)
    for values in (query, headers):
        for name in POSITIONS:
            _take_twice(values, name)
            # A stream can't refuse one, since its client would give up: it begins with a reset.
            if query.get("stream", "0") != "0" and not POSITION.fullmatch(
                str(values.get(name, ""))
            ):
                query["stream"] = "0"
    if case.meta is None or not case.meta.generation.mode.is_negative:
        # Where something is wrong, this is as good a reason to refuse it.
        _leave_what_goes_together(case.operation.path, query)
    for item in body if isinstance(body, list) else [body]:
        named = item.get("name") if isinstance(item, dict) else None
        if isinstance(named, str) and named and not is_visible(named):
            item["name"] = "x"
        if isinstance(item, dict) and "meta" in item:
            item["meta"] = _shallow(_with_exponents(item["meta"]), MOST_DEPTH)


def _leave_what_goes_together(path: str, query: Any) -> None:
    if path == "/boards/{board}/players/":
        for name in CURSORS if query.get("hidden", "0") == "0" else BEGINNINGS:
            query.pop(name, None)
        for name in [name for name in BEGINNINGS if name in query][1:]:
            del query[name]
    if "at" in query:
        for name in ("limit", "fields", "season", "stream"):
            query.pop(name, None)
    if query.get("stream", "0") != "0":
        query.pop("season", None)


def _keep_first_position(query: Any, headers: Any) -> None:
    """Leave one position: of several, all but one are not looked at."""
    given = [
        (values, name) for name in POSITIONS for values in (query, headers) if values.get(name)
    ]
    for values, name in given[1:]:
        del values[name]


def _take_twice(values: Any, name: str) -> None:
    """Leave the first of a position's boards, if one is there twice."""
    items = str(values.get(name, "")).split(",")
    if len({item.partition(":")[0] for item in items}) < len(items):
        values[name] = items[0]


def _shallow(value: Any, depth: int) -> Any:
    """`value` without what is nested more deeply than so many levels."""
    if not isinstance(value, dict | list):
        return value
    if not depth:
        return None
    if isinstance(value, list):
        return [_shallow(one, depth - 1) for one in value]
    return {name: _shallow(one, depth - 1) for name, one in value.items()}


def _with_exponents(value: Any) -> Any:
    """`value` with whole numbers that are too large spelled so that they may be so large."""
    if isinstance(value, dict):
        return {name: _with_exponents(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_with_exponents(one) for one in value]
    if isinstance(value, int) and abs(value) > SCORE_LIMIT:
        return math.copysign(min(abs(value), 10**300), value) * 1.0
    return value
