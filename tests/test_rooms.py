"""Who may import whom: a room of the package knows the rooms before it on the way of a change, and
none behind it."""

from __future__ import annotations

import ast
import enum
import importlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

PACKAGE = Path(__file__).parents[1] / "tornado_board"

#: Tools that know nothing of boards; every room may use them.
TOOLS = {"backoff", "log_once", "tasks"}

#: Modules that are rooms of their own, since other rooms know them and not the rest of theirs.
APART: dict[tuple[str, ...], str] = {("cluster", "keys"): "keys"}

#: Each room, and the rooms that it may import. A new room is a line.
ROOMS: dict[str, set[str]] = {
    "backoff": set(),
    "log_once": set(),
    "tasks": set(),
    "metrics": set(),
    "models": set(),
    "inputs": {"models"},
    "keys": set(),
    "setting_checks": set(),
    "setting_fields": set(),
    "settings": {"setting_fields"},
    "checked_settings": {"keys", "setting_checks", "settings"},
    "sqlite": set(),
    "processes": set(),
    "listening": {"processes", "settings"},
    "command_line": {"checked_settings", "setting_checks", "settings"},
    "store": {"models", "inputs", "settings", "sqlite"},
    "replay": {"keys", "settings", "sqlite"},
    "cluster": {"keys", "settings", "replay"},
    "ranking": {"models", "replay", "cluster"},
    "realtime": {"metrics", "models", "settings", "store", "replay", "cluster", "ranking"},
    "auth": {"keys", "replay", "settings"},
    "upstream": {"metrics", "models", "store", "replay", "realtime"},
    "web": {
        *("metrics", "models", "inputs", "settings", "store", "replay", "realtime", "auth"),
        "upstream",
    },
    "metrics_port": {"listening", "web"},
    "observed": {"cluster", "metrics", "realtime", "web"},
    # For other programs: it knows nothing of the server.
    "client": set(),
    "cli": {"auth", "command_line", "models", "settings"},
    "serving": {"replay", "web"},
    # Opens everything of a server without a store.
    "edge": {
        *("listening", "metrics", "metrics_port", "observed", "serving", "settings"),
        *("replay", "realtime", "auth", "upstream", "web"),
    },
    # Opens everything.
    "server": {
        *("cli", "command_line", "edge", "listening", "metrics", "metrics_port", "observed"),
        *("processes", "serving", "settings"),
        *("store", "replay", "cluster", "realtime", "auth", "web"),
    },
    "__main__": {"server"},
}

#: Rooms and modules that compute and do nothing else.
PURE = (
    *("models.py", "inputs.py", "cluster/keys.py", "ranking"),
    *("auth/board_patterns.py", "auth/claims.py", "auth/policy.py", "auth/rates.py"),
    *("upstream/address.py", "upstream/board_copy.py", "upstream/event_stream.py"),
    *("upstream/grouping.py", "upstream/hops.py", "web/edge/fields.py"),
)

#: What computing does not need: I/O, clocks, tasks, chance.
IMPURE = {
    *("asyncio", "logging", "os", "random", "socket", "sqlite3", "ssl", "threading", "time"),
    *("redis", "rethinkdb", "tornado"),
}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """The full names of what a module imports, those only for its types and inside of functions
    too."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(*names: str) -> str:
    return APART.get(names[:2], names[0])


def room(path: Path) -> str:
    return room_of(*path.relative_to(PACKAGE).with_suffix("").parts)


def rooms_of(path: Path) -> set[str]:
    """The other rooms that a module imports from."""
    parts = [name.split(".") for name in imported(path)]
    found = {room_of(*part[1:]) for part in parts if part[0] == PACKAGE.name and len(part) > 1}
    return {name for name in found if not name.startswith("__")} - {room(path)}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_the_rooms_before_its_own(path: Path) -> None:
    if path == PACKAGE / "__init__.py":
        assert list(imported(path)) == []
    else:
        assert rooms_of(path) <= ROOMS[room(path)] | TOOLS


def test_no_two_rooms_know_each_other() -> None:
    for name, others in ROOMS.items():
        for other in others:
            assert name not in ROOMS[other], f"{name} and {other}"


def test_what_a_room_may_import_it_does_import() -> None:
    """So that this list tells how the house is built, and not how it might be."""
    used: dict[str, set[str]] = {name: set() for name in ROOMS}
    for path in modules():
        if path != PACKAGE / "__init__.py":
            used[room(path)] |= rooms_of(path)
    assert {name: found - TOOLS for name, found in used.items()} == ROOMS


@pytest.mark.parametrize("name", ["ranking", "realtime"])
def test_who_works_on_boards_knows_data_and_protocols_of_the_rooms_before(name: str) -> None:
    """Which store, log or bus there is only the composition root knows; `ranking` calls none."""
    data = (msgspec.Struct, enum.Enum, tuple, Exception)
    for path in (PACKAGE / name).rglob("*.py"):
        for full in imported(path):
            parts = full.split(".")
            if parts[0] == PACKAGE.name and room_of(*parts[1:]) in {"store", "replay", "cluster"}:
                found = getattr(importlib.import_module(".".join(parts[:-1])), parts[-1])
                is_protocol = name != "ranking" and getattr(found, "_is_protocol", False)
                kind = found if isinstance(found, type) else type(found)
                assert is_protocol or issubclass(kind, data), f"{path.name} imports {full}"


@pytest.mark.parametrize("part", PURE)
def test_what_computes_does_nothing_else(part: str) -> None:
    found = PACKAGE / part
    for path in [found] if found.suffix else found.rglob("*.py"):
        names = {name.split(".")[0] for name in imported(path)}
        assert not names & IMPURE, path
