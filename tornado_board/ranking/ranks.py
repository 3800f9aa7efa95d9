"""How many players of a board are better than a score, among millions.

Competition rank needs the merits of a board's players (`models.Ordering.merit`) and nothing else of
them: a rank is one more than the number of smaller merits.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

#: Merits of a block when it is made. It is split when it has twice as many, and joined with one
#: beside it when it has a quarter. Larger blocks make updates slower, smaller ones ranks.
BLOCK = 1024

#: Blocks of a group, as a power of two.
_GROUP = 6

#: Merits that are sorted at a time where many are: about a millisecond each.
SORTED_AT_ONCE = 8192

#: Of each sorted run every so manieth merit is a sample, by which runs are divided. The first one
#: is elsewhere in each run: otherwise the samples of runs that are alike would be the same ones.
_SAMPLE = SORTED_AT_ONCE // 8
_STAGGER = 0.618


class Merits:
    """A multiset of merits, in blocks of sorted doubles: 8 to 9 bytes each.

    Blocks are counted, and so are groups of 64 of them, so that what is before a block is the sum
    of two short slices. At 1,000,000 merits an update is about 3 µs, a rank 1.3 µs; a Fenwick tree
    over the blocks takes 3.8 and 1.8 µs, since it is walked in Python.

    Integers up to ±2^53 and floats are kept as they are. They must not be NaN.
    """

    __slots__ = ("_blocks", "_counts", "_groups", "_lasts", "_total")

    def __init__(self) -> None:
        self._blocks: list[array[float]] = []
        #: Of each block, its last merit and how many it has.
        self._lasts: list[float] = []
        self._counts: list[int] = []
        self._groups: list[int] = []
        self._total = 0

    def __len__(self) -> int:
        return self._total

    def append(self, merits: Sequence[float]) -> None:
        """Add sorted `merits`, none of which is less than what is there already."""
        for start in range(0, len(merits), BLOCK):
            block = array("d", merits[start : start + BLOCK])
            if self._blocks and self._counts[-1] + len(block) <= BLOCK:
                block = self._blocks.pop() + block
                self._lasts.pop()
                self._counts.pop()
            self._blocks.append(block)
            self._lasts.append(block[-1])
            self._counts.append(len(block))
        self._total += len(merits)
        self._count_groups(max(0, len(self._groups) - 1))

    def add(self, merit: float) -> None:
        if not self._blocks:
            self.append((merit,))
            return
        at = bisect_left(self._lasts, merit)
        if at == len(self._blocks):
            at -= 1
            self._lasts[at] = merit
        block = self._blocks[at]
        block.insert(bisect_left(block, merit), merit)
        self._counts[at] += 1
        self._groups[at >> _GROUP] += 1
        self._total += 1
        if len(block) > 2 * BLOCK:
            middle = len(block) // 2
            self._replace(at, at + 1, [block[:middle], block[middle:]])

    def remove(self, merit: float) -> bool:
        """Take one such merit out; ``False`` if there is none, and then nothing is changed."""
        at = bisect_left(self._lasts, merit)
        if at == len(self._blocks):
            return False
        block = self._blocks[at]
        position = bisect_left(block, merit)
        if block[position] != merit:
            return False
        del block[position]
        self._counts[at] -= 1
        self._groups[at >> _GROUP] -= 1
        self._total -= 1
        if len(block) < BLOCK // 4:
            self._join(at)
        elif position == len(block):
            self._lasts[at] = block[-1]
        return True

    def replace(self, old: float, new: float) -> bool:
        """Take one `old` out and add a `new`, if both are in one block and not at its end; whether
        that was so, and otherwise nothing is changed. A score that changes a little goes that way,
        in half the time."""
        lasts = self._lasts
        at = bisect_left(lasts, old)
        if at == len(lasts) or not old < lasts[at] >= new or (at and new < lasts[at - 1]):
            return False
        block = self._blocks[at]
        position = bisect_left(block, old)
        if block[position] != old:
            return False
        del block[position]
        block.insert(bisect_left(block, new), new)
        return True

    def better_than(self, merit: float) -> int:
        """How many are smaller than `merit`."""
        at = bisect_left(self._lasts, merit)
        if at == len(self._blocks):
            return self._total
        return self._before(at) + bisect_left(self._blocks[at], merit)

    def places(self, merits: Iterable[float]) -> tuple[list[int], list[float | None]]:
        """How many are smaller than each of `merits`; and the greatest of those.

        For many at a time: what is before each block is summed up once.
        """
        lasts, blocks = self._lasts, self._blocks
        starts = [0, *accumulate(self._counts)]
        smaller: list[int] = []
        greatest: list[float | None] = []
        for merit in merits:
            at = bisect_left(lasts, merit)
            position = bisect_left(blocks[at], merit) if at < len(blocks) else 0
            smaller.append(starts[at] + position)
            if position:
                greatest.append(blocks[at][position - 1])
            else:
                greatest.append(lasts[at - 1] if at else None)
        return smaller, greatest

    def better_or_equal(self, merit: float) -> int:
        """How many are not greater than `merit`."""
        at = bisect_right(self._lasts, merit)
        if at == len(self._blocks):
            return self._total
        return self._before(at) + bisect_right(self._blocks[at], merit)

    def __getitem__(self, position: int) -> float:
        """The merit at `position` in ascending order, from 0. Raises `IndexError`."""
        if not 0 <= position < self._total:
            raise IndexError(f"there are {self._total} merits, and none at {position}")
        ends = list(accumulate(self._groups))
        group = bisect_right(ends, position)
        position -= ends[group] - self._groups[group]
        first = group << _GROUP
        ends = list(accumulate(self._counts[first : first + (1 << _GROUP)]))
        at = bisect_right(ends, position)
        return self._blocks[first + at][position - ends[at]]

    def at_rank(self, rank: int) -> float | None:
        """The first merit whose competition rank is `rank` or greater, if there is one; `rank` is 1
        or greater."""
        if rank > self._total:
            return None
        merit = self[rank - 1]
        if self.better_than(merit) == rank - 1:
            return merit
        behind = self.better_or_equal(merit)
        return None if behind == self._total else self[behind]

    def beside(self, merit: float, places: int) -> float | None:
        """The merit so many places behind all that are `merit`, or before them where `places` is
        negative; or the last one in that direction. ``None`` where there is none at all."""
        if not self._total:
            return None
        at = self.better_or_equal(merit) - 1 if places > 0 else self.better_than(merit)
        return self[min(max(at + places, 0), self._total - 1)]

    def _before(self, at: int) -> int:
        """How many are in the blocks before `at`."""
        group = at >> _GROUP
        return sum(self._groups[:group]) + sum(self._counts[group << _GROUP : at])

    def _join(self, at: int) -> None:
        """Join the block, which has few merits or none, with one beside it that has room."""
        few = self._blocks[at]
        for other in (at - 1, at + 1):
            if 0 <= other < len(self._blocks) and len(self._blocks[other]) + len(few) <= BLOCK:
                first = min(at, other)
                joined = self._blocks[first] + self._blocks[first + 1]
                self._replace(first, first + 2, [joined] if joined else [])
                return
        self._replace(at, at + 1, [few] if few else [])

    def _replace(self, start: int, stop: int, blocks: list[array[float]]) -> None:
        """Put `blocks`, none of which is empty, in place of others."""
        self._blocks[start:stop] = blocks
        self._lasts[start:stop] = [block[-1] for block in blocks]
        self._counts[start:stop] = map(len, blocks)
        if len(blocks) != stop - start:
            self._count_groups(start >> _GROUP)

    def _count_groups(self, group: int) -> None:
        """Count the groups from `group` on."""
        size, counts = 1 << _GROUP, self._counts
        starts = range(group << _GROUP, len(counts), size)
        self._groups[group:] = [sum(counts[start : start + size]) for start in starts]


class Sorting:
    """Sorts millions of merits in steps of about a millisecond, which is why it is not `sorted`:
    that would hold the event loop for a second, in a thread too.

    The merits are sorted in runs, and samples of the runs divide all of them into ranges that are
    small enough to be sorted at once. Merits that are in there many times need no sorting.
    """

    def __init__(self) -> None:
        self._runs: list[array[float]] = []
        self._unsorted = array("d")

    def add(self, merits: Sequence[float]) -> None:
        """Add some, in any order: at most about `SORTED_AT_ONCE` at a time."""
        self._unsorted.extend(merits)
        if len(self._unsorted) >= SORTED_AT_ONCE:
            self._end_run()

    def steps(self) -> Iterator[array[float]]:
        """All that was added, in order, in pieces. Each step of the iteration is short."""
        self._end_run()
        runs, starts = self._runs, [0] * len(self._runs)
        samples = sorted(
            sample
            for i, run in enumerate(runs)
            for sample in run[int(i * _STAGGER * _SAMPLE) % _SAMPLE :: _SAMPLE]
        )
        pivots = dict.fromkeys(samples[SORTED_AT_ONCE // _SAMPLE - 1 :: SORTED_AT_ONCE // _SAMPLE])
        for pivot in pivots:
            between, equal = array("d"), 0
            for i, run in enumerate(runs):
                start, stop = starts[i], bisect_left(run, pivot, starts[i])
                if stop > start:
                    between.extend(run[start:stop])
                if stop < len(run) and run[stop] == pivot:
                    start, stop = stop, bisect_right(run, pivot, stop)
                    equal += stop - start
                starts[i] = stop
            step = array("d", sorted(between))
            while equal:
                count = min(equal, SORTED_AT_ONCE)
                equal -= count
                step.extend(array("d", (pivot,)) * count)
                yield step
                step = array("d")
        rest = array("d")
        for start, run in zip(starts, runs, strict=True):
            rest.extend(run[start:])
        yield array("d", sorted(rest))

    def _end_run(self) -> None:
        if self._unsorted:
            self._runs.append(array("d", sorted(self._unsorted)))
            self._unsorted = array("d")
