"""``tornado-board import``: hand in the scores of a file."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import msgspec

from tornado_board.cli import rows
from tornado_board.cli.api import (
    Api,
    Parser,
    Passing,
    Patience,
    Refused,
    Reply,
    api_of,
    say,
)
from tornado_board.cli.failure import Failed
from tornado_board.cli.import_state import Keeper, State, digest
from tornado_board.cli.progress import Progress
from tornado_board.cli.rows import Row
from tornado_board.settings import SettingsError

_DESCRIPTION = """\
Hands in the scores of FILE: CSV with a header (id, score and, if you like, name, meta, operator),
or NDJSON, a JSON object with these a line. An export can be imported as it is.

  tornado-board import cup scores.csv --url=https://boards.example/
  zcat scores.ndjson.gz | tornado-board import cup - --format=ndjson

Rows that the server refuses are listed with their line, and the others go on; the exit code is 1
then. An import that was cut off goes on where it was when the same command is called again: FILE
has a state file beside it until then (FILE.import-state), and no row counts twice.
"""

#: Requests under way at a time, so that the server's disk need not wait for its answers.
_LANES = 4

#: Rows that go together unless it is said otherwise, in so many requests; and the most, which one
#: request can have.
_ROWS, _MOST_ROWS = 10_000, 10_000

#: Bytes that go together: less than the server's default ``max_bulk_body``.
_BYTES = 3 * 2**20

_PATIENCE = 300.0


class _Result(msgspec.Struct):
    """A line of the answer."""

    status: int
    detail: str = ""
    changed: bool = False


class _Chunk(msgspec.Struct):
    """Rows that follow on each other, and where the next ones begin."""

    rows: list[Row]
    wrong: list[Row]
    offset: int
    line: int


class _Part(msgspec.Struct):
    """The rows of one request, its key, the connection for it, and why it could not be sent."""

    rows: list[Row]
    key: str
    api: Api
    failure: Passing | None = None

    @property
    def body(self) -> bytes:
        return b"\n".join(row.text for row in self.rows)


_decode = msgspec.json.Decoder(_Result).decode_lines


def main(arguments: Sequence[str]) -> int:
    """Import as `arguments` say; the exit code. Raises `SettingsError` and `Failed`."""
    options = parser().parse_args(arguments)
    apis = [api_of(options) for _ in range(_LANES)]
    if not 1 <= options.rows <= _MOST_ROWS:
        raise SettingsError(f"--rows: expected a whole number from 1 to {_MOST_ROWS}")
    kind = options.format or rows.format_of(options.file)
    if kind is None:
        raise SettingsError("--format: expected csv or ndjson, as FILE's name does not say it")
    with _opened(options.file) as file:
        size, sha256, keeper = 0, "", Keeper(None)
        if file.seekable():
            size, sha256 = digest(file)
            if options.file != "-":
                keeper = Keeper(Path(options.file + ".import-state"))
        fresh = State(
            server=apis[0].url,
            board=options.board,
            format=kind,
            operator=options.operator or "",
            season=options.season or 0,
            size=size,
            sha256=sha256,
            rows=options.rows,
            bytes=_BYTES,
        )
        state = (None if options.restart else keeper.load(fresh)) or fresh
        source = rows.FORMATS[kind](file, state.operator, state.season)
        source.begin()
        if state.done:
            source.go_to(state.offset, state.line)
            say(f"going on after line {state.line}, {state.done:,} rows")
        work = _Import(apis, state, keeper, source, options)
        try:
            work.run()
        except (KeyboardInterrupt, Failed) as error:
            work.progress.clear()
            reason = "stopped" if isinstance(error, KeyboardInterrupt) else str(error)
            raise Failed(f"{reason}\n{work.outlook(error)}") from None
        finally:
            for api in apis:
                api.close()
    return 1 if state.refused else 0


class _Import:
    """One import, from its state on."""

    def __init__(
        self,
        apis: Sequence[Api],
        state: State,
        keeper: Keeper,
        source: rows.Rows,
        options: argparse.Namespace,
    ) -> None:
        self._apis = apis
        self._state = state
        self._keeper = keeper
        self._source = source
        self._rows = iter(source)
        #: Bytes that a server has refused as too many for a request.
        self._too_large = 2**62
        self._create = options.create
        self._unsure = options.unsure
        self.progress = Progress()
        self._patience = Patience(options.patience, self._say)

    def run(self) -> None:
        """Hand in all rows. Raises `Failed`."""
        self.progress.update(self._state.done)
        chunk = self._next()
        if chunk is not None and self._state.is_stale:
            chunk = self._decided(chunk)
        while chunk is not None:
            if not self._state.sent_at:
                self._state.sent_at = time.time()
            self._keeper.keep(self._state)
            parts = self._parts(chunk)
            for part in parts:
                self._send(part)
            # While the server is at this one, the next one is read.
            following = self._next()
            results = [pair for part in parts for pair in self._results(part)]
            self._note(chunk, results)
            chunk = following
        self.progress.clear()
        state = self._state
        self._keeper.forget()
        say(
            f"{state.done:,} rows: {state.taken:,} taken ({state.made:,} made a player,"
            f" {state.changed:,} changed one), {state.refused:,} refused;"
            f" {self.progress.rate(state.done):,.0f} rows/s"
        )

    def outlook(self, error: BaseException) -> str:
        """How an import that `error` has ended can be gone on with."""
        state = self._state
        if isinstance(error, Refused) and not state.done:
            self._keeper.forget()
            return "nothing was changed"
        if self._keeper.path is None:
            return (
                f"the rows up to line {state.line} are in, and maybe some after it; what comes from"
                " a pipe can't be gone on with"
            )
        self._keeper.keep(state)
        return (
            f"the rows up to line {state.line} are in; the same command goes on after it, with"
            f" what is in {self._keeper.path}"
        )

    def _next(self) -> _Chunk | None:
        """The next rows of the file; ``None`` if there are no more."""
        found: list[Row] = []
        wrong: list[Row] = []
        size = 0
        for row in self._rows:
            if row.wrong:
                wrong.append(row)
            else:
                found.append(row)
                size += len(row.text) + 1
            # The next line may have as many bytes as a line can have.
            if (
                len(found) + len(wrong) >= self._state.rows
                or size > self._state.bytes - rows.LONGEST_LINE
            ):
                break
        if not found and not wrong:
            return None
        return _Chunk(found, wrong, self._source.offset, self._source.line)

    def _decided(self, chunk: _Chunk) -> _Chunk | None:
        """What to do with rows that were sent so long ago that the server may not know it."""
        state = self._state
        if self._unsure == "skip":
            state.offset, state.line, state.sent_at = chunk.offset, chunk.line, 0.0
            state.taken += len(chunk.rows)
            state.refused += len(chunk.wrong)
            return self._next()
        if self._unsure is None:
            raise Failed(
                f"the rows of the lines {state.line + 1} to {chunk.line} were sent a day ago or"
                " more, and it is not known whether they arrived: look, and call this with"
                " --unsure=skip if they did or --unsure=send if not"
            )
        return chunk

    def _parts(self, chunk: _Chunk) -> list[_Part]:
        """The requests with the rows of `chunk`, which are under way at the same time: those of one
        player are in one of them, in their order."""
        lanes: list[list[Row]] = [[] for _ in self._apis]
        for row in chunk.rows:
            lanes[zlib.crc32(row.player.encode("utf-8", "replace")) % len(lanes)].append(row)
        return [
            _Part(rows, f"{self._state.key}-{number}", api)
            for number, (rows, api) in enumerate(zip(lanes, self._apis, strict=True))
            if rows
        ]

    def _send(self, part: _Part) -> None:
        """Send the request. Whether that went well is for `_results`."""
        body = part.body
        if len(body) >= self._too_large and len(part.rows) > 1:
            return
        headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": part.key}
        try:
            part.failure = None
            part.api.send("POST", f"/boards/{self._state.board}/scores/", body, headers)
        except Passing as failure:
            part.failure = failure

    def _results(self, part: _Part) -> list[tuple[Row, _Result]]:
        """What became of each row of `part`, which was sent. Raises `Failed`."""
        while True:
            if len(part.rows) > 1 and len(part.body) >= self._too_large:
                return self._halved(part)
            try:
                if part.failure is not None:
                    raise part.failure
                results = _checked(part.api.answer(), part)
                later = next((r.detail for r in results if r.status == 503), None)
                if later is None:
                    self._patience.succeeded()
                    return list(zip(part.rows, results, strict=True))
                # Those that were taken are not carried out again: it is the same key.
                raise Passing(f"503: {later}")
            except Passing as failure:
                self._patience.wait(failure)
            except Refused as refused:
                if refused.status == 413 and len(part.rows) > 1:
                    self._too_large = min(self._too_large, len(part.body))
                    continue
                if refused.status != 404 or not self._create:
                    raise
                self._make(part.api)
            self._send(part)

    def _halved(self, part: _Part) -> list[tuple[Row, _Result]]:
        """The same for what is too large for one request. The next time it is cut in the same
        places, so that keys and rows go together."""
        found = []
        middle = len(part.rows) // 2
        for name, some in (("a", part.rows[:middle]), ("b", part.rows[middle:])):
            half = _Part(some, part.key + name, part.api)
            self._send(half)
            found += self._results(half)
        return found

    def _make(self, api: Api) -> None:
        """Make the board, unless another request has just done so."""
        body = msgspec.json.encode({"id": self._state.board})
        try:
            api.send("POST", "/boards/", body, {"Content-Type": "application/json"})
            api.answer()
        except Passing as failure:
            if not str(failure).startswith("409"):
                self._patience.wait(failure)

    def _note(self, chunk: _Chunk, results: Sequence[tuple[Row, _Result]]) -> None:
        """The rows of `chunk` are done."""
        state = self._state
        refused = list(chunk.wrong)
        for row, result in results:
            if result.status < 300:
                state.taken += 1
                if result.status == 201:
                    state.made += 1
                elif result.changed:
                    state.changed += 1
            else:
                refused.append(row._replace(wrong=f"{result.status}: {result.detail}"))
        for row in sorted(refused):
            self._say(f"line {row.line}: {row.wrong}")
        state.refused += len(refused)
        state.offset, state.line, state.sent_at = chunk.offset, chunk.line, 0.0
        self.progress.update(state.done, chunk.offset / state.size if state.size else None)

    def _say(self, text: str) -> None:
        self.progress.clear()
        say(text)


def _checked(reply: Reply, part: _Part) -> Sequence[_Result]:
    """The results in an answer. Raises `Failed` where they are none of these rows."""
    try:
        results = _decode(reply.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        results = []
    if len(results) != len(part.rows):
        raise Failed("the answer is not one of this server's; does a proxy change it?")
    return results


@contextlib.contextmanager
def _opened(name: str) -> Iterator[IO[bytes]]:
    if name == "-":
        yield sys.stdin.buffer
        return
    try:
        file = open(name, "rb", buffering=2**20)  # noqa: SIM115 - closed below
    except OSError as error:
        raise Failed(f"{name}: {error.strerror}") from error
    with file:
        yield file


def parser() -> Parser:
    """Takes the arguments of the command apart."""
    parser = Parser("import", "BOARD FILE [--url=URL] [...]", _DESCRIPTION)
    parser.add_argument("file", metavar="FILE", help="the file; - for the standard input")
    parser.add_server(_PATIENCE)
    parser.add_argument(
        "--format",
        choices=list(rows.FORMATS),
        help="csv or ndjson; by default what FILE's name ends with",
    )
    parser.add_argument(
        "--operator",
        choices=["best", "set", "add"],
        help="what a row does that does not say it; by default what the board says",
    )
    parser.add_argument(
        "--season", type=int, metavar="N", help="the season that the scores are for, and no other"
    )
    parser.add_argument("--create", action="store_true", help="make the board if there is none")
    parser.add_argument(
        "--rows",
        type=int,
        default=_ROWS,
        metavar="N",
        help=f"rows that are under way at a time, up to {_MOST_ROWS:,} (default %(default)s)",
    )
    parser.add_argument(
        "--restart", action="store_true", help="begin anew, whatever an earlier import has done"
    )
    parser.add_argument(
        "--unsure",
        choices=["skip", "send"],
        help="what to do with the last rows of an import that was cut off a day ago or more",
    )
    return parser
