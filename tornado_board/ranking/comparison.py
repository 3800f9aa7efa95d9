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
        #: Whether the store is to be read for it.
        self.is_due = True
        #: Whether it is, or was, done while the log could not be asked.
        self.without_log = False
        #: Whether somebody waits for it.
        self.in_doubt = False
        #: When the newest read of the store began.
        self.began_at = now
        self.asking = Asking(now)
        self._at = _NEVER

    @property
    def was_confirmed(self) -> bool:
        """Whether it has been found since this process has its role; who has a feed is told of what
        comes after that."""
        return self._at > _NEVER

    def is_fresh(self, now: float) -> bool:
        """Whether it was found a moment ago."""
        return now <= self._at + FRESH

    def confirm(self, now: float) -> None:
        """What is shown is what the store has."""
        self.in_doubt, self._at = False, now

    def doubt(self, now: float) -> None:
        """Somebody waits to know."""
        self.in_doubt = self.is_due = True
        self.asking.hurry(now)

    def give_up(self) -> None:
        """Nobody can tell at present."""
        self.in_doubt = False

    def forget(self) -> None:
        """Whatever was confirmed says nothing any more."""
        self._at = _NEVER

    def settle(self) -> None:
        """There is nothing to ask: the store has what is shown, under its id."""
        self.is_due = False
        self.asking.settled()

    def answered(self) -> None:
        """The publisher has published the board."""
        self.is_due = False
        self.asking.stop()

    def begin_with_log(self) -> None:
        """It can be asked again, so what was found without it says nothing any more."""
        self.is_due = self.is_due or self.without_log
        self.without_log = False

    def start_anew(self, now: float) -> None:
        """This process has another role."""
        self.forget()
        self.asking.start_anew(now)
