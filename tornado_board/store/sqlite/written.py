"""Players as the writer's thread has just written them, so that the feed need not read them."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping
from typing import NamedTuple

from tornado_board.models import Player
from tornado_board.store.sqlite.schema import version

#: With fewer players in one call it costs more to note them than to read them.
_FEW = 8


class Run(NamedTuple):
    """The rows of ``changes`` after one number and up to another are of these players, one each."""

    after: int
    to: int
    board_id: str
    #: As they are now, by id; and as they were before, of those that there were.
    players: Mapping[str, Player]
    before: Mapping[str, Player]


class Written:
    """What was written in the transaction under way. All methods run in the writer's thread."""

    def __init__(self) -> None:
        self._is_wanted = False  # before there is a feed, nobody clears it
        #: What was written, in order.
        self.runs: list[Run] = []
        self._after = 0

    def clear(self) -> None:
        """A transaction begins, or something in it was undone: numbers are given out again."""
        self._is_wanted = True
        self.runs.clear()

    def begin(self, c: sqlite3.Connection, players: Collection[object]) -> None:
        """So many players are about to be written."""
        if self._is_wanted and len(players) >= _FEW:
            self._after = version(c)

    def end(
        self,
        c: sqlite3.Connection,
        board_id: str,
        players: Mapping[str, Player],
        before: Mapping[str, Player],
    ) -> None:
        """They were written: `players` by their ids, each of whom is another than `before`, where
        some are that were not written, too."""
        if self._is_wanted and len(players) >= _FEW:
            to = version(c)
            # Otherwise triggers of somebody else's have written, too.
            if to - self._after == len(players):
                self.runs.append(Run(self._after, to, board_id, players, before))
