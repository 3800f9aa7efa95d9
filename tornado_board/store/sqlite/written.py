"""Players as the writer's thread has just written them, so that the feed need not read them."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from typing import NamedTuple

from tornado_board.models import Player
from tornado_board.store.sqlite.schema import version

#: With fewer players in one call it costs more to note them than to read them.
_FEW = 8


class _Run(NamedTuple):
    """The rows of ``changes`` after one number and up to another are of these players."""

    after: int
    to: int
    partition: str
    players: dict[str, Player]


class Written:
    """What was written in the transaction under way. All methods run in the writer's thread."""

    def __init__(self) -> None:
        self._is_wanted = False  # before there is a feed, nobody clears it
        self._runs: list[_Run] = []
        self._after = 0

    def clear(self) -> None:
        """A transaction begins, or something in it was undone: numbers are given out again."""
        self._is_wanted = True
        self._runs.clear()

    def begin(self, c: sqlite3.Connection, players: Collection[object]) -> None:
        """So many players are about to be written."""
        if self._is_wanted and len(players) >= _FEW:
            self._after = version(c)

    def end(self, c: sqlite3.Connection, partition: str, players: dict[str, Player]) -> None:
        """They were written: `players` by their ids, each of whom is another than before."""
        if self._is_wanted and len(players) >= _FEW:
            to = version(c)
            # Otherwise triggers of somebody else's have written, too.
            if to - self._after == len(players):
                self._runs.append(_Run(self._after, to, partition, players))

    def find(self, partition: str, player_id: str, number: int) -> Player | None:
        """The player whose last row of ``changes`` has this number, if it is known."""
        for run in self._runs:
            if run.after < number <= run.to and run.partition == partition:
                return run.players.get(player_id)
        return None
