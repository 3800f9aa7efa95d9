"""One SQLite file, and the threads that wait for its disk so that the event loop doesn't.

The embedded store and the embedded replay log share a `Database`, and with it one writer: what
waits at the same time is committed together, for the price of one fsync.
"""

from __future__ import annotations

from tornado_board.sqlite.database import Database
from tornado_board.sqlite.files import DatabaseUnavailable, OutcomeUncertain, path_of

__all__ = ["Database", "DatabaseUnavailable", "OutcomeUncertain", "path_of"]
