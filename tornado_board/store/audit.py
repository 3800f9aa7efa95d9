"""The audit trail: what was changed by those who may change everything. Plain data, no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from tornado_board.models import Board, Player

#: What an entry says of who made the change: a token's ``jti``, else its ``sub``, else a digest.
Who = dict[Literal["jti", "sub", "token"], str]

#: A board or a player as an entry shows it.
State = dict[str, Any]


class Audited(msgspec.Struct, frozen=True):
    """A write that is to leave an entry: who makes it, and with which request."""

    by: Who
    method: str
    #: The path, without its query.
    resource: str


class AuditEntry(msgspec.Struct, frozen=True):
    """One change. `before` and `after` are ``None`` where there was nothing, or is nothing any
    more; of many submissions in one request they are a summary."""

    #: Entries are ordered by it; the newest has the greatest, as texts are compared.
    id: str
    #: Milliseconds since 1970.
    at: int
    by: Who
    method: str
    resource: str
    board: str | None = None
    player: str | None = None
    before: State | None = None
    after: State | None = None
    #: Whether the change was made; ``None``: that is not known, nor what it was.
    done: bool | None = True


def summary_of(results: Sequence[object]) -> State:
    """What an entry shows of many submissions: how many there were, and how many of them changed
    something. `results`: as `Store.submit` gives them."""
    changed = sum(getattr(result, "changed", False) for result in results)
    return {"submissions": len(results), "changed": changed}


def state_of(thing: Board | Player | None) -> State | None:
    """What an entry shows of a board or a player, as JSON has it."""
    if thing is None:
        return None
    state: State = msgspec.to_builtins(thing)
    return state
