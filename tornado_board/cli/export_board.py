"""``tornado-board export``: write a board's players to a file."""

from __future__ import annotations

import contextlib
import http.client
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import msgspec

from tornado_board.cli.api import Api, Parser, Passing, Patience, api_of, say
from tornado_board.cli.failure import Failed
from tornado_board.cli.progress import Progress
from tornado_board.cli.rows import FORMATS, format_of
from tornado_board.settings import SettingsError

_DESCRIPTION = """\
Writes all players of BOARD, best first, to FILE or to the standard output: CSV (id, name, score,
rank, meta) or NDJSON, a JSON object a line.

  tornado-board export cup scores.csv --url=https://boards.example/
  tornado-board export cup --format=ndjson | gzip > scores.ndjson.gz
  tornado-board export cup season-7.csv --season=7

All of it is one read. Where that is cut off it begins anew, and FILE is there when it is whole.
"""

#: Bytes that are read at a time.
_PIECE = 256 * 1024

_PATIENCE = 60.0


def main(arguments: Sequence[str]) -> int:
    """Export as `arguments` say; the exit code. Raises `SettingsError` and `Failed`."""
    options = parser().parse_args(arguments)
    api = api_of(options)
    kind = options.format or ("ndjson" if options.file == "-" else format_of(options.file))
    if kind is None:
        raise SettingsError("--format: expected csv or ndjson, as FILE's name does not say it")
    work = _Export(api, options.board, kind, options.season, options.patience)
    try:
        if options.file == "-":
            rows = work.to(sys.stdout.buffer, again=False)
        else:
            with _replacing(Path(options.file)) as file:
                rows = work.to(file, again=True)
    except KeyboardInterrupt:
        raise Failed("stopped") from None
    except OSError as error:
        raise Failed(f"{options.file}: {error.strerror or error}") from error
    finally:
        work.progress.clear()
        api.close()
    say(f"{rows:,} players; {work.progress.rate(rows):,.0f}/s")
    return 0


class _Export:
    """One export."""

    def __init__(
        self, api: Api, board: str, kind: str, season: int | None, patience: float
    ) -> None:
        self._api = api
        self._board = board
        self._kind = kind
        self._season = "" if season is None else f"&season={season}"
        self.progress = Progress()
        self._patience = Patience(patience, self._say)

    def to(self, file: IO[bytes], *, again: bool) -> int:
        """Write all to `file`; how many players that are. `again`: it can be begun anew.

        Raises `Failed`, and what writing raises.
        """
        while True:
            try:
                count = self._count() if self.progress.shows else 0
                return self._attempt(file, count)
            except Passing as failure:
                if not again and self._written:
                    raise Failed(f"{failure}; what was written is not all") from failure
                self._patience.wait(failure)
            if again:
                file.seek(0)
                file.truncate()

    #: Bytes of this attempt.
    _written = 0

    def _count(self) -> int:
        """How many players the board has, for what is shown."""
        self._api.send("GET", f"/boards/{self._board}/?limit=1&fields=count{self._season}")
        try:
            return int(msgspec.json.decode(self._api.answer().body)["count"])
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError):
            raise Failed("the answer is not one of this server's; is it the right address?") from (
                None
            )

    def _attempt(self, file: IO[bytes], count: int) -> int:
        query = f"format={self._kind}&fields=meta{self._season}"
        self._api.send("GET", f"/boards/{self._board}/export/?{query}")
        response = self._api.opened()
        rows = -1 if self._kind == "csv" else 0  # there is a header
        self._written = 0
        self.progress = Progress()
        self.progress.update(0)
        while piece := self._read(response):
            file.write(piece)
            self._written += len(piece)
            rows += piece.count(b"\n")  # no name has one, and JSON escapes it
            self.progress.update(max(rows, 0), min(rows / count, 1) if count else None)
        file.flush()
        return rows

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        try:
            piece = response.read1(_PIECE)
            if not piece and response.length:  # a proxy has counted, and http.client does not look
                raise http.client.IncompleteRead(b"", response.length)
            return piece
        except (OSError, http.client.HTTPException) as error:
            self._api.close()
            raise Passing("the export was cut off; the server's log may say why") from error

    def _say(self, text: str) -> None:
        self.progress.clear()
        say(text)


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of `path` once all was written, and not before."""
    if path.exists() and not path.is_file():
        with open(path, "wb") as file:  # a device, or a pipe
            yield file
        return
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with open(new, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    except BaseException:
        with contextlib.suppress(OSError):
            new.unlink()
        raise


def parser() -> Parser:
    """Takes the arguments of the command apart."""
    parser = Parser("export", "BOARD [FILE] [--url=URL] [...]", _DESCRIPTION)
    parser.add_argument(
        "file",
        nargs="?",
        default="-",
        metavar="FILE",
        help="the file; without it, or with -, the standard output",
    )
    parser.add_server(_PATIENCE)
    parser.add_argument(
        "--season", type=int, metavar="N", help="the season; the present one by default"
    )
    parser.add_argument(
        "--format",
        choices=list(FORMATS),
        help="csv or ndjson; by default what FILE's name ends with, and ndjson without one",
    )
    return parser
