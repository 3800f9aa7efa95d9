"""``/boards/{board}/?at=`` and ``/boards/{board}/history/``: what boards were."""

from __future__ import annotations

import time
import urllib.parse
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import ujson

from tornado_board.auth.policy import Action, Actions
from tornado_board.models import shows_private
from tornado_board.realtime.hub import LimitReached
from tornado_board.realtime.topic import Topic
from tornado_board.replay import Event, LogUnavailable
from tornado_board.replay.track import Looked, Past, evenly
from tornado_board.store import StoreUnavailable
from tornado_board.web.described import Integer, Moment, Operation, Told, json_of
from tornado_board.web.exchange import Answer, Asked, Resource
from tornado_board.web.handler import Handler
from tornado_board.web.problems import Problem
from tornado_board.web.shapes import History
from tornado_board.web.times import written

#: Points that ``history`` has at the most, and unless the request says otherwise.
MOST_POINTS = 500
USUAL_POINTS = 100

#: How far ``history`` goes back unless the request says otherwise, in milliseconds.
_USUAL_SPAN = 3_600_000

#: Points that are read in one go, and bytes after which an answer ends with those points.
_AT_ONCE = 50
MOST_BYTES = 4 * 2**20

#: Seconds for which caches may keep the past. It does not change, but who may see it does, and
#: players may be hidden.
_LASTING = 300

#: Hidden players that are taken out of the past, and how many of them are read in one go.
_MOST_HIDDEN, _HIDDEN_AT_ONCE = 10_000, 1_000


#: When the board is to be seen as it was.
AT = Moment(name="at", text="The board as its subscribers saw it at this time.")

#: What does not go with that.
_OF_NOW = ("limit", "fields")

_FROM = Moment(name="from", text="From when; an hour before the end without it.")
_TO = Moment(name="to", text="Until when; until now without it.")
_POINTS = Integer(
    name="points", text="At how many times.", default=USUAL_POINTS, low=1, high=MOST_POINTS
)


class _Span(NamedTuple):
    """What of the past is asked for: from when to when, ms since 1970, and whether that is over."""

    start: int
    end: int
    is_over: bool


async def board_at(asked: Asked, board_id: str) -> Answer:
    """The board as its subscribers saw it at the time that the parameter ``at`` names.

    Raises what `Hub.open` raises, and `Problem`.
    """
    for name in _OF_NOW:
        if asked.argument(name) is not None:
            raise Problem(400, f"{name}: does not go with at; it is of the board as it is now.")
    at = AT.of(asked)
    assert at is not None
    topic = await _open(asked, board_id)
    looked = None if at >= _now_ms() else await _look(asked, board_id, [at])
    if looked is None or at >= looked.now:
        if topic is None:
            looked = looked or await _look(asked, board_id, [at])
        else:
            await asked.services.hub.confirm(topic)
            return await _board_answer(asked, board_id, Past(topic.current, 0), is_over=False)
    [past] = looked.pasts
    if past is None:
        raise _missing(looked, at, asked.services.log.reach_ms)
    return await _board_answer(asked, board_id, past, is_over=at < looked.now)


async def _board_answer(asked: Asked, board_id: str, past: Past, *, is_over: bool) -> Answer:
    event = past.event
    if shows_private(event.data):
        await asked.check_as_private()  # who may read it now might not have been allowed to then
    data = _without(event.data, await _hidden(asked, board_id))
    asked.check(board_id)  # while this waited, the board may have become private
    fields = _fields(asked, is_over)
    told = "null"
    if event.id is not None:
        told = f'{{{_told(event)},"resolution":{past.resolution // 1000}}}'
        fields = (("Last-Event-ID", str(event.id)), *fields)
    return Answer(200, f'{{"event":{told},{data[1:]}\n'.encode(), fields=fields)


async def history(asked: Asked, board_id: str) -> Answer:
    """The board at times that are evenly spread.

    Raises what `Hub.open` raises, and `Problem`.
    """
    points, start, end = _POINTS.of(asked), _FROM.of(asked), _TO.of(asked)
    await _open(asked, board_id)
    span = _span(start, end, await _look(asked, board_id, []), asked.services.log.reach_ms)
    hidden = await _hidden(asked, board_id)
    times = evenly(span.start, span.end, points)
    parts: list[bytes] = []
    may_read_private: bool | None = None
    size, last, left = 0, None, 0
    for first in range(0, len(times), _AT_ONCE):
        looked = await _look(asked, board_id, times[first : first + _AT_ONCE])
        for past in looked.pasts:
            if past is None or past.event.id == last:
                continue
            last = past.event.id
            if shows_private(past.event.data):
                if may_read_private is None:
                    may_read_private = await _may_read_private(asked)
                if not may_read_private:
                    continue
            data = _without(past.event.data, hidden)
            parts.append(f'{{{_told(past.event)},"data":{data}}}'.encode())
            size += len(parts[-1])
        left = len(times) - first - _AT_ONCE
        if size >= MOST_BYTES:
            break
    asked.check(board_id)  # while this waited, the board may have become private
    fields = _fields(asked, span.is_over)
    if left > 0:
        query = {"from": times[-left], "to": span.end, "points": left}
        path = f"{asked.services.settings.path_prefix}/boards/{board_id}/history/"
        fields = (("Link", f'<{path}?{urllib.parse.urlencode(query)}>; rel="next"'), *fields)
    body = f'{{"from":"{written(span.start)}","to":"{written(span.end)}","boards":['
    return Answer(200, b"%b%b]}\n" % (body.encode(), b",".join(parts)), fields=fields)


def _span(start: int | None, end: int | None, looked: Looked, reach_ms: int) -> _Span:
    """The span that was asked for, as far as there is any. Raises `Problem`."""
    now, oldest = looked.now, looked.now - reach_ms
    is_over = end is not None and end < now
    end = now if end is None else min(end, now)
    start = end - _USUAL_SPAN if start is None else start
    if start > end:
        raise Problem(422, "from: must not be later than to, nor than now.")
    if end < oldest:
        raise _missing(looked, end, reach_ms)
    return _Span(max(start, oldest), end, is_over)


async def _hidden(asked: Asked, board_id: str) -> frozenset[str]:
    """The ids of the players who are hidden now: what they were is not to be seen either. Raises
    `StoreUnavailable`."""
    hidden: list[str] = []
    while len(hidden) < _MOST_HIDDEN:
        after = hidden[-1] if hidden else ""
        found = await asked.services.store.hidden_players(board_id, after, _HIDDEN_AT_ONCE)
        hidden += [player.id for player in found]
        if len(found) < _HIDDEN_AT_ONCE:
            break
    return frozenset(hidden)


def _without(data: str, hidden: frozenset[str]) -> str:
    """`data`, a board as an event has it, without the players of these ids."""
    if not hidden:
        return data
    board = ujson.loads(data)
    shown = [player for player in board["players"] if player["id"] not in hidden]
    if len(shown) == len(board["players"]):
        return data
    board["players"] = shown
    text: str = ujson.dumps(board, ensure_ascii=False, escape_forward_slashes=False)
    return text


async def _may_read_private(asked: Asked) -> bool:
    try:
        await asked.check_as_private()
    except Problem:
        return False
    return True


def _told(event: Event) -> str:
    """What answers have of an event beside its data: members of an object."""
    assert event.id is not None
    return f'"id":"{event.id}","time":"{written(event.id.ms)}"'


def _missing(looked: Looked, at: int, reach_ms: int) -> Problem:
    """Why there is nothing of `at`."""
    edge = looked.now - reach_ms
    if at < edge:
        return Problem(410, f"What boards were is kept since {written(edge)}; this is older.")
    if looked.oldest is None:
        return Problem(404, "Nothing is known of what the board was then.")
    oldest = written(looked.oldest)
    if looked.dropped:
        return Problem(410, f"What the board was is kept since {oldest}; this is older.")
    return Problem(404, f"Nothing is known of what the board was before {oldest}.")


def _fields(asked: Asked, is_over: bool) -> tuple[tuple[str, str], ...]:
    """The fields about caching. What is over does not change, but who may see it may."""
    caching = "no-cache"
    if is_over:
        shared = "private" if asked.services.gate.policy.enforced else "public"
        caching = f"{shared}, max-age={_LASTING}"
    return (("Cache-Control", caching), ("Vary", "Accept"))


async def _open(asked: Asked, board_id: str) -> Topic | None:
    """The board as it is now, if it can be had. Raises `NotFound`."""
    try:
        return await asked.services.hub.open(board_id)
    except (LimitReached, StoreUnavailable):
        return None  # what it was can be told all the same


async def _look(asked: Asked, board_id: str, times: Sequence[int]) -> Looked:
    try:
        return await asked.services.log.at(board_id, times)
    except LogUnavailable:
        raise Problem(
            503, "The replay log is away, and with it what boards were; try later."
        ) from None


def _now_ms() -> int:
    return int(time.time() * 1000)


class HistoryHandler(Handler):
    actions = Actions(get=Action.READ)
    resources: ClassVar = {"GET": Resource(history)}
    operations: ClassVar = {
        "GET": Operation(
            parameters=(_FROM, _TO, _POINTS),
            answers={200: Told("What it was.", json_of(History), ("ETag", "Link"))},
            problems=(410, 422),
        )
    }

    async def get(self, board_id: str) -> None:
        """The board at times that are evenly spread."""
        await self.serve("GET", board_id)
