"""Players as lines of a file: NDJSON, or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Sequence
from typing import Protocol

import msgspec
import ujson

from tornado_board.models import Number, Player, RankedPlayer, shown_player


class Format(Protocol):
    """One kind of file."""

    #: The ``Content-Type``, and how a file's name ends.
    content_type: str
    suffix: str

    def begin(self) -> bytes:
        """What stands before the first player."""

    def lines(self, players: Sequence[RankedPlayer]) -> bytes:
        """A line for each of `players`."""


class NDJSONFormat:
    """A JSON object a line, with the fields that lists of players have."""

    content_type = "application/x-ndjson; charset=utf-8"
    suffix = "ndjson"

    def __init__(self, fields: Collection[str]) -> None:
        self._fields = fields
        self._encode = msgspec.json.Encoder().encode_lines

    def begin(self) -> bytes:
        return b""

    def lines(self, players: Sequence[RankedPlayer]) -> bytes:
        return self._encode([shown_player(player, self._fields) for player in players])


class CSVFormat:
    """RFC 4180: a header, and a record a player; `meta` is JSON."""

    content_type = "text/csv; charset=utf-8; header=present"
    suffix = "csv"

    def __init__(self, fields: Collection[str]) -> None:
        self._columns = ("id", "name", "score", "rank", *fields)

    def begin(self) -> bytes:
        return (",".join(self._columns) + "\r\n").encode()

    def lines(self, players: Sequence[RankedPlayer]) -> bytes:
        text = io.StringIO()
        records = ((player.id, player.name, player.score, player.rank) for player in players)
        if "meta" in self._columns:
            metas = (ujson.dumps(player.meta, ensure_ascii=False) for player in players)
            csv.writer(text).writerows(
                (*record, meta) for record, meta in zip(records, metas, strict=True)
            )
        else:
            csv.writer(text).writerows(records)
        return text.getvalue().encode()


class Ranking:
    """Gives players their ranks as they come, best first: 1, 2, 2, 4."""

    def __init__(self) -> None:
        self._count = self._rank = 0
        self._score: Number | None = None

    def ranked(self, players: Sequence[Player]) -> list[RankedPlayer]:
        """`players`, who come next."""
        found = []
        for player in players:
            self._count += 1
            if player.score != self._score:
                self._rank, self._score = self._count, player.score
            found.append(RankedPlayer.of(player, self._rank))
        return found
