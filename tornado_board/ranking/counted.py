"""What each player of a board counts with, for a while after the board was read."""

from __future__ import annotations

import enum
from array import array
from collections.abc import Iterator, Sequence
from typing import Final

#: Players in one bucket; with more there are `_BUCKETS`, so that finding one takes microseconds in
#: a board of millions.
_ONE_BUCKET = 1024
_BUCKETS = 4096

#: Buckets that are looked at in one step: less than a millisecond for a million players.
_BUCKETS_AT_ONCE = 16

#: Stands for a player who is known not to be there.
_ABSENT = float("nan")


class Unknown(enum.Enum):
    """Nothing is known of a player."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Unknown.UNKNOWN


class Counted:
    """The merits of players by the hashes of their ids: 16 to 18 bytes each.

    Ids are known by Python's 64-bit hash, which differs from process to process. That two of a
    million have the same hash happens once in 37 million boards.
    """

    __slots__ = ("_keys", "_mask", "_merits", "_size")

    def __init__(self) -> None:
        self._mask = 0
        self._keys = [array("q")]
        self._merits = [array("d")]
        self._size = 0

    def __len__(self) -> int:
        """How many players something is known of."""
        return self._size

    def get(self, player_id: str) -> float | Unknown | None:
        """The player's merit; ``None`` where it is known that there is no such player."""
        key = hash(player_id)
        bucket = key & self._mask
        try:
            at = self._keys[bucket].index(key)
        except ValueError:
            return UNKNOWN
        merit = self._merits[bucket][at]
        return None if merit != merit else merit

    def set(self, player_id: str, merit: float | None) -> None:
        """Know this of the player from now on."""
        key = hash(player_id)
        bucket = key & self._mask
        value = _ABSENT if merit is None else merit
        try:
            self._merits[bucket][self._keys[bucket].index(key)] = value
        except ValueError:
            self._add(key, value)

    def extend(self, player_ids: Sequence[str], merits: Sequence[float]) -> None:
        """Know this of players of whom nothing is known. That is not checked: where it is not so,
        `duplicates` gives what was known."""
        keys = list(map(hash, player_ids))
        if not self._mask and self._size + len(keys) > _ONE_BUCKET:
            self._divide()
        if not self._mask:
            self._keys[0].extend(keys)
            self._merits[0].extend(merits)
        else:
            all_keys, all_merits, mask = self._keys, self._merits, self._mask
            for key, merit in zip(keys, merits, strict=True):
                bucket = key & mask
                all_keys[bucket].append(key)
                all_merits[bucket].append(merit)
        self._size += len(keys)

    def duplicates(self) -> Iterator[float | None]:
        """Forget all but the first of what is known of a player; what is forgotten comes out, and
        ``None`` after each step of the work."""
        for bucket, (keys, merits) in enumerate(zip(self._keys, self._merits, strict=True)):
            if len(set(keys)) < len(keys):
                seen: set[int] = set()
                kept = array("q"), array("d")
                for key, merit in zip(keys, merits, strict=True):
                    if key not in seen:
                        seen.add(key)
                        kept[0].append(key)
                        kept[1].append(merit)
                    elif merit == merit:
                        yield merit
                self._size -= len(keys) - len(kept[0])
                keys[:], merits[:] = kept
            if bucket % _BUCKETS_AT_ONCE == 0:
                yield None

    def _add(self, key: int, value: float) -> None:
        if not self._mask and self._size >= _ONE_BUCKET:
            self._divide()
        self._keys[key & self._mask].append(key)
        self._merits[key & self._mask].append(value)
        self._size += 1

    def _divide(self) -> None:
        [keys], [merits] = self._keys, self._merits
        self._mask = _BUCKETS - 1
        self._keys = [array("q") for _ in range(_BUCKETS)]
        self._merits = [array("d") for _ in range(_BUCKETS)]
        for key, merit in zip(keys, merits, strict=True):
            self._keys[key & self._mask].append(key)
            self._merits[key & self._mask].append(merit)
