"""The bytes of HTTP answers and event streams, read strictly: anything unforeseen is an error.

Pure parsers: bytes go in, whatever is complete comes out. The rules are those of the HTML Living
Standard, section 9.2 ("Server-sent events"), and RFC 9112, section 7.1 (chunks).
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from typing import Any


class WireError(ValueError):
    """Bytes that this server never sends. `str(error)` says which."""


@dataclass(slots=True)
class Head:
    """Status and header of an answer; names are in small letters."""

    status: int
    fields: dict[str, str]

    @property
    def chunked(self) -> bool:
        return self.fields.get("transfer-encoding", "") == "chunked"


async def read_head(reader: asyncio.StreamReader) -> Head:
    """The head of the next answer. Raises `EOFError` at the end, `WireError` for anything else."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
    match = re.fullmatch(r"HTTP/1\.1 (\d{3}) .*", lines[0])
    if match is None:
        raise WireError(f"status line {lines[0]!r}")
    fields: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(": ")
        if not colon:
            raise WireError(f"header line {line!r}")
        fields[name.lower()] = value
    return Head(int(match[1]), fields)


async def read_json(reader: asyncio.StreamReader, head: Head) -> Any:
    """The body of an answer that has a length, as JSON."""
    if "content-length" not in head.fields:
        raise WireError("an answer without a length")
    body = await reader.readexactly(int(head.fields["content-length"]))
    try:
        return json.loads(body) if body else None
    except ValueError:
        raise WireError(f"no JSON: {body[:200]!r}") from None


class Chunks:
    """Takes the chunked transfer coding off; `ended` once the last chunk has come."""

    def __init__(self) -> None:
        self._buffer = b""
        self._left = 0  # of the present chunk, with its line end
        self.ended = False

    def feed(self, data: bytes) -> bytes:
        self._buffer += data
        out = bytearray()
        while self._buffer:
            if self._left > 2:
                part = self._buffer[: self._left - 2]
                out += part
                self._buffer = self._buffer[len(part) :]
                self._left -= len(part)
            elif self._left:
                if len(self._buffer) < 2:
                    break
                if self._buffer[:2] != b"\r\n":
                    raise WireError("a chunk that is longer than it says")
                self._buffer = self._buffer[2:]
                self._left = 0
            else:
                line, end, rest = self._buffer.partition(b"\r\n")
                if not end:
                    break
                if self.ended or re.fullmatch(rb"[0-9A-Fa-f]{1,8}", line) is None:
                    raise WireError(f"chunk size {line[:20]!r}")
                size = int(line, 16)
                self._buffer = rest
                self.ended = size == 0
                self._left = 2 if self.ended else size + 2
        return bytes(out)


@dataclass(slots=True)
class Dispatched:
    """An event as an EventSource would dispatch it; `id` is ``None`` if its block had none."""

    event: str
    data: str
    id: str | None


class Events:
    """Splits a stream into events; comments and ``retry:`` are passed over."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[Dispatched]:
        *blocks, self._buffer = (self._buffer + data).split(b"\n\n")
        return [event for event in map(self._block, blocks) if event is not None]

    @staticmethod
    def _block(block: bytes) -> Dispatched | None:
        fields: dict[str, str] = {}
        for line in block.decode().split("\n"):
            if line.startswith(":"):
                continue
            name, colon, value = line.partition(":")
            if not colon or name not in ("event", "data", "id", "retry"):
                raise WireError(f"line {line[:80]!r}")
            if name in fields:
                raise WireError(f"{name!r} twice in {block[:200]!r}")
            fields[name] = value.removeprefix(" ")
        fields.pop("retry", None)
        if not fields:
            return None
        if "event" not in fields or "data" not in fields:
            raise WireError(f"a block that is no event: {block[:200]!r}")
        return Dispatched(fields["event"], fields["data"], fields.get("id"))
