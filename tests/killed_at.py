"""``python killed_at.py STEP MARKER flags...``: a server that kills itself (``kill -9``) at a step
of the end of a season, once: then there is a file MARKER."""

from __future__ import annotations

import functools
import os
import signal
import sys
from pathlib import Path
from typing import Any

from tornado_board.models import shows_end
from tornado_board.realtime.live_boards import LiveBoards
from tornado_board.server import main
from tornado_board.store.rethinkdb.boards import Boards
from tornado_board.store.sqlite import SQLiteStore, ended

#: The end is about to be written; is written and not committed (in RethinkDB: sent); is stored.
#: Then its final board is read, appended to the log, and the new season's board after it.
STEPS = ("begun", "written", "stored", "read", "append", "appended", "next")


def die(marker: Path) -> None:
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def patch(step: str, marker: Path) -> None:
    kill = functools.partial(die, marker)
    end, swap = ended.end, Boards._swap_season
    settled = SQLiteStore._settled
    read, append = LiveBoards.read, LiveBoards.append
    has_ended = is_told = False

    def sqlite_end(*args: Any) -> Any:
        if step == "begun":
            kill()
        nonlocal has_ended
        done = end(*args)
        if step == "written":
            kill()
        has_ended = True
        return done

    async def rethinkdb_end(*args: Any) -> Any:
        if step == "begun":
            kill()
        done = await swap(*args)
        if step in ("written", "stored") and done is not None:
            kill()
        return done

    async def stored(*args: Any, **more: Any) -> Any:
        done = await settled(*args, **more)
        if step == "stored" and has_ended:
            kill()
        return done

    async def reads(self: LiveBoards, board_id: str, season: int | None = None, **more: Any) -> Any:
        if step == "read" and season is not None:
            kill()
        return await read(self, board_id, season, **more)

    async def appends(self: LiveBoards, board_id: str, data: str, *args: Any) -> Any:
        nonlocal is_told
        if step == "append" and shows_end(data):
            kill()
        if step == "next" and is_told:
            kill()
        done = await append(self, board_id, data, *args)
        if step == "appended" and shows_end(data):
            kill()
        is_told = is_told or shows_end(data)
        return done

    setattr(ended, "end", sqlite_end)  # noqa: B010 - not an assignment to mypy
    setattr(Boards, "_swap_season", rethinkdb_end)  # noqa: B010
    setattr(SQLiteStore, "_settled", stored)  # noqa: B010
    setattr(LiveBoards, "read", reads)  # noqa: B010
    setattr(LiveBoards, "append", appends)  # noqa: B010


if __name__ == "__main__":
    step, marker, *flags = sys.argv[1:]
    patch(step, Path(marker))
    raise SystemExit(main(flags))
