"""The ranks of one board as a state machine: no I/O, no clock.

In go the pieces of a scan of the board, the changes that the feed tells, and the writes that this
process has answered. Out come counts, and scores by rank.

What counts
    A multiset of merits (`Merits`) in which each player counts once. It counts as the feed last
    told of it or, where this process has answered a write that the feed has not told yet, as that
    write left it. The change that the feed tells later only confirms it then.

The build
    The feed is open before the scan begins, and the scan may be older or newer than what the feed
    tells meanwhile. What the feed told of a player since the scan began counts, whatever the scan
    says of it, before or after: if the scan was newer, the feed is still to tell so. Of all others
    the scan counts. For this it is known what each player counts with (`Counted`), and changes
    replace that, whatever score they say was before. It is known for `HELD` seconds after the scan,
    by which time the feed has told everything that was written before the scan's end. From then on
    a player counts with what the feed last told, or would have told, and that is
    `PlayerChanged.before`. So it need not be known any more, and 8 bytes a player remain.
    (A feed that is behind when the scan begins sets a player back until it has caught up.)

Writes of this process
    A write is told by its answer (`wrote`) and by the feed, in either order, and the feed may merge
    it with others. While it has been answered and not told, the player is *ahead* of the feed, with
    the states that its writes are known to have led through. If the feed tells one of those but the
    last, the player stays ahead. Anything else that it tells is the last state, or one that came
    after it, and from then on the feed counts.
    When an answer comes, the feed may have told the write already. So it is remembered for a while
    what the feed told last of players. If it told that before the write began (see `wrote`), or it
    is the state that the write found, then the write is ahead; otherwise the feed has passed it.
    Where nothing is remembered of the player, the write found what the feed has told; if another
    process wrote in between, then the change that tells so also tells what counted really.
    A player may be written back to what the feed told last, and the feed may merge that to nothing.
    So the store is asked for who is ahead for `DOUBT` seconds (`doubtful`, `settle`).

When it can't know
    The state becomes `LOST`, and the index has to be built anew, if a change does not say what was
    before, if that is not what counted, or if the feed says nothing of a write for `PATIENCE`
    seconds. There is no answer (`is_ready`) as long as a write found a score that counts for no
    player, since then another process's change is still to come.
"""

from __future__ import annotations

import enum
from array import array
from collections.abc import Iterator, Sequence
from itertools import takewhile

import msgspec

from tornado_board.models import SCORE_LIMIT, Number, Ordering, PlayerChanged, number_of
from tornado_board.ranking.ahead import Ahead
from tornado_board.ranking.counted import UNKNOWN, Counted, Unknown
from tornado_board.ranking.ranks import Merits, Sorting
from tornado_board.ranking.told import Told

#: Players that `RankIndex.scanned` takes at a time: less than a millisecond.
SCANNED_AT_ONCE = 1000

#: Ticks (`RankIndex.tick`, one a second) for which it is known after the scan what each player
#: counts with: longer than any feed is behind that is not lost.
HELD = 60

#: Ticks within which the feed has to tell a write, or another state of that player; after how many
#: of them the store is asked for the player, and how many players at a time.
PATIENCE, DOUBT, DOUBTED_AT_ONCE = 10, 2, 100

#: Players who may be ahead of the feed at a time. Beyond it those that are ahead the longest count
#: as the feed says.
MOST_AHEAD = 100_000

#: Late changes that are made up for in one step of the build.
_LATE_AT_ONCE = 500

#: Later than any change that the feed has told.
_NOW = 2**62


class State(enum.Enum):
    BUILDING = "the board is being read"
    READY = "ranks are known"
    LOST = "what counts is not known any more"


class RankIndex:
    """How many players of a board are better than a score, and who is at a rank.

    To build it: `scanned` for all players, then `finish` and each step of it; `apply` and `wrote`
    may come at any time. Positions are those of the feed: a number that grows with what it tells.
    """

    def __init__(self, ordering: Ordering) -> None:
        self.state = State.BUILDING
        #: What made it `State.LOST`.
        self.why_lost = ""
        self.ordering = ordering
        self._ticks = 0
        self._counted: Counted | None = Counted()
        self._ahead: dict[str, Ahead] = {}
        self._remembered = Told()
        self._merits = Merits()
        #: Players who are ahead and whose `told` is still in the multiset, unknown which it is.
        self._owed = 0
        # While it is built: what is to be sorted, the changes that are not in there, and the
        # players that the feed told of before the scan did.
        self._sorting = Sorting()
        self._late: list[tuple[float | None, float | None]] = []
        self._early: set[str] = set()
        self._scanned_at = _NOW
        self._ready_since = 0

    # Answers

    @property
    def is_ready(self) -> bool:
        """Whether the answers below can be relied on."""
        return self.state is State.READY and not self._owed

    def __len__(self) -> int:
        """How many players there are."""
        return len(self._merits)

    def better_than(self, score: Number) -> int:
        """How many players have a better score than `score`."""
        return self._merits.better_than(self.ordering.merit(score))

    def score_at(self, rank: int) -> Number | None:
        """The score of the first player whose rank is `rank`, from 1, or greater; or none."""
        merit = self._merits.at_rank(rank)
        return None if merit is None else self._score(merit)

    def score_beside(self, score: Number, count: int, *, backwards: bool = False) -> Number | None:
        """The score of the player `count` places behind all with `score`, or before them, or of the
        last one there is; ``None`` if there is none."""
        found = self._merits.beside(self.ordering.merit(score), -count if backwards else count)
        return None if found is None else self._score(found)

    def places(self, scores: Sequence[Number]) -> list[tuple[int, int, Number | None]]:
        """Of each of `scores`, how many players there are, how many have a better one, and the next
        better one that somebody has, if any."""
        # As `Ordering.merit` and `number_of`, without calls: most of a look at many is in here.
        of, sign = len(self._merits), -1 if self.ordering.order == "desc" else 1
        better, merits = self._merits.places([sign * score for score in scores])
        whole = [m is not None and m.is_integer() and abs(m) <= SCORE_LIMIT for m in merits]
        return [
            (of, count, m if m is None else sign * (int(m) if is_whole else m))
            for count, m, is_whole in zip(better, merits, whole, strict=True)
        ]

    def _score(self, merit: float) -> Number:
        return number_of(self.ordering.merit(merit))

    @property
    def entries(self) -> int:
        """Players of whom it holds something, during the build too."""
        return max(len(self._merits), 0 if self._counted is None else len(self._counted))

    # The build

    def scanned(self, player_ids: Sequence[str], scores: Sequence[Number]) -> None:
        """Take in a piece of the scan: at most `SCANNED_AT_ONCE` players, best not many fewer."""
        if self.state is State.LOST:
            return
        assert self._counted is not None
        merit = self.ordering.merit
        merits = array("d", [merit(score) for score in scores])
        if self._early:
            fresh = [i for i, id in enumerate(player_ids) if id not in self._early]
            if len(fresh) < len(player_ids):
                player_ids = [player_ids[i] for i in fresh]
                merits = array("d", [merits[i] for i in fresh])
        if self._ahead:
            for player_id, scanned in zip(player_ids, merits, strict=True):
                ahead = self._ahead.get(player_id)
                if ahead is not None and ahead.told is UNKNOWN:
                    ahead.told = scanned
                    self._move(scanned, ahead.counts)
        self._counted.extend(player_ids, merits)
        self._sorting.add(merits)

    def finish(self, position: int) -> Iterator[None]:
        """The scan has ended, and the feed is at `position`. Each step takes a millisecond or two;
        after the last the state is `READY`, or `LOST`."""
        assert self._counted is not None
        self._scanned_at = position
        for merit in self._counted.duplicates():
            if merit is None:
                yield
            else:  # the scan met the player twice, since it moved meanwhile
                self._move(merit, None)
        for merits in self._sorting.steps():
            self._merits.append(merits)
            yield
        self._sorting = Sorting()
        self._early.clear()
        while self._late:
            late = self._late[:_LATE_AT_ONCE]
            del self._late[:_LATE_AT_ONCE]
            for old, new in late:
                self._count(old, new)
            yield
        if self.state is State.BUILDING:
            self.state = State.READY
            self._ready_since = self._ticks
            for ahead in self._ahead.values():
                if ahead.told is UNKNOWN:
                    ahead.told = None
                    self._move(None, ahead.counts)

    # What comes in

    def apply(self, change: PlayerChanged, position: int) -> None:
        """Take in a change of a player, which the feed tells at `position`."""
        if self.state is State.LOST:
            return
        player_id, player = change.player_id, change.player
        after = None if player is None else self.ordering.merit(player.score)
        before: float | None
        if self._counted is not None:
            counted = self._counted.get(player_id)
            if counted is UNKNOWN and self.state is State.BUILDING:
                self._early.add(player_id)
            before = None if counted is UNKNOWN else counted
            self._counted.set(player_id, after)
        elif change.before is msgspec.UNSET:
            self._lose("a change does not say what was before")
            return
        else:
            before = self._merit(change.before)
        self._remembered.add(player_id, after, position, self._ticks)
        ahead = self._ahead.get(player_id)
        if ahead is None:
            self._move(before, after)
        elif ahead.told == before and ahead.states == [before, after]:
            del self._ahead[player_id]  # the one write of this process, as `_hear` would find
        else:
            self._hear(player_id, ahead, before, after)

    def wrote(
        self, player_id: str, before: Number | None, after: Number | None, since: int
    ) -> None:
        """This process has answered a write that changed the player's score from `before` to
        `after` (``None``: no player).

        `since`: where the feed was before the write began; -1 if that is not known.
        """
        found, left = self._merit(before), self._merit(after)
        if found == left or self.state is State.LOST:
            return
        ahead = self._ahead.get(player_id)
        if ahead is not None:
            counted = ahead.counts
            ahead.write(found, left)
            if ahead.told is not UNKNOWN or self.state is State.READY:
                self._move(counted, ahead.counts)
            self._renew(player_id, ahead)
            return
        told, position = self._told(player_id)
        if told is not UNKNOWN and position > since:
            if told != found:
                return  # the feed has passed it
            if since >= 0 and self._remembered.has_told(player_id, left, since):
                return  # so it has, and then it told what had been before
        is_assumed = told is UNKNOWN and self.state is State.READY
        if is_assumed:
            told = found
            if found is None or left is None or not self._merits.replace(found, left):
                if found is not None and not self._merits.remove(found):
                    told = UNKNOWN
                    self._owed += 1
                self._move(None, left)
        elif told is not UNKNOWN:
            self._move(told, left)
        self._ahead[player_id] = Ahead([found, left], told, is_assumed, self._ticks)
        if len(self._ahead) > MOST_AHEAD:
            self._undo(next(iter(self._ahead)))

    def is_ahead(self, player_id: str) -> bool:
        """Whether another score of the player counts than the feed has told last."""
        return (known := self._ahead.get(player_id)) is not None and known.told != known.counts

    def tick(self) -> int:
        """A second has passed. Of how many players less is held in memory than before."""
        self._ticks += 1
        if self.state is not State.READY:
            return 0
        released = 0
        if self._counted is not None and self._ticks - self._ready_since >= HELD:
            released = len(self._counted)
            self.release()
        self._remembered.forget(self._ticks)
        oldest = takewhile(lambda i: self._ticks - i[1].since >= PATIENCE, self._ahead.items())
        for player_id in [player_id for player_id, _ in oldest]:
            ahead = self._ahead[player_id]
            if ahead.told == ahead.counts or ahead.is_heard:
                self._undo(player_id)
            else:
                self._lose("the feed does not tell a write")
        return released

    def doubtful(self) -> dict[str, int]:
        """Players who are ahead for so long that the store is to be asked for them, and since when;
        for `settle`."""
        found: dict[str, int] = {}
        for player_id, ahead in self._ahead.items():
            if self._ticks - ahead.since < DOUBT or len(found) == DOUBTED_AT_ONCE:
                break
            if ahead.told != ahead.counts:
                found[player_id] = ahead.since
        return found

    def settle(self, player_id: str, score: Number | None, since: int) -> None:
        """The store has this score of a doubtful player. If the feed has told the same last, then
        it has nothing more to tell: the player was written again, back to that."""
        ahead = self._ahead.get(player_id)
        if ahead is not None and ahead.since == since and ahead.told == self._merit(score):
            self._undo(player_id)

    def release(self) -> None:
        """The feed has told everything that was written before the end of the scan."""
        self._counted = None

    # How

    def _merit(self, score: Number | None) -> float | None:
        return None if score is None else self.ordering.merit(score)

    def _hear(
        self, player_id: str, ahead: Ahead, before: float | None, after: float | None
    ) -> None:
        """The feed told that a player who is ahead is `after`; `before` it counted before."""
        if ahead.told is UNKNOWN and self.state is State.READY:
            self._owed -= 1
            self._move(before, None)
        elif ahead.told is UNKNOWN:
            self._move(before, ahead.counts)
        elif ahead.told != before:
            if not ahead.is_assumed:
                self._lose("a change says of a player what the feed did not tell")
                return
            self._move(before, ahead.told)
        if ahead.hear(after):
            self._renew(player_id, ahead)
        else:
            del self._ahead[player_id]
            self._move(ahead.counts, after)

    def _renew(self, player_id: str, ahead: Ahead) -> None:
        del self._ahead[player_id]
        self._ahead[player_id] = ahead
        ahead.since = self._ticks

    def _undo(self, player_id: str) -> None:
        """Count the player as the feed says."""
        ahead = self._ahead.pop(player_id)
        if ahead.told is not UNKNOWN:
            self._move(ahead.counts, ahead.told)
        elif self.state is State.READY:
            self._lose("the feed does not tell a write")

    def _told(self, player_id: str) -> tuple[float | Unknown | None, int]:
        """What the feed has told last of the player, and at which position."""
        if (remembered := self._remembered.last(player_id)) is not None:
            return remembered
        if self._counted is None:
            return UNKNOWN, 0
        counted = self._counted.get(player_id)
        if counted is UNKNOWN and self._scanned_at != _NOW:
            return None, self._scanned_at
        return counted, self._scanned_at

    def _move(self, old: float | None, new: float | None) -> None:
        """Count a player with `new` instead of `old`."""
        if old == new:
            return
        if self.state is State.BUILDING:
            self._late.append((old, new))
        else:
            self._count(old, new)

    def _count(self, old: float | None, new: float | None) -> None:
        if old is not None and new is not None and self._merits.replace(old, new):
            return
        if old is not None and not self._merits.remove(old) and not self._owe(old):
            self._lose("a change says of a player what does not count")
        if new is not None:
            self._merits.add(new)

    def _owe(self, merit: float) -> bool:
        """Whether `merit` was taken out for a player who, as it seems now, counted otherwise."""
        for ahead in self._ahead.values():
            if ahead.is_assumed and ahead.told == merit:
                ahead.told, ahead.is_assumed = UNKNOWN, False
                self._owed += 1
                return True
        return False

    def _lose(self, why: str) -> None:
        self.state, self.why_lost = State.LOST, why
