"""When each board changed last, for those who keep what they read of it."""

from __future__ import annotations


class LastChanges:
    """How many changes there had been when each board changed last: the same number as before says
    that it has not changed since.

    Of `most` boards that is known one by one. Past it, each counts as changed when the last one
    did.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._changes = 0
        self._of: dict[str, int] = {}
        self._of_others = 0

    def __len__(self) -> int:
        """Of how many boards it is known."""
        return len(self._of)

    def note(self, board_id: str) -> None:
        """The board has changed."""
        self._changes += 1
        if len(self._of) >= self._most:
            self._of.clear()
            self._of_others = self._changes
        self._of[board_id] = self._changes

    def of(self, board_id: str) -> int:
        """The number of the board's last change."""
        return self._of.get(board_id, self._of_others)
