"""The replay log in an SQLite file: the embedded default.

``replay`` holds the events, each with the id before it, and ``replay_heads`` each board's newest
id, which outlives its events so that the counter goes on. Beside it are the boards' tracks
(`sqlite_tracks`).
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit

from tornado_board.replay import (
    Event,
    EventId,
    Gap,
    LogRefused,
    LogUnavailable,
    check_whole,
    sqlite_tracks,
)
from tornado_board.replay.track import Looked, is_last_of_slot, places_of, reach_of, steps_of
from tornado_board.settings import Settings
from tornado_board.sqlite import Database, DatabaseUnavailable, OutcomeUncertain

T = TypeVar("T")

#: Events that one write drops, so that pruning never keeps the writer from others for long; and
#: those of tracks.
_PRUNE_BATCH = 1_000
_TRACK_BATCH = 500

_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS replay (
        board TEXT NOT NULL, n INTEGER NOT NULL, ms INTEGER NOT NULL, data TEXT NOT NULL,
        before_ms INTEGER, before_n INTEGER, PRIMARY KEY (board, n)
    ) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS replay_age ON replay (ms)",
    """CREATE TABLE IF NOT EXISTS replay_heads (
        board TEXT NOT NULL PRIMARY KEY, ms INTEGER NOT NULL, n INTEGER NOT NULL
    ) WITHOUT ROWID""",
)


#: What files of earlier versions lack; null in their rows.
_ADDED_COLUMNS = ("before_ms", "before_n")


class SQLiteReplayLog:
    """The `ReplayLog` in an SQLite file. It belongs to one process."""

    shared = False
    fence = None

    def __init__(
        self,
        database: Database,
        settings: Settings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._retention_ms = round(settings.replay_retention * 1000)
        self._length = settings.replay_length
        self._steps = steps_of(settings)
        self._places = places_of(settings)
        self._most_bytes = settings.history_bytes
        self.reach_ms = reach_of(settings)
        self._clock = clock
        self._closed = False
        self.description = f"SQLite, {database.path.name}"

    @classmethod
    async def open(
        cls,
        url: str,
        settings: Settings,
        identity: str = "",
        clock: Callable[[], float] = time.time,
    ) -> SQLiteReplayLog:
        """Open the file that `url` names; `clock` gives the seconds since 1970.

        The `identity` of a store does not matter: nobody else uses the file.
        Raises `ValueError` for a URL that names no file, and `LogUnavailable`.
        """
        parts = urlsplit(url)
        if parts.netloc or parts.query or parts.fragment:
            # Perhaps another kind of URL was meant, with a password.
            raise ValueError("redis_url: write sqlite:///file, or sqlite:////folder/file")
        try:
            database = Database.open(url)
        except DatabaseUnavailable as error:
            raise LogUnavailable(str(error)) from error
        log = cls(database, settings, clock)

        def prepare(c: sqlite3.Connection) -> None:
            for statement in (*_SCHEMA, *sqlite_tracks.SCHEMA):
                c.execute(statement)
            columns = {name for _, name, *_ in c.execute("PRAGMA table_info(replay)")}
            for column in _ADDED_COLUMNS:
                if column not in columns:
                    c.execute(f"ALTER TABLE replay ADD COLUMN {column} INTEGER")

        try:
            await log._write(prepare)
            database.on_replaced("replay", prepare)
        except BaseException:
            await log.close()
            raise
        return log

    async def ping(self) -> None:
        await self._read(
            lambda c: c.execute("SELECT 1 FROM replay_heads LIMIT 1").fetchone(), own=True
        )

    def missing(self) -> list[str]:
        return []

    async def append(
        self, board_id: str, data: str, *, after: EventId | None = None, lost: int = 0
    ) -> EventId:
        now = self._now_ms()

        def work(c: sqlite3.Connection) -> EventId:
            head = _head(c, board_id)
            known = after or EventId(0, 0)
            if head is not None and head.n == known.n + 1 + lost:
                row = c.execute(
                    "SELECT 1 FROM replay WHERE board = ? AND n = ? AND data = ?"
                    " AND before_ms = ? AND before_n = ?",
                    (board_id, head.n, data, *known),
                ).fetchone()
                if row is not None and after is not None:
                    return head  # the second try of an append whose caller did not wait
            before = known
            if head is not None and (head.n, head.ms) > (known.n, known.ms):
                before = head
            n = before.n + 1 + lost
            if head is None:
                n = max(n, now)
            event_id = EventId(max(now, known.ms, before.ms), n)
            if head is not None:
                sqlite_tracks.put_last(c, self._steps, board_id, head.ms, event_id.ms)
            c.execute(
                "INSERT INTO replay (board, n, ms, data, before_ms, before_n)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (board_id, event_id.n, event_id.ms, data, *before),
            )
            c.execute(
                "INSERT OR REPLACE INTO replay_heads (board, ms, n) VALUES (?, ?, ?)",
                (board_id, event_id.ms, event_id.n),
            )
            c.execute(
                "DELETE FROM replay WHERE board = ? AND n <= ?",
                (board_id, event_id.n - self._length),
            )
            return event_id

        return await self._write(work)

    async def keep(self, board_id: str, after: EventId | None, events: Sequence[Event]) -> None:
        def work(c: sqlite3.Connection) -> None:
            head = _head(c, board_id)
            last = events[-1].id
            assert last is not None
            if after is None or not _follows(c, board_id, head, after, events):
                if after is not None and head is not None and head > last:
                    return  # what is there is newer, and does not reach back to these
                c.execute("DELETE FROM replay WHERE board = ?", (board_id,))
                head = None
            before = after or EventId(0, 0)
            for event in events:
                assert event.id is not None
                c.execute(
                    "INSERT OR IGNORE INTO replay (board, n, ms, data, before_ms, before_n)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    (board_id, event.id.n, event.id.ms, event.data, *before),
                )
                before = event.id
            newest = last if head is None else max(head, last)
            c.execute(
                "INSERT OR REPLACE INTO replay_heads (board, ms, n) VALUES (?, ?, ?)",
                (board_id, newest.ms, newest.n),
            )
            c.execute(
                "DELETE FROM replay WHERE board = ? AND n <= ?",
                (board_id, newest.n - self._length),
            )

        await self._write(work)

    async def head(self, board_id: str) -> Event | None:
        events = await self._read(partial(_newest, board_id=board_id, limit=1), own=True)
        return events[0] if events else None

    async def since(self, board_id: str, event_id: EventId) -> Sequence[Event]:
        oldest_kept_ms = self._now_ms() - self._retention_ms

        def work(c: sqlite3.Connection) -> list[Event]:
            rows = c.execute(
                "SELECT ms, n, data, before_ms, before_n FROM replay"
                " WHERE board = ? AND (ms, n) > (?, ?) ORDER BY n LIMIT ?",
                (board_id, *event_id, self._length),
            ).fetchall()
            events = [Event(EventId(ms, n), data) for ms, n, data, *_ in rows]
            check_whole(event_id, oldest_kept_ms, _head(c, board_id), events)
            if rows and rows[0][3:] != event_id and _id_at(c, board_id, event_id.n) != event_id:
                raise Gap("this log never gave out that event id")
            return events

        return await self._read(work, share=board_id)

    async def recent(self, board_id: str, limit: int) -> Sequence[Event]:
        return await self._read(partial(_newest, board_id=board_id, limit=limit), share=board_id)

    async def record_gap(self, board_id: str, after: EventId, count: int) -> None:
        def work(c: sqlite3.Connection) -> None:
            head = _head(c, board_id)
            following = c.execute(
                "SELECT min(n), max(n) FROM replay WHERE board = ? AND (ms, n) > (?, ?)",
                (board_id, *after),
            ).fetchone()
            # Where it is otherwise that gap is recorded already, or it was never this log's id.
            if head is not None and (head == after or following == (after.n + 1, head.n)):
                c.execute(
                    "UPDATE replay_heads SET n = n + ? WHERE board = ?", (max(count, 0), board_id)
                )

        await self._write(work)

    async def delete(self, board_id: str) -> None:
        now = self._now_ms()

        def work(c: sqlite3.Connection) -> None:
            c.execute("DELETE FROM replay WHERE board = ?", (board_id,))
            sqlite_tracks.forget(c, board_id)
            # The next life's counters begin at the clock. Where this life's have not stayed behind
            # it, they are kept, one further.
            c.execute("DELETE FROM replay_heads WHERE board = ? AND n < ?", (board_id, now))
            c.execute("UPDATE replay_heads SET n = n + 1 WHERE board = ?", (board_id,))

        await self._write(work)

    async def board_ids(self) -> Sequence[str]:
        oldest_kept_ms = self._now_ms() - self._retention_ms
        return await self._read(
            lambda c: [
                board
                for (board,) in c.execute(
                    "SELECT board FROM replay_heads WHERE ms >= ? ORDER BY ms DESC",
                    (oldest_kept_ms,),
                )
            ],
            own=True,
        )

    async def at(self, board_id: str, times: Sequence[int]) -> Looked:
        now = self._now_ms()
        return await self._read(
            lambda c: sqlite_tracks.look(c, self._steps, board_id, times, now), share=board_id
        )

    async def keep_places(self, board_id: str, data: str) -> bool:
        step, now = self._places, self._now_ms()
        if step is None:
            return False

        def work(c: sqlite3.Connection) -> bool:
            last = sqlite_tracks.newest(c, step, board_id, now)
            if last is not None and last.id and not is_last_of_slot(step, last.id.ms, now):
                return False
            sqlite_tracks.put(c, step, board_id, EventId(now, 0), data)
            return True

        return await self._write(work)

    async def places_at(self, board_id: str, ms: int) -> Event | None:
        step = self._places
        if step is None:
            return None
        return await self._read(
            lambda c: sqlite_tracks.newest(c, step, board_id, ms), share=board_id
        )

    async def past_boards(self) -> Sequence[str]:
        sql = "SELECT DISTINCT board FROM tracks WHERE board IS NOT NULL"
        return await self._read(lambda c: [board for (board,) in c.execute(sql)], own=True)

    async def prune(self) -> int:
        now = self._now_ms()
        oldest_kept_ms = now - self._retention_ms

        def work(c: sqlite3.Connection) -> int:
            dropped = c.execute(
                "SELECT board, n FROM replay WHERE ms < ? ORDER BY ms, board, n LIMIT ?",
                (oldest_kept_ms, _PRUNE_BATCH),
            ).fetchall()
            sqlite_tracks.put_dropped(c, self._steps, dropped)
            c.executemany("DELETE FROM replay WHERE board = ? AND n = ?", dropped)
            return len(dropped)

        pruned = 0
        while True:
            count = await self._write(work)
            pruned += count
            if count < _PRUNE_BATCH:
                break
        await self._prune_tracks(now)
        return pruned

    async def _prune_tracks(self, now: int) -> None:
        steps = [step for step in (*self._steps, self._places) if step is not None]
        after: int | None = 0
        while after is not None:
            excess, after = await self._read(
                partial(sqlite_tracks.too_old, steps=steps, now=now, after=after), own=True
            )
            for one in excess:
                drop = partial(sqlite_tracks.drop, excess=one, limit=_TRACK_BATCH)
                while await self._write(drop) == _TRACK_BATCH:
                    pass
        most = self._most_bytes
        for track, size in await self._read(partial(sqlite_tracks.too_much, most=most), own=True):
            left = size
            while left > 0:
                cut = partial(sqlite_tracks.cut, track=track, bytes=left, limit=_TRACK_BATCH)
                if not (gone := await self._write(cut)):
                    break
                left -= gone

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            await self._database.close()

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    async def _read(
        self, work: Callable[[sqlite3.Connection], T], *, own: bool = False, share: str = ""
    ) -> T:
        try:
            return await self._database.read(work, own=own, share=share)
        except DatabaseUnavailable as error:
            raise LogUnavailable(str(error)) from error

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await self._database.write(work, quiet=True)
        except OutcomeUncertain as error:
            raise LogUnavailable(str(error)) from error
        except DatabaseUnavailable as error:
            raise LogRefused(str(error)) from error


def _head(c: sqlite3.Connection, board_id: str) -> EventId | None:
    row = c.execute("SELECT ms, n FROM replay_heads WHERE board = ?", (board_id,)).fetchone()
    return None if row is None else EventId(*row)


def _id_at(c: sqlite3.Connection, board_id: str, n: int) -> EventId | None:
    row = c.execute("SELECT ms, n FROM replay WHERE board = ? AND n = ?", (board_id, n)).fetchone()
    return None if row is None else EventId(*row)


def _follows(
    c: sqlite3.Connection,
    board_id: str,
    head: EventId | None,
    after: EventId,
    events: Sequence[Event],
) -> bool:
    """Whether nothing lies between what is there and `events`, which came after `after`."""
    if head == after:
        return True
    ids = (after, *(event.id for event in events if event.id is not None))
    return head is not None and any(_id_at(c, board_id, id.n) == id for id in ids)


def _newest(c: sqlite3.Connection, board_id: str, limit: int) -> list[Event]:
    rows = c.execute(
        "SELECT ms, n, data FROM replay WHERE board = ? ORDER BY n DESC LIMIT ?",
        (board_id, limit),
    )
    return _events(rows)[::-1]


def _events(rows: sqlite3.Cursor) -> list[Event]:
    return [Event(EventId(ms, n), data) for ms, n, data in rows]
