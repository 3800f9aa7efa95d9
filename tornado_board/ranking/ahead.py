"""A player whose last write this process has answered, and the feed has not told yet."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from tornado_board.ranking.counted import Unknown

#: States that are known of a player; the first ones are forgotten.
MOST_STATES = 1000


@dataclass(slots=True)
class Ahead:
    """Merits that a player is known to have had, since the feed told of it; ``None`` stands for a
    player that is not there."""

    #: What its writes found and left, the newest last: that counts.
    states: list[float | None]
    #: What the feed has told last; `Unknown` in a build, and where it is not what the write found.
    told: float | Unknown | None
    #: `told` is only what the write found.
    is_assumed: bool
    #: Since which tick nothing was heard of it.
    since: int
    #: Whether the feed has told anything since.
    is_heard: bool = False

    @property
    def counts(self) -> float | None:
        return self.states[-1]

    def write(self, found: float | None, left: float | None) -> None:
        """Another write found and left these. Answers may come in another order than the writes."""
        states = self.states
        if found != states[-1]:
            if left == states[0]:
                states.insert(0, found)  # its answer was overtaken by those of later ones
                return
            if (found, left) in pairwise(states):
                return  # so it was
            states.append(found)
        states.append(left)
        if len(states) > MOST_STATES:
            del states[: MOST_STATES // 2]

    def hear(self, merit: float | None) -> bool:
        """The feed told `merit`. Whether the player is ahead still: if that is a state before the
        last one. Otherwise it is the last, or one that came after it."""
        self.told, self.is_assumed, self.is_heard = merit, False, True
        try:
            at = self.states.index(merit, 0, len(self.states) - 1)
        except ValueError:
            return False
        del self.states[:at]
        return True
