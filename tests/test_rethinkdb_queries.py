"""What holds of each query that is built beforehand."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from rethinkdb.ast import ql2_pb2

import tornado_board.store.rethinkdb
from tornado_board.store.rethinkdb.address import r
from tornado_board.store.rethinkdb.queries import prepared

_TERM = ql2_pb2.Term.TermType
_WRITES = {_TERM.REPLACE, _TERM.UPDATE, _TERM.DELETE}


def _prepared(name: str, value: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    """The queries that `value` is or has, with their names."""
    if getattr(value, "__qualname__", "") == "prepared.<locals>.build":
        yield name, value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _prepared(f"{name}[{key}]", one)


def _all() -> dict[str, Callable[[], Any]]:
    package = tornado_board.store.rethinkdb
    modules = [module.name for module in pkgutil.iter_modules(package.__path__)]
    found: dict[str, Callable[[], Any]] = {}
    for module in modules:
        names = vars(importlib.import_module(f"{package.__name__}.{module}"))
        for name, value in names.items():
            found.update((f"{module}.{one}", query) for one, query in _prepared(name, value))
    return found


_QUERIES = _all()


def _reads(term: Any) -> Iterator[str]:
    """The reads of one document in `term`, as often as they are in there."""
    if isinstance(term, dict):
        for one in term.values():
            yield from _reads(one)
    if not isinstance(term, list):
        return
    code, arguments, options = term[0], term[1] if len(term) > 1 else [], term[2:]
    if code == _TERM.GET:
        yield json.dumps(term)
    elif code in _WRITES and arguments[0][0] == _TERM.GET:
        arguments = [*arguments[0][1], *arguments[1:]]  # what is written to
    for one in (*arguments, *options):
        yield from _reads(one)


def _read_again(query: Callable[[], Any]) -> set[str]:
    term = json.loads(bytes(query().build()))
    return {read for read, count in Counter(_reads(term)).items() if count > 1}


@pytest.mark.parametrize("name", _QUERIES)
def test_a_document_is_read_once(name: str) -> None:
    """The server reads it anew wherever a query has it. It may be gone by the second time, and a
    query that has found it fails then."""
    assert not _read_again(_QUERIES[name])


def test_a_document_that_is_read_twice_is_found() -> None:
    def twice(p: Any) -> Any:
        board = r.table("boards").get(p["board"])
        return r.branch(board.eq(None), None, board["name"])

    def once(p: Any) -> Any:
        found = r.table("boards").get(p["board"])
        written = r.table("boards").get(p["board"]).replace(lambda board: board.merge({"a": 1}))
        return [found, written]

    assert _read_again(prepared(twice))
    assert not _read_again(prepared(once))
    assert len(_QUERIES) > 40
