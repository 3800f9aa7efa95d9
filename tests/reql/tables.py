"""Databases of tables with indexes and feeds, in memory."""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any

from tests.reql.values import MAXVAL, MINVAL, ReQLError, failed, order, stored

Row = dict[str, Any]
KeyOf = Callable[[Row], Any]


class Feed:
    """A changefeed: takes rows until somebody takes them."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self.rows: list[Row] = []
        self.aborted = False
        self._wake = wake

    def abort(self) -> None:
        """The table can't be followed any more."""
        self.aborted = True
        self._wake()

    def put(self, row: Row) -> None:
        self.rows.append(row)
        self._wake()


class Table:
    """Rows by primary key, secondary indexes, and the feeds that watch."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.uuid = str(uuid.uuid4())
        self.rows: dict[str, Row] = {}
        self.indexes: dict[str, KeyOf] = {}
        #: The keys of rows in the indexes, with the row that each was made of.
        self._keys: dict[tuple[str, str], tuple[Row, Any]] = {}
        self.feeds: list[Feed] = []

    @staticmethod
    def _slot(key: Any) -> str:
        if isinstance(key, str) and len(key.encode()) > 127:
            raise ReQLError(f"Primary key too long (max 127 characters): {key}")
        return json.dumps(stored(key), sort_keys=True)

    def get(self, key: Any) -> Row | None:
        return copy.deepcopy(self.rows.get(self._slot(key)))

    def set(self, key: Any, new: Row | None) -> None:
        """Store `new` under `key` (``None`` deletes), and tell the feeds."""
        slot = self._slot(key)
        old = self.rows.get(slot)
        if new == old:
            return
        if new is None:
            del self.rows[slot]
        else:
            self.rows[slot] = copy.deepcopy(new)
        for feed in self.feeds:
            feed.put({"old_val": old, "new_val": copy.deepcopy(new)})

    def keyed(self, index: str) -> list[tuple[Any, Row]]:
        """The rows that are in `index` with their keys, in order. They are not copies."""
        indexes: dict[str, KeyOf] = {"id": itemgetter("id"), **self.indexes}
        key_of = indexes.get(index)
        if key_of is None:
            raise failed(f"Index `{index}` was not found on table `test.{self.name}`.")
        found = []
        for slot, row in self.rows.items():
            made_of, key = self._keys.get((index, slot), (None, None))
            if made_of is not row:
                try:
                    key = key_of(copy.deepcopy(row))
                except ReQLError:
                    continue  # a row whose key can't be computed is not in the index
                self._keys[index, slot] = row, key
            found.append((key, row))
        return sorted(found, key=lambda pair: (order(pair[0]), order(pair[1]["id"])))

    def forget(self, index: str) -> None:
        """There is no such index any more."""
        for slot in self.rows:
            self._keys.pop((index, slot), None)


class Rows:
    """A selection: rows of a table, or a stream of other values where `table` is ``None``."""

    def __init__(self, items: Iterable[Any], table: Table | None = None) -> None:
        self.items = list(items)
        self.table = table


class Range:
    """The rows of a table between two keys of an index; not read yet."""

    def __init__(
        self,
        table: Table,
        index: str = "id",
        lower: Any = MINVAL,
        upper: Any = MAXVAL,
        lower_open: bool = False,
    ) -> None:
        self.table, self.index = table, index
        self.lower, self.upper, self.lower_open = order(lower), order(upper), lower_open

    def rows(self, backwards: bool = False) -> Rows:
        found = []
        for key, row in self.table.keyed(self.index):
            place = order(key)
            above = place > self.lower if self.lower_open else place >= self.lower
            if above and place < self.upper:
                found.append(copy.deepcopy(row))
        return Rows(reversed(found) if backwards else found, self.table)


def plucked(row: Row, fields: list[Any]) -> Row:
    """The `fields` of `row`: names, and objects of a name and the fields wanted of what it names,
    or of each element of that."""
    found: Row = {}
    for field in fields:
        if isinstance(field, dict):
            for name, inner in field.items():
                wanted = inner[1] if isinstance(inner, list) else [inner]  # an array's term
                value = row.get(name)
                if isinstance(value, dict):
                    found[name] = plucked(value, wanted)
                elif isinstance(value, list) and all(isinstance(one, dict) for one in value):
                    found[name] = [plucked(element, wanted) for element in value]
        elif field in row:
            found[field] = row[field]
    return found
