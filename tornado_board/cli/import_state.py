"""How far an import is, in a file beside its input, so that no row counts twice after a cut."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import time
from pathlib import Path
from typing import IO

import msgspec

from tornado_board.cli.failure import Failed

#: Seconds for which a server is sure to know the key of a request; an hour less than it promises.
KEY_KNOWN = 23 * 3600.0

#: What of the state has to be the same for an import to go on.
_SAME = ("server", "board", "format", "operator", "season", "size", "sha256")


class State(msgspec.Struct):
    """What is known of an import. Rows before `offset` are done."""

    server: str
    board: str
    format: str
    operator: str
    #: Of the input, in bytes; and its digest.
    size: int
    sha256: str
    #: The most rows, and bytes, of a request. With these the same rows go into the same request.
    rows: int
    bytes: int
    #: Made once; the keys of its requests begin with it.
    run: str = msgspec.field(default_factory=lambda: secrets.token_urlsafe(12))
    #: Which the rows are for; 0 for none.
    season: int = 0
    offset: int = 0
    line: int = 0
    #: When the request with the rows from `offset` on was sent first, in seconds since 1970; 0 if
    #: it was not.
    sent_at: float = 0.0
    #: Of the rows before: those that were taken, of these the ones that made a player and those
    #: that changed one, and those that were refused.
    taken: int = 0
    made: int = 0
    changed: int = 0
    refused: int = 0

    @property
    def done(self) -> int:
        """Rows that are done."""
        return self.taken + self.refused

    @property
    def key(self) -> str:
        """What the idempotency keys of the requests with the rows from `offset` on begin with."""
        return f"{self.run}-{self.offset}-{self.rows}-{self.bytes}"

    @property
    def is_stale(self) -> bool:
        """Whether the server may have forgotten the request that was sent last."""
        return bool(self.sent_at) and not 0 <= time.time() - self.sent_at < KEY_KNOWN


class Keeper:
    """Keeps a `State` at `path`; nowhere where that is ``None``."""

    def __init__(self, path: Path | None) -> None:
        self.path = path

    def load(self, expected: State) -> State | None:
        """What is kept of the import `expected`; ``None`` if nothing is. Raises `Failed` where it
        is another's."""
        if self.path is None:
            return None
        try:
            found = msgspec.json.decode(self.path.read_bytes(), type=State)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Failed(f"{self.path}: {error.strerror}") from error
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Failed(f"{self.path}: is no state of an import; --restart passes over it") from (
                None
            )
        for name in _SAME:
            if getattr(found, name) != getattr(expected, name):
                what = "the file has changed" if name in ("size", "sha256") else f"another {name}"
                raise Failed(
                    f"{self.path} is of an import that was cut off after line {found.line}, and"
                    f" that is not this one: {what}; --restart begins anew, from the first row"
                )
        return found

    def keep(self, state: State) -> None:
        """Put `state` in the place of what was kept, whole. Raises `Failed`."""
        if self.path is None:
            return
        new = self.path.with_name(self.path.name + ".new")
        try:
            with open(new, "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(state)) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(new, self.path)
        except OSError as error:
            raise Failed(f"{self.path}: can't be written: {error.strerror}") from error

    def forget(self) -> None:
        """The import is over."""
        if self.path is not None:
            with contextlib.suppress(OSError):
                self.path.unlink()


def digest(file: IO[bytes]) -> tuple[int, str]:
    """How many bytes `file` has, and their SHA-256; it is at its beginning then."""
    found = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    size = file.tell()
    file.seek(0)
    return size, found
