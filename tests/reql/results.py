"""What a write answers."""

from __future__ import annotations

from typing import Any

from tests.reql.tables import Row, Table


class Result:
    """Writes, and counts what became of each document."""

    def __init__(self, options: Row) -> None:
        self._changes = options.get("return_changes", False)
        self.counts: dict[str, Any] = dict.fromkeys(
            ("deleted", "errors", "inserted", "replaced", "skipped", "unchanged"), 0
        )

    def wrote(self, table: Table, key: Any, old: Row | None, new: Row | None) -> None:
        table.set(key, new)
        new = table.get(key)
        if old is None and new is None:
            kind = "skipped"
        elif old is None:
            kind = "inserted"
        elif new is None:
            kind = "deleted"
        else:
            kind = "unchanged" if old == new else "replaced"
        self.counts[kind] += 1
        if self._changes == "always" or (self._changes and old != new):
            self.counts.setdefault("changes", []).append({"old_val": old, "new_val": new})

    def failed(self, message: str, old: Row | None) -> None:
        self.counts["errors"] += 1
        self.counts.setdefault("first_error", message)
        if self._changes == "always":
            self.counts.setdefault("changes", []).append(
                {"error": message, "old_val": old, "new_val": old}
            )
