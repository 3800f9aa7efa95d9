"""Which database this is, whatever it is called and wherever it is reached."""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass

from rethinkdb.errors import ReqlPermissionError

from tornado_board.store import StoreUnavailable
from tornado_board.store.rethinkdb import queries
from tornado_board.store.rethinkdb.connection import Connection
from tornado_board.store.rethinkdb.servers import Servers

logger = logging.getLogger(__name__)

#: What an identity may look like, in the keys of a replay log.
_FORM = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)


@dataclass(frozen=True)
class Identity:
    """The id that RethinkDB gave the database when it was made.

    Where it can't be had, a hash of the first host, its port and the name stands for it: the same
    for all processes that are given the same address.
    """

    text: str
    #: The name of the database if it is its own id, and can be asked for again.
    database: str | None

    @classmethod
    async def read(cls, connection: Connection, servers: Servers) -> Identity:
        """Ask the server. Raises `StoreUnavailable`."""
        reason = "its id is of another form"
        try:
            found = await connection.run(queries.database_id(database=servers.database))
            if isinstance(found, str) and _FORM.fullmatch(found):
                return cls(found, servers.database)
        except StoreUnavailable as error:
            if not isinstance(error.__cause__, ReqlPermissionError):
                raise
            reason = str(error)
        logger.warning(
            "the database goes by a hash of its address, which all processes that share it have "
            "to be given alike: %s",
            reason,
        )
        first = servers.addresses[0]
        place = f"{first.host}\n{first.port}\n{first.database}"
        return cls(hashlib.sha256(place.encode()).hexdigest()[:32], None)

    def check(self, database_id: str | None) -> None:
        """Raise `StoreUnavailable` if the database of this name has another id by now: the keys of
        the replay log carry the old one."""
        if self.database is not None and database_id != self.text:
            raise StoreUnavailable(
                "RethinkDB: the database was dropped and made anew; restart this server"
            )
