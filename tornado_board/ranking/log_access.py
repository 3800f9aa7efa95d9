"""Whether the replay log can be asked something about one board, and what of it is left to do."""

from __future__ import annotations

from tornado_board.backoff import Backoff

#: Bounds of the waits, in seconds, after the log refused something.
_BACKOFF = (0.5, 4.0)

#: Seconds after which an append that got no answer is no longer carried out: see
#: `ReplayLog.append`.
LATE = 0.3

#: Seconds to wait for another role when the log says that another process publishes.
FENCED = 0.5


class LogAccess:
    """How the log has answered, for one board."""

    def __init__(self, now: float) -> None:
        #: Whether nobody knows what came after the newest event known here.
        self.must_locate = True
        #: Whether the log lacks what is shown.
        self.must_log = False
        #: No answer; it is tried by somebody else, who calls `returned`.
        self.is_away = False
        #: Until when another process is said to publish.
        self.fenced_until = now
        self._after = now
        self._late_until = now
        self._refuses = False
        self._refused: str | None = None  # what it did not take
        self._backoff = Backoff(*_BACKOFF)

    def is_usable(self, now: float) -> bool:
        return not self.is_away and now >= self._usable_at

    def wait(self, now: float) -> float | None:
        """For how long it is not usable; ``None`` while it is away."""
        return None if self.is_away else max(0.0, self._usable_at - now)

    def offers(self, data: str) -> bool:
        """Whether to append `data` although something else was refused a moment ago: a log that
        is full still tells the other processes of each event."""
        return not self.is_away and self._refuses and self._refused != data

    def answered(self) -> None:
        """It did what it was asked for."""
        self.is_away = self._refuses = False
        self._refused = None

    def appended(self) -> None:
        """It took an event."""
        self.answered()
        self._backoff.reset()
        self._after = float("-inf")  # what was refused before says nothing any more
        self.must_log = False

    def refuse(self, now: float, data: str | None) -> None:
        """It answered that it does not do this. `data` is what was to be appended, if anything."""
        self._refuses, self._refused = True, data
        self._after = now + self._backoff.next()

    def fail(self, now: float) -> None:
        """It did not answer; an append may have been carried out, or may be yet."""
        self.is_away = self.must_locate = True
        self._late_until = now + LATE

    def fence(self, now: float) -> None:
        """It says that another process publishes."""
        self.fenced_until = now + FENCED
        self.must_locate = True

    def returned(self) -> None:
        """It may answer again, or take what it refused."""
        self.is_away, self._after = False, float("-inf")

    def start_anew(self, now: float) -> None:
        """This process has another role: all that was said of the log says nothing any more."""
        self.answered()
        self.must_locate = True
        self._after = self.fenced_until = now

    @property
    def _usable_at(self) -> float:
        return max(self._after, self._late_until)
