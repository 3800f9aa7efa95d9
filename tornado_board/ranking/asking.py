"""A follower's questions to the publisher, for a board that nobody seems to publish."""

from __future__ import annotations

from tornado_board.backoff import Backoff

#: Seconds that the publisher has to publish a board that it was asked for.
ANSWER = 1.0

#: Bounds of the waits, in seconds, between two questions.
_BACKOFF = (0.3, 10.0)


class Asking:
    """Whether the publisher is to be asked, and how long to wait for what it does then."""

    def __init__(self, now: float) -> None:
        #: Whether it is to be asked now.
        self.is_due = False
        self._answer_by: float | None = None
        self._backoff, self._after = Backoff(*_BACKOFF), now

    def asked(self, now: float, heard: bool) -> None:
        """It was asked; `heard`: there is one."""
        self._answer_by = now + ANSWER if heard else now

    def answer_in(self, now: float) -> float:
        """For how many seconds it may still answer; 0 if it was not asked, or has had its time."""
        return 0.0 if self._answer_by is None else max(0.0, self._answer_by - now)

    def gave_up(self, now: float) -> bool:
        """Whether it was asked and has not answered in time; told once for each question."""
        if self._answer_by is None or now < self._answer_by:
            return False
        self._answer_by = None
        self._after = now + self._backoff.next()
        return True

    def pause(self, now: float) -> float:
        """For how many seconds nothing is asked."""
        return max(0.0, self._after - now)

    def stop(self) -> None:
        """It published the board, so there is no question any more."""
        self.is_due, self._answer_by = False, None

    def start_anew(self, now: float) -> None:
        """This process has another role: it is another publisher, perhaps."""
        self.stop()
        self._after = now

    def reconciled(self) -> None:
        """The board is what it should be: the next pause is the shortest again."""
        self._backoff.reset()
