"""Idempotency keys: a document keeps those of the newest writes to it, each with what its outcome
follows from.

The entry of a write of a player has the player before it (``before``, the fields of the document;
null where there was none), the rules of its board (``rules``) and the time (``at``, ms). The
outcome is what the same steps make of that again: the same request brings the same steps. So an
entry does not grow with what a request does to a player, and the server makes it in the update
itself.

The entry of a write of a board has the board as it was after that (``board``).

Nothing here raises because of what others wrote into the field.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from tornado_board.models import Board
from tornado_board.store import KeyReused, Once
from tornado_board.store.rethinkdb.address import r
from tornado_board.store.rethinkdb.documents import ONCE, PLAYER_FIELDS, Document, settings_of

#: Entries that a document has at most: those of its newest writes with a key.
MOST_ENTRIES = 16

Entry = Mapping[str, Any]


def entry_of(once: Once, now: int, **more: Any) -> dict[str, Any]:
    """The entry of a write that comes at `now`, ms since 1970."""
    return {"key": once.key, "request": once.request, "at": now, **more}


def entry_in(document: Document | None, once: Once | None) -> Entry | None:
    """What `document` has of the key of `once`, if anything. Raises `KeyReused` where the key was
    used for another request."""
    if document is None or once is None:
        return None
    for entry in _entries(document):
        if entry.get("key") == once.key:
            if entry.get("request") != once.request:
                raise KeyReused("the idempotency key was used for another request")
            return entry
    return None


def entries_with(document: Document, entry: Entry, now: int) -> list[Entry]:
    """The entries of `document` after a write with `entry` at `now`; agrees with `entries_term`."""
    oldest = oldest_at(now)
    kept = [old for old in _entries(document) if _at(old) > oldest]
    return [entry, *kept[: MOST_ENTRIES - 1]]


def board_entry(once: Once, board: Board, now: int) -> dict[str, Any]:
    """The entry of a write after which a board is `board`."""
    return entry_of(once, now, board={"name": board.name, **settings_of(board)})


def board_in(entry: Entry, board_id: str) -> Board:
    """The board that `board_entry` made `entry` of."""
    stored = entry.get("board")
    document = stored if isinstance(stored, dict) else {}
    return Board.of(board_id, str(document.get("name", board_id)), document)


def id_from(once: Once, *names: str) -> str:
    """The id of what a request makes that gives none: the same one whenever it comes. `names` say
    where it is made."""
    digest = hashlib.sha256("/".join((*names, once.key)).encode()).digest()
    return base64.urlsafe_b64encode(digest[:16]).rstrip(b"=").decode()


def oldest_at(now: int) -> int:
    """Entries that are not younger than that may go."""
    return now - int(Once.KEPT * 1000)


def has_entry_term(document: Any, key: Any) -> Any:
    """Whether a player's `document` has an entry of `key`, in ReQL."""
    return r.not_(_entries_term(document).filter(lambda old: old["key"].eq(key)).is_empty())


def entries_term(document: Any, entry: Any, oldest: Any) -> Any:
    """The entries of a player's `document` after a write with `entry`, in ReQL."""
    kept = _entries_term(document).filter(lambda old: old["at"].gt(oldest))
    before = document.pluck(*[field for field in PLAYER_FIELDS if field != "id"])
    return kept.limit(MOST_ENTRIES - 1).prepend(entry.merge({"before": before}))


def _entries_term(document: Any) -> Any:
    stored = document[ONCE].default([])
    return r.branch(
        stored.type_of().eq("ARRAY"),
        stored.filter(lambda entry: entry.type_of().eq("OBJECT")),
        [],
    )


def _entries(document: Document) -> list[Entry]:
    stored = document.get(ONCE)
    entries = stored if isinstance(stored, list) else []
    return [entry for entry in entries if isinstance(entry, dict)]


def _at(entry: Entry) -> float:
    at = entry.get("at")
    return at if isinstance(at, int | float) else 0
