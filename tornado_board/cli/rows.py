"""The rows of a file of scores, CSV or NDJSON, each as the JSON that a server takes."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from typing import IO, Any, NamedTuple

import msgspec

from tornado_board.cli.failure import Failed

#: The longest line, in bytes; a server takes submissions of a quarter of it.
LONGEST_LINE = 65_536

#: What a column of a CSV file may be called; the last ones are what an export has besides.
_NEEDED = ("id", "score")
_OPTIONAL = ("name", "meta", "operator")
_IGNORED = ("rank",)

_DELIMITERS = ",;\t"

#: A number, spelled as in JSON, and its most characters.
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
_LONGEST_NUMBER = 40

_MARK = b"\xef\xbb\xbf"  # of UTF-8, which some programs write first

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Row(NamedTuple):
    """A row of the file."""

    #: Of its first line, from 1.
    line: int
    #: A JSON object without line breaks, to be judged by the server; empty if it is `wrong`.
    text: bytes
    #: The id of the player; empty where that can't be told.
    player: str = ""
    #: Why it can't be sent.
    wrong: str = ""


class _Identified(msgspec.Struct, gc=False):
    id: str = ""


class _Submission(msgspec.Struct, omit_defaults=True):
    id: str
    score: int | float
    name: str | msgspec.UnsetType = msgspec.UNSET
    operator: str | msgspec.UnsetType = msgspec.UNSET
    meta: Any = msgspec.UNSET
    season: int | msgspec.UnsetType = msgspec.UNSET


class Rows:
    """Reads the rows of `file` one after the other, from its current position.

    `offset` and `line` are where the next row begins: bytes from there, and lines read.
    """

    def __init__(self, file: IO[bytes], operator: str = "", season: int = 0) -> None:
        """`operator`, and `season` unless it is 0, are those of rows which name none."""
        self._file = file
        self._operator = operator
        self._season = season
        self.offset = 0
        self.line = 0

    def begin(self) -> None:
        """Read what stands before the rows: to be called once, at the file's beginning."""

    def go_to(self, offset: int, line: int) -> None:
        """Go on from there. The file has to be one that can be read again."""
        self._file.seek(offset)
        self.offset, self.line = offset, line

    def __iter__(self) -> Iterator[Row]:
        raise NotImplementedError

    def _lines(self) -> Iterator[bytes]:
        """Lines, with their ends. Raises `Failed`."""
        try:
            while line := self._file.readline(LONGEST_LINE + 1):
                if not self.offset and line.startswith(_MARK):
                    self.offset, line = len(_MARK), line[len(_MARK) :]
                if len(line) > LONGEST_LINE:
                    raise Failed(
                        f"line {self.line + 1} is longer than {LONGEST_LINE:,} bytes; is it a file"
                        " of scores?"
                    )
                self.offset += len(line)
                self.line += 1
                yield line
        except OSError as error:
            raise Failed(f"the file can't be read: {error.strerror or error}") from error


class NDJSONRows(Rows):
    """A JSON object a line; blank lines are passed over."""

    def __iter__(self) -> Iterator[Row]:
        for line in self._lines():
            text = line.strip(b" \t\r\n")
            if not text:
                continue
            if self._operator or self._season or b'"rank"' in text:
                text = self._completed(text)
            yield Row(self.line, text, _id_in(text))

    def _completed(self, text: bytes) -> bytes:
        try:
            found = _decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return text  # the server says what is wrong with it
        if not isinstance(found, dict):
            return text
        for name in _IGNORED:
            found.pop(name, None)
        if self._operator:
            found.setdefault("operator", self._operator)
        if self._season:
            found.setdefault("season", self._season)
        return _encode(found)


class CSVRows(Rows):
    """RFC 4180, with a header that names the columns; semicolons and tabs will do, too."""

    def __init__(self, file: IO[bytes], operator: str = "", season: int = 0) -> None:
        super().__init__(file, operator, season)
        self._columns: Sequence[str] = ()
        self._delimiter = ","

    def begin(self) -> None:
        first = next(self._texts(), "")
        for delimiter in _DELIMITERS:
            columns = next(csv.reader([first], delimiter=delimiter), [])
            columns = [name.strip().lower() for name in columns]
            if set(_NEEDED) <= set(columns):
                self._columns, self._delimiter = columns, delimiter
                break
        else:
            raise Failed("line 1: expected a header with the columns id and score")
        unknown = set(columns) - {*_NEEDED, *_OPTIONAL, *_IGNORED}
        if unknown or len(set(columns)) < len(columns):
            raise Failed(
                f"line 1: expected the columns {', '.join((*_NEEDED, *_OPTIONAL))}, each once;"
                f" found {', '.join(columns)}"[:300]
            )

    def __iter__(self) -> Iterator[Row]:
        reader = csv.reader(self._texts(), delimiter=self._delimiter, strict=True)
        while True:
            line = self.line + 1
            try:
                record = next(reader)
            except StopIteration:
                return
            except (csv.Error, UnicodeDecodeError) as error:
                reason = str(error) if isinstance(error, csv.Error) else "is not UTF-8"
                yield Row(line, b"", wrong=reason)
                if isinstance(error, UnicodeDecodeError):  # the lines end with it
                    reader = csv.reader(self._texts(), delimiter=self._delimiter, strict=True)
                continue
            if not record:
                continue
            try:
                submission = self._submission(record)
                yield Row(line, _encoded(submission), submission.id)
            except ValueError as error:
                yield Row(line, b"", wrong=str(error))

    def _texts(self) -> Iterator[str]:
        for line in self._lines():
            yield line.decode()

    def _submission(self, record: Sequence[str]) -> _Submission:
        """What a record says. Raises `ValueError`."""
        if len(record) != len(self._columns):
            raise ValueError(f"has {len(record)} columns; the header has {len(self._columns)}")
        found = dict(zip(self._columns, record, strict=True))
        submission = _Submission(found["id"], _number(found["score"]))
        if name := found.get("name"):
            submission.name = name
        if operator := found.get("operator") or self._operator:
            submission.operator = operator
        if self._season:
            submission.season = self._season
        if meta := found.get("meta"):
            try:
                submission.meta = _decode(meta)
            except (msgspec.DecodeError, RecursionError, UnicodeError):
                raise ValueError("meta: is not JSON") from None
        return submission


def _encoded(submission: _Submission) -> bytes:
    try:
        return _encode(submission)
    except UnicodeEncodeError:
        raise ValueError("has characters that are none") from None
    except OverflowError:
        raise ValueError("score: is out of range") from None


def _id_in(text: bytes) -> str:
    try:
        return _identified(text).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def _number(text: str) -> int | float:
    text = text.strip()
    if len(text) > _LONGEST_NUMBER or not (match := _NUMBER.fullmatch(text)):
        raise ValueError("score: is not a number")
    return float(text) if match[2] or match[3] else int(text)


_identified = msgspec.json.Decoder(_Identified).decode

FORMATS: dict[str, type[Rows]] = {"csv": CSVRows, "ndjson": NDJSONRows}

#: Which format a file's name stands for, by what it ends with.
_SUFFIXES = {".csv": "csv", ".tsv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson"}


def format_of(name: str) -> str | None:
    """The format that a file called `name` has."""
    return next((kind for end, kind in _SUFFIXES.items() if name.lower().endswith(end)), None)
