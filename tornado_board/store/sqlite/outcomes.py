"""Outcomes of writes, by the keys that make them happen once (`store.Once`).

An outcome is stored in the transaction of its write. Those that are older than `Once.KEPT` go, and
so do the oldest while all of them take more than `MOST_BYTES`.
"""

from __future__ import annotations

import sqlite3
import time
import zlib
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import msgspec

from tornado_board.models import Board, Player
from tornado_board.store import (
    Invalid,
    KeyReused,
    Once,
    OutOfRange,
    StoreError,
    Submitted,
    WrongSeason,
)

T = TypeVar("T")

#: What the outcomes that are kept take in the file at the most, about.
MOST_BYTES = 256 * 1024 * 1024

#: What one takes beside what it says: its key twice, the digest of its request, two times.
_ROW_BYTES = 250

#: Outcomes that one write deletes at the most.
_PRUNED = 20

#: How hard outcomes of many submissions are compressed: they are much alike.
_LEVEL = 1

_FIND = "SELECT request, outcome, at FROM outcomes WHERE key = ?"
#: `size` is that of all up to this one, so that the oldest to be kept is known by the newest.
_STORE = (
    "INSERT OR REPLACE INTO outcomes (key, request, at, outcome, size) VALUES"
    " (?, ?, ?, ?, ? + coalesce((SELECT size FROM outcomes ORDER BY n DESC LIMIT 1), 0))"
    " RETURNING size"
)
_PRUNE = (
    "DELETE FROM outcomes WHERE n IN"
    " (SELECT n FROM outcomes ORDER BY n LIMIT ?1) AND (at < ?2 OR size <= ?3)"
)


class Codec(NamedTuple, Generic[T]):
    """How outcomes of one type are kept."""

    encode: Callable[[T], bytes]
    decode: Callable[[bytes], T]


def codec_of(kind: type[T]) -> Codec[T]:
    """That of a struct."""
    return Codec(msgspec.json.Encoder().encode, msgspec.json.Decoder(kind).decode)


def _encode_results(results: Results) -> bytes:
    told = [
        (None, type(result).__name__, str(result))
        if isinstance(result, StoreError)
        else (result, "", "")
        for result in results
    ]
    return zlib.compress(msgspec.json.encode(told), _LEVEL)


def _decode_results(outcome: bytes) -> Results:
    told = _results.decode(zlib.decompress(outcome))
    return [
        done if done is not None else _REFUSALS.get(name, StoreError)(text)
        for done, name, text in told
    ]


Results = list[Submitted | StoreError]
_results = msgspec.json.Decoder(list[tuple[Submitted | None, str, str]])
_REFUSALS = {kind.__name__: kind for kind in (OutOfRange, Invalid, WrongSeason)}

BOARD, PLAYER, SUBMITTED = codec_of(Board), codec_of(Player), codec_of(Submitted)
RESULTS = Codec(_encode_results, _decode_results)


def once(c: sqlite3.Connection, key: Once, codec: Codec[T], work: Callable[[], T]) -> T:
    """Carry out `work`, unless the outcome of the write with `key` is known: then that is it.

    Raises `KeyReused`, and what `work` raises.
    """
    now = time.time_ns() // 1_000_000
    row = c.execute(_FIND, (key.key,)).fetchone()
    if row is not None and now - row[2] <= 1000 * Once.KEPT:
        if row[0] != key.request:
            raise KeyReused("the idempotency key was used for another request; nothing was changed")
        outcome = codec.decode(row[1])
        key.replayed = True
        return outcome
    outcome = work()
    _store(c, key, codec.encode(outcome), now)
    return outcome


def _store(c: sqlite3.Connection, key: Once, outcome: bytes, now: int) -> None:
    """Keep `outcome`, and let go of a few of those that are not kept longer. `now` is in ms."""
    values = (key.key, key.request, now, outcome, len(outcome) + _ROW_BYTES)
    ((size,),) = c.execute(_STORE, values).fetchall()
    c.execute(_PRUNE, (_PRUNED, now - int(1000 * Once.KEPT), size - MOST_BYTES))


def carried_out(
    c: sqlite3.Connection,
    work: Callable[[sqlite3.Connection], T],
    key: Once,
    codec: Codec[T],
) -> T:
    """The outcome of `work`, which is carried out unless `key` has one."""
    return once(c, key, codec, lambda: work(c))
