"""The thinned tracks in the SQLite file of the replay log.

``tracks`` has a row for each step of each board, and ``track_events`` the events. The track of a
board that was deleted has no board any more: so it is gone at once, whatever it holds, and `prune`
drops what it holds in pieces.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from tornado_board.replay import Event, EventId
from tornado_board.replay.track import (
    ENTRY_BYTES,
    Looked,
    Past,
    Step,
    fair_cap,
    is_last_of_slot,
)

SCHEMA = (
    """CREATE TABLE IF NOT EXISTS tracks (
        id INTEGER PRIMARY KEY, board TEXT, step INTEGER NOT NULL,
        bytes INTEGER NOT NULL DEFAULT 0, dropped INTEGER NOT NULL DEFAULT 0, UNIQUE (board, step)
    )""",
    """CREATE TABLE IF NOT EXISTS track_events (
        track INTEGER NOT NULL, ms INTEGER NOT NULL, n INTEGER NOT NULL, data TEXT NOT NULL,
        PRIMARY KEY (track, ms, n)
    ) WITHOUT ROWID""",
)

_BYTES = f"length(CAST(data AS BLOB)) + {ENTRY_BYTES}"

#: Tracks of which one read looks for what is too old.
_LOOKED_THROUGH = 2_000


class Excess(NamedTuple):
    """What of the track with this id is older than the event with this time and counter."""

    track: int
    ms: int
    n: int


def put_last(
    c: sqlite3.Connection, steps: Sequence[Step], board_id: str, last_ms: int, following_ms: int
) -> None:
    """Put the newest event of the log, which is of `last_ms`, into the tracks of whose slots it is
    the last one, if the next event is of `following_ms`."""
    for step in steps:
        if is_last_of_slot(step, last_ms, following_ms):
            _put_newest(c, step, board_id)


def put_dropped(
    c: sqlite3.Connection, steps: Sequence[Step], dropped: Sequence[tuple[str, int]]
) -> None:
    """Put those of the events that the log is about to drop, by board and counter, into the tracks
    which are the newest of their boards."""
    events = set(dropped)
    for board_id in {board_id for board_id, _ in dropped}:
        [n] = c.execute("SELECT max(n) FROM replay WHERE board = ?", (board_id,)).fetchone()
        if (board_id, n) in events:
            for step in steps:
                _put_newest(c, step, board_id)


def _put_newest(c: sqlite3.Connection, step: Step, board_id: str) -> None:
    last = c.execute(
        "SELECT ms, n, data FROM replay WHERE board = ? ORDER BY n DESC LIMIT 1", (board_id,)
    ).fetchone()
    if last is not None:
        put(c, step, board_id, EventId(last[0], last[1]), last[2])


def put(c: sqlite3.Connection, step: Step, board_id: str, event_id: EventId, data: str) -> None:
    """Put `data` into the track of this step, unless there is something of that id."""
    track = _track(c, step, board_id)
    if track is None:
        c.execute("INSERT INTO tracks (board, step) VALUES (?, ?)", (board_id, step.ms))
        track = _track(c, step, board_id)
    done = c.execute(
        "INSERT OR IGNORE INTO track_events (track, ms, n, data) VALUES (?, ?, ?, ?)",
        (track, *event_id, data),
    )
    if done.rowcount > 0:
        size = len(data.encode()) + ENTRY_BYTES
        c.execute("UPDATE tracks SET bytes = bytes + ? WHERE id = ?", (size, track))


def newest(c: sqlite3.Connection, step: Step, board_id: str, at: int) -> Event | None:
    """The newest in the track of this step at `at` or before."""
    track = _track(c, step, board_id)
    past = None if track is None else _in_track(c, track, at, step.ms)
    return None if past is None else past.event


def _track(c: sqlite3.Connection, step: Step, board_id: str) -> int | None:
    row = c.execute(
        "SELECT id FROM tracks WHERE board = ? AND step = ?", (board_id, step.ms)
    ).fetchone()
    return None if row is None else row[0]


def forget(c: sqlite3.Connection, board_id: str) -> None:
    """Let the board have no track any more."""
    c.execute("UPDATE tracks SET board = NULL WHERE board = ?", (board_id,))


def look(
    c: sqlite3.Connection, steps: Sequence[Step], board_id: str, times: Sequence[int], now: int
) -> Looked:
    """See `ReplayLog.at`; the log's clock shows `now`."""
    tracks = [
        (step.ms, track) for step in steps if (track := _track(c, step, board_id)) is not None
    ]
    logged = c.execute(
        "SELECT ms, n, before_n FROM replay WHERE board = ? ORDER BY n", (board_id,)
    ).fetchall()
    ends = [ms for ms, *_ in logged]
    pasts: list[Past | None] = []
    for at in times:
        # The log and each track have the newest events up to their end, so that the first one that
        # has any decides.
        place = bisect_right(ends, at)
        if place:
            n = logged[place - 1][1]
            pasts.append(_logged(c, board_id, n))
        else:
            found = (_in_track(c, track, at, step) for step, track in tracks)
            pasts.append(next((past for past in found if past is not None), None))
    if None not in pasts:
        return Looked(now, pasts)
    oldest, dropped = None, False
    if logged:
        oldest, dropped = logged[0][0], bool(logged[0][2])
    for _, track in tracks:
        row = c.execute(
            "SELECT ms, dropped FROM tracks JOIN track_events ON track = id WHERE id = ?"
            " ORDER BY ms, n LIMIT 1",
            (track,),
        ).fetchone()
        if row is not None and (oldest is None or row[0] <= oldest):
            oldest, dropped = row[0], bool(row[1])
    return Looked(now, pasts, oldest, dropped)


def _logged(c: sqlite3.Connection, board_id: str, n: int) -> Past:
    ms, data = c.execute(
        "SELECT ms, data FROM replay WHERE board = ? AND n = ?", (board_id, n)
    ).fetchone()
    return Past(Event(EventId(ms, n), data), 0)


def _in_track(c: sqlite3.Connection, track: int, at: int, step: int) -> Past | None:
    row = c.execute(
        "SELECT ms, n, data FROM track_events WHERE track = ? AND ms <= ?"
        " ORDER BY ms DESC, n DESC LIMIT 1",
        (track, at),
    ).fetchone()
    return None if row is None else Past(Event(EventId(row[0], row[1]), row[2]), step)


def too_old(
    c: sqlite3.Connection, steps: Sequence[Step], now: int, after: int
) -> tuple[list[Excess], int | None]:
    """What is older than the newest event from before its step's edge, of some tracks with ids
    greater than `after`; and the id after which to go on, ``None`` at the end."""
    kept_ms = {step.ms: step.kept_ms for step in steps}
    tracks = c.execute(
        "SELECT id, step, board FROM tracks WHERE id > ? ORDER BY id LIMIT ?",
        (after, _LOOKED_THROUGH),
    ).fetchall()
    excess = []
    for track, step, board_id in tracks:
        if board_id is None or step not in kept_ms:
            excess.append(Excess(track, 2**62, 0))
            continue
        before = c.execute(
            "SELECT ms, n FROM track_events WHERE track = ? AND ms <= ?"
            " ORDER BY ms DESC, n DESC LIMIT 2",
            (track, now - kept_ms[step]),
        ).fetchall()
        if len(before) > 1:
            excess.append(Excess(track, *before[0]))
    return excess, tracks[-1][0] if len(tracks) == _LOOKED_THROUGH else None


def too_much(c: sqlite3.Connection, most: int) -> list[tuple[int, int]]:
    """The tracks that take the most, if all together take more than `most` bytes: the id of each,
    and by how many bytes it is too large."""
    sizes = c.execute("SELECT id, bytes FROM tracks").fetchall()
    cap = fair_cap([size for _, size in sizes], most)
    if cap is None:
        return []
    return [(track, size - cap) for track, size in sizes if size > cap]


def drop(c: sqlite3.Connection, excess: Excess, limit: int) -> int:
    """Drop `limit` events at the most; how many they were."""
    track, ms, n = excess
    rows = c.execute(
        f"SELECT ms, n, {_BYTES} FROM track_events WHERE track = ? AND (ms, n) < (?, ?)"
        " ORDER BY ms, n LIMIT ?",
        (track, ms, n, limit),
    ).fetchall()
    if not rows:
        # Of a board that is gone, this was all.
        c.execute(
            "DELETE FROM tracks WHERE id = ? AND NOT EXISTS"
            " (SELECT 1 FROM track_events WHERE track = ?1)",
            (track,),
        )
        return 0
    _drop(c, track, rows)
    return len(rows)


def cut(c: sqlite3.Connection, track: int, bytes: int, limit: int) -> int:
    """Drop the oldest events until they were so many bytes, `limit` events at the most, and never
    the newest one; how many bytes they were, 0 at the end."""
    rows: list[tuple[int, int, int]] = []
    size = 0
    for row in c.execute(
        f"SELECT ms, n, {_BYTES} FROM track_events WHERE track = ? ORDER BY ms, n LIMIT ?",
        (track, limit + 1),
    ):
        if rows and size >= bytes:
            break
        rows.append(row)
        size += row[2]
    else:
        if rows:
            size -= rows.pop()[2]  # the newest, perhaps
    if rows:
        _drop(c, track, rows)
    return size


def _drop(c: sqlite3.Connection, track: int, rows: Sequence[tuple[int, int, int]]) -> None:
    """Drop the oldest events of the track, which are `rows`: ms, counter and bytes of each."""
    ms, n, _ = rows[-1]
    c.execute("DELETE FROM track_events WHERE track = ? AND (ms, n) <= (?, ?)", (track, ms, n))
    c.execute(
        "UPDATE tracks SET bytes = bytes - ?, dropped = 1 WHERE id = ?",
        (sum(row[2] for row in rows), track),
    )
