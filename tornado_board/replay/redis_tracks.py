"""The thinned tracks in Redis: for each step one stream a board, whose ids are those of the events.

What is put into them the scripts put that append and prune (`put` in ``track.lua``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tornado_board.cluster.keys import Keys
from tornado_board.replay import Event, EventId
from tornado_board.replay.redis_link import RedisLink, Script, info_fields, value
from tornado_board.replay.track import Looked, Past, Step, fair_cap

#: How long looking at a board's past may take, in seconds.
_READ_TIMEOUT = 5.0

#: How long a track outlives what it keeps, should no process prune it, in milliseconds.
_LINGER_MS = 600_000

#: Times that one command looks at, and tracks that one prunes.
_TIMES, _TRACKS = 50, 50

#: The part of its memory that a server which has a bound (``maxmemory``) is filled to at the most.
_PART_OF_MEMORY = 4

_AT, _PRUNE_TRACKS, _KEEP_PLACES = (
    Script("stream", "track", name) for name in ("at", "prune_tracks", "keep_places")
)


class _Size(NamedTuple):
    key: str
    bytes: int
    entries: int


class RedisTracks:
    """The tracks of all boards; `most_bytes` is what they take at the most after `prune`."""

    def __init__(
        self,
        link: RedisLink,
        keys: Keys,
        steps: Sequence[Step],
        places: Step | None,
        most_bytes: int,
    ) -> None:
        self._link = link
        self._keys = keys
        self._steps = steps
        self._places = places
        self._most_bytes = most_bytes
        #: What the scripts are told of each track: its step, the most entries, its expiry.
        self.arguments = [
            number for step in steps for number in (step.ms, step.most, step.kept_ms + _LINGER_MS)
        ]
        #: How long the log has to keep a board's newest event, which is in no track.
        self.kept_ms = max((step.kept_ms for step in steps), default=0)

    def keys_of(self, board_id: str) -> list[str]:
        """The keys of a board's tracks, the finest first."""
        return [self._keys.track(step.name, board_id) for step in self._steps]

    def all_keys_of(self, board_id: str) -> list[str]:
        """The keys of everything that is kept of a board's past."""
        places = [] if self._places is None else [self._keys.track(self._places.name, board_id)]
        return [*self.keys_of(board_id), *places]

    async def keep_places(self, board_id: str, data: str, token: str) -> bool:
        """See `ReplayLog.keep_places`; `token` is the lease's."""
        if self._places is None:
            return False
        step = self._places
        keys = (self._keys.track(step.name, board_id), self._keys.lease)
        arguments = (token, data, step.ms, step.most, step.kept_ms + _LINGER_MS)
        return bool(await self._link.run(_KEEP_PLACES, keys, arguments))

    async def places_at(self, board_id: str, ms: int, turns: asyncio.Semaphore) -> Event | None:
        """See `ReplayLog.places_at`."""
        if self._places is None:
            return None
        key = self._keys.track(self._places.name, board_id)
        async with turns:
            reply = await self._link.run(_AT, (key,), (ms,), within=_READ_TIMEOUT, repeatable=True)
        return Event(EventId.parse(reply[3]), reply[5]) if reply[3] else None

    async def at(self, board_id: str, times: Sequence[int], turns: asyncio.Semaphore) -> Looked:
        """See `ReplayLog.at`; each command waits for one of `turns`."""
        keys = [self._keys.stream(board_id), *self.keys_of(board_id)]
        resolutions = (0, *(step.ms for step in self._steps))
        order = sorted(range(len(times)), key=times.__getitem__)
        pasts: list[Past | None] = [None] * len(times)
        now, oldest, dropped = 0, None, False
        past: Past | None = None
        for start in range(0, max(len(order), 1), _TIMES):
            piece = order[start : start + _TIMES]
            async with turns:
                reply = await self._link.run(
                    _AT,
                    keys,
                    [times[i] for i in piece],
                    within=_READ_TIMEOUT,
                    repeatable=True,
                )
            now = reply[0]
            if reply[1]:
                oldest, dropped = int(reply[1]), bool(reply[2])
            found = zip(reply[3::3], reply[4::3], reply[5::3], strict=True)
            for i, (event_id, place, data) in zip(piece, found, strict=True):
                if not event_id:
                    past = None
                else:
                    id = EventId.parse(event_id)
                    kept = past.event if not data and past is not None else Event(id, data)
                    past = Past(kept, resolutions[place - 1])
                pasts[i] = past
        return Looked(now, pasts, oldest, dropped)

    async def prune(self, keys: Iterable[str], now: int, turns: asyncio.Semaphore) -> None:
        """Drop from the tracks at `keys` what is too old at `now`, and what is too much."""
        names = {step.name: step for step in (*self._steps, self._places) if step is not None}
        by_step: dict[str, list[str]] = {}
        for key in keys:
            found = self._keys.step_of_track(key)
            if found is not None:
                by_step.setdefault(found, []).append(key)
        sizes: list[_Size] = []
        for name, tracks in by_step.items():
            step = names.get(name)
            if step is None:
                continue  # it is not kept any more, and expires
            arguments = (now - step.kept_ms, step.kept_ms + _LINGER_MS)
            for start in range(0, len(tracks), _TRACKS):
                piece = tracks[start : start + _TRACKS]
                async with turns:
                    reply = await self._link.run(_PRUNE_TRACKS, piece, arguments, repeatable=True)
                sizes += map(_Size, piece, reply[::3], reply[1::3])
        await self._cut(sizes, turns)

    async def _cut(self, sizes: Sequence[_Size], turns: asyncio.Semaphore) -> None:
        """Drop the oldest of those that take the most, until all take what they may."""
        cap = fair_cap([size.bytes for size in sizes], await self._most(turns))
        if cap is None:
            return
        cut = [size for size in sizes if size.bytes > cap]
        for start in range(0, len(cut), _TRACKS):
            commands = [
                # Their entries are of much the same size, and there is a next time.
                ("XTRIM", size.key, "MAXLEN", "=", max(size.entries * cap // size.bytes, 1))
                for size in cut[start : start + _TRACKS]
            ]
            async with turns:
                for reply in await self._link.send(*commands, repeatable=True):
                    value(reply)

    async def _most(self, turns: asyncio.Semaphore) -> int:
        async with turns:
            text = value(*await self._link.send(("INFO", "memory"), repeatable=True))
        memory = info_fields(text).get("maxmemory", "0")
        bound = int(memory) if memory.isdigit() else 0
        return min(self._most_bytes, bound // _PART_OF_MEMORY) if bound else self._most_bytes
