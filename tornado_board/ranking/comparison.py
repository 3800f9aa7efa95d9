"""Whether what a board's subscribers were sent is what the store has, and how to find out."""

from __future__ import annotations

from tornado_board.ranking.asking import Asking

#: Seconds for which a follower takes what it shows to be what the store has, once it has heard so.
FRESH = 0.05

_NEVER = float("-inf")


class Comparison:
    """What is known of that. A follower compares by reading the store, and asks the publisher for
    the board where the two differ; a publisher's feed tells it."""

    def __init__(self, now: float) -> None:
        #: Whether it is, or was, done while the log could not be asked.
        self.without_log = False
        #: When the read began that the store is known from.
        self.read_at = _NEVER
        self.asking = Asking(now)
        #: How many of those who wanted to know were answered: the first ones.
        self.answered_doubts = 0
        self._doubts = 0
        self._is_due = True
        self._at = _NEVER
        # When the newest read began, how many had asked by then; and those of the last one
        # that came to something.
        self._began_at, self._doubts_before, self._doubts_seen = now, 0, 0

    @property
    def in_doubt(self) -> bool:
        """Whether somebody waits for it."""
        return self.answered_doubts < self._doubts

    @property
    def is_due(self) -> bool:
        """Whether the store is to be read for it."""
        return self._is_due or self.in_doubt

    @property
    def was_confirmed(self) -> bool:
        """Whether it has been found since this process has its role; who has a feed is told of what
        comes after that."""
        return self._at > _NEVER

    def is_fresh(self, now: float) -> bool:
        """Whether it was found a moment ago."""
        return now <= self._at + FRESH

    def demand(self) -> None:
        """The store is to be read for it."""
        self._is_due = True

    def doubt(self) -> int:
        """Somebody waits to know; answered when `answered_doubts` has come to the number given."""
        self._doubts += 1
        self._is_due = True  # and stays so until what is shown has an id
        return self._doubts

    def begin(self, now: float) -> None:
        """A read of the store begins: it says nothing to those who ask later."""
        self._began_at, self._doubts_before = now, self._doubts

    def was_read(self) -> None:
        """It came to something."""
        self.read_at, self._doubts_seen = self._began_at, self._doubts_before

    def confirm(self, now: float) -> None:
        """What is shown is what the store has."""
        self.answered_doubts, self._at = self._doubts, now

    def confirm_as_read(self) -> None:
        """What is shown is what the store had when it was last read."""
        self.answered_doubts = max(self.answered_doubts, self._doubts_seen)
        self._at = max(self._at, self.read_at)

    def give_up(self) -> None:
        """Nobody can tell at present."""
        self.answered_doubts = self._doubts

    def forget(self) -> None:
        """Whatever was confirmed says nothing any more."""
        self._at = _NEVER

    def end(self) -> None:
        """It is done, unless somebody has asked since."""
        self._is_due = False

    def reconciled(self) -> None:
        """There is nothing to ask: the store has what is shown, under its id."""
        self._is_due = False
        self.asking.reconciled()

    def answered(self) -> None:
        """The publisher has published the board."""
        self._is_due = False
        self.asking.stop()

    def begin_with_log(self) -> None:
        """It can be asked again, so what was found without it says nothing any more."""
        self._is_due = self._is_due or self.without_log
        self.without_log = False

    def start_anew(self, now: float) -> None:
        """This process has another role."""
        self.forget()
        self.asking.start_anew(now)
