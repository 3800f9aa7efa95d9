"""Which RethinkDB database a URL names, and how to connect to it."""

from __future__ import annotations

import asyncio
import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec
import rethinkdb
from rethinkdb.errors import ReqlAuthError, ReqlError
from tornado.iostream import StreamClosedError

from tornado_board.store import StoreUnavailable
from tornado_board.tasks import retrieve

#: The query builder. Its connections run on Tornado's loop.
r: Any = rethinkdb.RethinkDB()
r.set_loop_type("tornado")

_NAME = re.compile(r"[A-Za-z0-9_-]{1,127}", re.ASCII)
_HINT = (
    "use rethinkdb://[user:password@]host:port/database, with commas between the servers of a "
    "cluster (host:port,host:port), and percent-encode the special characters of a password"
)


#: The most characters that an error shows of what a server said.
_REASON_LENGTH = 300


class ConnectionRefused(StoreUnavailable):
    """The server was reached and won't have us: the password or the certificate is wrong.

    Trying again does not help.
    """


class _Encoder:
    """The driver's JSON encoder, several times as fast as its own."""

    _encode = msgspec.json.Encoder(enc_hook=lambda term: term.build()).encode

    def encode(self, message: Any) -> str:
        return self._encode(message).decode()


class _Decoder:
    """The driver's JSON decoder; it leaves times and binaries of unknown fields as they came."""

    _decode = msgspec.json.Decoder().decode

    def __init__(self, options: Any = None) -> None:
        pass

    def decode(self, text: str) -> Any:
        return self._decode(text)


@dataclass(frozen=True)
class Address:
    """A database on a RethinkDB server, and the account and certificate to reach it with."""

    host: str
    port: int
    database: str
    user: str = "admin"
    password: str = field(default="", repr=False)
    ca_certs: str = ""

    @classmethod
    def parse(cls, url: str, ca_certs: str = "") -> Address:
        """Read `url`, ``rethinkdb://[user:password@]host[:port]/database``.

        `user` and `password` are percent-decoded; `ca_certs` is the PEM file of the authority that
        signed the server's certificate, and turns TLS on. Raises `ValueError`, whose message shows
        nothing of the URL: what is taken for a port, a path or a host may be a piece of a password
        with a character in it that should have been escaped.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "localhost", parts.port or 28015
        except ValueError:
            raise ValueError(f"database_url: the host or the port is not valid; {_HINT}") from None
        database = parts.path.removeprefix("/").removesuffix("/")
        if not parts.netloc or parts.query or parts.fragment:
            raise ValueError(f"database_url: there has to be a host, and no ? and no #; {_HINT}")
        if not _NAME.fullmatch(database):
            raise ValueError(
                "database_url: what follows the host is not the name of a database (letters, "
                f"digits, _ and -); {_HINT}"
            )
        user, password = unquote(parts.username or "admin"), unquote(parts.password or "")
        if not user.isascii():
            raise ValueError("database_url: the driver takes no user name outside ASCII")
        if ca_certs and not Path(ca_certs).is_file():
            raise ValueError(f"database_ca_certs: there is no file {ca_certs!r}")
        return cls(host, port, database, user, password, ca_certs)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}/{self.database}"

    async def connect(self, seconds: float) -> Any:
        """Open a connection of the driver, within `seconds`.

        Raises `ConnectionRefused` where trying again won't help, else `StoreUnavailable`.
        """
        opening: asyncio.Future[Any] = r.connect(
            host=self.host,
            port=self.port,
            db=self.database,
            user=self.user,
            # The driver encodes passwords as Latin-1, the server takes UTF-8: this makes it so.
            password=self.password.encode().decode("latin-1"),
            timeout=seconds,
            ssl={"ca_certs": self.ca_certs} if self.ca_certs else {},
            json_encoder=_Encoder,
            json_decoder=_Decoder,
        )
        opening.add_done_callback(retrieve)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_unwanted)
            raise
        except ReqlAuthError as error:
            # With an escaped colon in it, it may be user and password.
            user = f"the user {self.user!r}" if ":" not in self.user else "the user"
            raise ConnectionRefused(
                f"RethinkDB at {self} refused {user}: {_reason(error)}"
            ) from None
        except Exception as error:
            # Anything: besides its own errors the driver raises what it stumbles over, for
            # instance AttributeError where the connection is closed as soon as it is made.
            kind: type[StoreUnavailable] = StoreUnavailable
            if isinstance(error.__context__, ssl.SSLError):
                kind = ConnectionRefused
            raise kind(f"RethinkDB at {self} can't be reached: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    """What the driver says, on one line and without its own preamble."""
    cause = error.__context__
    if isinstance(cause, StreamClosedError) and isinstance(cause.real_error, OSError):
        return cause.real_error.strerror or str(cause.real_error)
    if not isinstance(error, ReqlError | OSError):
        return f"the connection broke off while it was made ({type(error).__name__})"
    message = " ".join(str(error).split())[:_REASON_LENGTH]
    return re.sub(r"^Could not connect to [^,]*?(: Error: |\. Error: |, )", "", message)


def _close_unwanted(future: asyncio.Future[Any]) -> None:
    """Close the connection that was opened for a caller who went away meanwhile."""
    if not future.cancelled() and future.exception() is None:
        future.result().close(noreply_wait=False)
