"""What the upstream is asked about one board: its events after an id, as a long-poll gives them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tornado_board.replay import Event, EventId
from tornado_board.store import NotFound
from tornado_board.upstream import (
    LoopFound,
    NotPublic,
    UpstreamBroke,
    UpstreamBusy,
    UpstreamLate,
    UpstreamRefused,
)
from tornado_board.upstream.board_copy import Arrived
from tornado_board.upstream.reply import Reply
from tornado_board.upstream.upstreams import Upstreams

#: An answer that is smaller than this, in bytes, has all that there is; a larger one may have been
#: cut at the upstream's bound.
_WHOLE = 200 * 1024

#: Answers that are put together at the most.
_MOST_ANSWERS = 64


class _Sent(msgspec.Struct):
    id: str | None
    event: str
    data: msgspec.Raw


class _Answer(msgspec.Struct):
    events: list[_Sent]
    last_event_id: str


class _Reset(msgspec.Struct):
    reason: str = "the upstream gave no reason"


class _Problem(msgspec.Struct):
    detail: str = ""


async def told_after(
    upstreams: Upstreams, board_id: str, after: EventId | None, loop: str = ""
) -> list[Arrived]:
    """The board's events after `after`, all of them, or its current one behind a ``reset``; its
    current one, too, where `after` is ``None``.

    Raises `NotFound`, `NotPublic`, and what `UpstreamError` has.
    """
    told: list[Arrived] = []
    since = "" if after is None else f"since={after}&"
    for _ in range(_MOST_ANSWERS):
        target = f"/boards/{board_id}/events/?{since}wait=0"
        reply = await upstreams.ask("GET", target, [("Accept", "application/json")], loop=loop)
        try:
            body = await reply.whole(upstreams.timeout)
        finally:
            reply.close()
        check_answer(reply, body, board_id)
        answer = _decoded(reply, body)
        some = _arrived(reply, answer)
        told += some
        if len(body) < _WHOLE or not some or some[-1].event.id is None or after is None:
            break
        since = f"since={some[-1].event.id}&"
    return told


async def told_recently(upstreams: Upstreams, board_id: str, count: int) -> Sequence[Event]:
    """The board's newest `count` events, as far as the upstream gives them. Raises as above."""
    target = f"/boards/{board_id}/events/?history={count}"
    reply = await upstreams.ask("GET", target, [("Accept", "application/json")])
    try:
        body = await reply.whole(upstreams.timeout)
    finally:
        reply.close()
    check_answer(reply, body, board_id)
    return [arrived.event for arrived in _arrived(reply, _decoded(reply, body))]


def check_answer(reply: Reply, body: bytes, board_id: str) -> None:
    """Return if the upstream has answered 200; otherwise raise what its answer, with this `body`,
    says."""
    status = reply.status
    if status == 200:
        return
    if status in (401, 403):
        raise NotPublic(f"the board {board_id!r} is not for everybody")
    try:
        detail = msgspec.json.decode(body, type=_Problem).detail[:300]
    except msgspec.DecodeError:
        detail = ""
    if status == 404:
        raise NotFound(detail or f"there is no board {board_id!r}")
    if status == 508:
        raise LoopFound(detail or "the upstream follows this server")
    message = f"{reply.address} answers {status}{detail and ': '}{detail}"
    if status in (429, 503):
        raise UpstreamBusy(message)
    raise UpstreamLate(message) if status == 504 else UpstreamRefused(message, status)


def _decoded(reply: Reply, body: bytes) -> _Answer:
    try:
        return msgspec.json.decode(body, type=_Answer)
    except msgspec.DecodeError as error:
        raise UpstreamBroke(f"{reply.address} gave a wrong answer: {error}") from None


def _arrived(reply: Reply, answer: _Answer) -> list[Arrived]:
    found: list[Arrived] = []
    reason: str | None = None
    try:
        for sent in answer.events:
            if sent.event == "reset":
                reason = msgspec.json.decode(sent.data, type=_Reset).reason
            elif sent.event == "update":
                event_id = None if sent.id is None else EventId.parse(sent.id)
                found.append(Arrived(Event(event_id, bytes(sent.data).decode()), reason))
                reason = None
    except (ValueError, msgspec.DecodeError) as error:
        raise UpstreamBroke(f"{reply.address} gave a wrong answer: {error}") from None
    return found
