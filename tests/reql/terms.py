"""Evaluates ReQL terms, as they come over the wire, on `tables`."""

from __future__ import annotations

import itertools
import json
import math
import operator
import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from rethinkdb import ql2_pb2

from tests.reql.tables import Range, Row, Rows, Table
from tests.reql.values import (
    MAXVAL,
    MINVAL,
    ErrorType,
    ReQLError,
    failed,
    missing,
    number,
    order,
    type_name,
)

_NAMES = {value: name for name, value in vars(ql2_pb2.Term.TermType).items() if name.isupper()}

Environment = dict[int, Any]
Function = Callable[..., Any]


class FeedOf:
    """What ``changes`` evaluates to."""

    def __init__(self, table: Table) -> None:
        self.table = table


class Evaluator:
    """Evaluates terms on `databases`, which it changes."""

    def __init__(self, databases: dict[str, dict[str, Table]]) -> None:
        self.databases = databases

    def run(self, term: Any, database: str) -> Any:
        """The value of `term`: plain data, `Rows` or `FeedOf`. Raises `ReQLError`."""
        self._database = database
        value = self.value(term, {})
        return value.rows() if isinstance(value, Range) else value

    def value(self, term: Any, env: Environment) -> Any:
        if isinstance(term, dict):
            return {key: self.data(item, env) for key, item in term.items()}
        if not isinstance(term, list):
            return term
        kind = term[0]
        arguments = term[1] if len(term) > 1 else []
        options = term[2] if len(term) > 2 else {}
        method = getattr(self, f"_{_NAMES[kind].lower()}", None)
        if method is None:
            raise ReQLError(f"the test server does not know the term {_NAMES[kind]}")
        return method(env, list(arguments), options)

    def data(self, term: Any, env: Environment) -> Any:
        """The value of `term` with streams read."""
        value = self.value(term, env)
        if isinstance(value, Table):
            value = Range(value)
        if isinstance(value, Range):
            value = value.rows()
        return value.items if isinstance(value, Rows) else value

    def rows(self, term: Any, env: Environment) -> Rows:
        value = self.value(term, env)
        if isinstance(value, Table):
            value = Range(value)
        if isinstance(value, Range):
            return value.rows()
        return value if isinstance(value, Rows) else Rows(value)

    def flat(self, arguments: list[Any], env: Environment) -> Iterator[Any]:
        """The values of arguments, with those of ``r.args`` spread."""
        for argument in arguments:
            if isinstance(argument, list) and argument[0] == ql2_pb2.Term.TermType.ARGS:
                yield from self.data(argument[1][0], env)
            else:
                yield self.data(argument, env)

    def call(self, function: Any, env: Environment, *values: Any) -> Any:
        """Call a FUNC term, or take a constant for a function that ignores its arguments."""
        if isinstance(function, list) and function[0] == ql2_pb2.Term.TermType.FUNC:
            (_, names), body = function[1]
            return self.value(body, {**env, **dict(zip(names, values, strict=False))})
        return self.value(function, env)

    # Databases and tables

    def _tables(self, args: list[Any]) -> dict[str, Table]:
        """The tables of the database that `args` begin with, or else of the connection's."""
        if args and isinstance(args[0], list):
            (database,) = args.pop(0)[1]
        else:
            database = self._database
        if database not in self.databases:
            raise failed(f"Database `{database}` does not exist.")
        return self.databases[database]

    def _db_list(self, env: Environment, args: list[Any], options: Row) -> Any:
        return list(self.databases)

    def _db_create(self, env: Environment, args: list[Any], options: Row) -> Any:
        if args[0] in self.databases:
            raise failed(f"Database `{args[0]}` already exists.")
        self.databases[args[0]] = {}
        return {"dbs_created": 1}

    def _db_drop(self, env: Environment, args: list[Any], options: Row) -> Any:
        if self.databases.pop(args[0], None) is None:
            raise failed(f"Database `{args[0]}` does not exist.")
        return {"dbs_dropped": 1}

    def _table_list(self, env: Environment, args: list[Any], options: Row) -> Any:
        return list(self._tables(args))

    def _table_create(self, env: Environment, args: list[Any], options: Row) -> Any:
        tables = self._tables(args)
        if args[0] in tables:
            raise failed(f"Table `{self._database}.{args[0]}` already exists.")
        tables[args[0]] = Table(args[0])
        return {"tables_created": 1}

    def _table(self, env: Environment, args: list[Any], options: Row) -> Table:
        tables = self._tables(args)
        if args[0] not in tables:
            raise failed(f"Table `{self._database}.{args[0]}` does not exist.")
        return tables[args[0]]

    def _index_list(self, env: Environment, args: list[Any], options: Row) -> Any:
        return list(self.value(args[0], env).indexes)

    def _index_create(self, env: Environment, args: list[Any], options: Row) -> Any:
        table, name = self.value(args[0], env), args[1]
        if name in table.indexes:
            raise failed(f"Index `{name}` already exists on table `{table.name}`.")
        function = args[2] if len(args) > 2 else None

        def key_of(row: Row) -> Any:
            if function is not None:
                return self.call(function, {}, row)
            if row.get(name) is None:
                raise missing(f"No attribute `{name}` in object.")
            return row[name]

        table.indexes[name] = key_of
        return {"created": 1}

    def _index_drop(self, env: Environment, args: list[Any], options: Row) -> Any:
        table = self.value(args[0], env)
        if table.indexes.pop(args[1], None) is None:
            raise failed(f"Index `{args[1]}` was not found on table `{table.name}`.")
        return {"dropped": 1}

    def _index_status(self, env: Environment, args: list[Any], options: Row) -> Any:
        table = self.value(args[0], env)
        if args[1] not in table.indexes:
            raise failed(f"Index `{args[1]}` was not found on table `{table.name}`.")
        return [{"index": args[1], "ready": True}]

    # Selections

    def _get(self, env: Environment, args: list[Any], options: Row) -> Any:
        return self.value(args[0], env).get(self.data(args[1], env))

    def _get_all(self, env: Environment, args: list[Any], options: Row) -> Rows:
        table = self.value(args[0], env)
        found = [table.get(key) for key in self.flat(args[1:], env)]
        return Rows([row for row in found if row is not None], table)

    def _between(self, env: Environment, args: list[Any], options: Row) -> Range:
        table = self.value(args[0], env)
        lower, upper = self.data(args[1], env), self.data(args[2], env)
        index = options.get("index", "id")
        table.keyed(index)
        return Range(table, index, lower, upper, options.get("left_bound") == "open")

    def _order_by(self, env: Environment, args: list[Any], options: Row) -> Rows:
        value = self.value(args[0], env)
        value = Range(value, options["index"]) if isinstance(value, Table) else value
        if value.index != options["index"]:
            raise ReQLError("Cannot order by another index than that of `between`.")
        return value.rows()

    def _limit(self, env: Environment, args: list[Any], options: Row) -> Rows:
        rows = self.rows(args[0], env)
        return Rows(rows.items[: int(self.data(args[1], env))], rows.table)

    def _count(self, env: Environment, args: list[Any], options: Row) -> int:
        return len(self.data(args[0], env))

    def _is_empty(self, env: Environment, args: list[Any], options: Row) -> bool:
        return not self.data(args[0], env)

    def _map(self, env: Environment, args: list[Any], options: Row) -> Rows:
        items = self.rows(args[0], env).items
        return Rows([self.call(args[1], env, item) for item in items])

    def _filter(self, env: Environment, args: list[Any], options: Row) -> Rows:
        rows, kept = self.rows(args[0], env), []
        for row in rows.items:
            wanted = self.call(args[1], env, row)
            if isinstance(wanted, dict):
                wanted = all(row.get(name) == item for name, item in wanted.items())
            if wanted:
                kept.append(row)
        return Rows(kept, rows.table)

    def _pluck(self, env: Environment, args: list[Any], options: Row) -> Any:
        value = self.value(args[0], env)
        if isinstance(value, dict):
            return {name: value[name] for name in args[1:] if name in value}
        rows = self.rows(args[0], env)
        return Rows([{n: row[n] for n in args[1:] if n in row} for row in rows.items])

    def _changes(self, env: Environment, args: list[Any], options: Row) -> FeedOf:
        return FeedOf(self.value(args[0], env))

    # Writes

    def _insert(self, env: Environment, args: list[Any], options: Row) -> Any:
        table, documents = self.value(args[0], env), self.data(args[1], env)
        result = _Result(options)
        for document in documents if isinstance(documents, list) else [documents]:
            row = dict(document)
            row.setdefault("id", str(uuid.uuid4()))
            old = table.get(row["id"])
            if old is not None and options.get("conflict") == "replace":
                result.wrote(table, row["id"], old, row)
            elif old is not None:
                result.failed(f"Duplicate primary key `id`:\n{old}\n{row}", old)
            else:
                result.wrote(table, row["id"], None, row)
        return result.counts

    def _write(self, env: Environment, args: list[Any], options: Row, change: Function) -> Any:
        table, rows = self._selection(args[0], env)
        result = _Result(options)
        for key, row in rows:
            try:
                new = change(row)
                if new is not None and order(new["id"]) != order(key):
                    raise ReQLError("Primary key `id` cannot be changed.")
            except ReQLError as error:
                result.failed(str(error), row)
            else:
                result.wrote(table, key, row, new)
        return result.counts

    def _selection(self, term: Any, env: Environment) -> tuple[Table, list[tuple[Any, Any]]]:
        if isinstance(term, list) and term[0] == ql2_pb2.Term.TermType.GET:
            table, key = self.value(term[1][0], env), self.data(term[1][1], env)
            return table, [(key, table.get(key))]
        rows = self.rows(term, env)
        if rows.table is None:
            raise ReQLError("Expected type SELECTION but found STREAM.")
        return rows.table, [(row["id"], row) for row in rows.items]

    def _update(self, env: Environment, args: list[Any], options: Row) -> Any:
        def change(row: Row | None) -> Row | None:
            return None if row is None else {**row, **self.call(args[1], env, row)}

        return self._write(env, args, options, change)

    def _replace(self, env: Environment, args: list[Any], options: Row) -> Any:
        return self._write(env, args, options, lambda row: self.call(args[1], env, row))

    def _delete(self, env: Environment, args: list[Any], options: Row) -> Any:
        return self._write(env, args, options, lambda row: None)

    # Values

    def _make_array(self, env: Environment, args: list[Any], options: Row) -> list[Any]:
        return list(self.flat(args, env))

    def _var(self, env: Environment, args: list[Any], options: Row) -> Any:
        return env[args[0]]

    def _funcall(self, env: Environment, args: list[Any], options: Row) -> Any:
        return self.call(args[0], env, *(self.data(argument, env) for argument in args[1:]))

    def _branch(self, env: Environment, args: list[Any], options: Row) -> Any:
        for condition, then in zip(args[:-1:2], args[1::2], strict=True):
            if self.data(condition, env) not in (None, False):
                return self.value(then, env)
        return self.value(args[-1], env)

    def _default(self, env: Environment, args: list[Any], options: Row) -> Any:
        try:
            value = self.data(args[0], env)
        except ReQLError as error:
            if error.kind != ErrorType.NON_EXISTENCE:
                raise
            value = None
        return self.data(args[1], env) if value is None else value

    def _bracket(self, env: Environment, args: list[Any], options: Row) -> Any:
        value, name = self.data(args[0], env), self.data(args[1], env)
        if value is None:
            raise missing("Cannot perform bracket on a non-object non-sequence `null`.")
        if not isinstance(value, dict):
            raise ReQLError(f"Expected type OBJECT but found {type_name(value)}.")
        if name not in value:
            raise missing(f"No attribute `{name}` in object.")
        return value[name]

    def _keys(self, env: Environment, args: list[Any], options: Row) -> Any:
        return sorted(self.data(args[0], env))

    def _nth(self, env: Environment, args: list[Any], options: Row) -> Any:
        items, place = self.data(args[0], env), int(self.data(args[1], env))
        if place >= len(items):
            raise missing(f"Index out of bounds: {place}")
        return items[place]

    def _coerce_to(self, env: Environment, args: list[Any], options: Row) -> Any:
        value, kind = self.data(args[0], env), args[1]
        if kind == "string":
            return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
        if kind == "array" and isinstance(value, list):
            return value
        raise ReQLError(f"Cannot coerce {type_name(value)} to {kind.upper()}.")

    def _type_of(self, env: Environment, args: list[Any], options: Row) -> str:
        return type_name(self.data(args[0], env))

    def _split(self, env: Environment, args: list[Any], options: Row) -> list[str]:
        text, separator, splits = self.flat(args, env)
        return list(text.split(separator, int(splits)))

    def _match(self, env: Environment, args: list[Any], options: Row) -> Any:
        text, pattern = self.flat(args, env)
        found = re.search(pattern, text)
        return None if found is None else {"str": found.group()}

    def _minval(self, env: Environment, args: list[Any], options: Row) -> Any:
        return MINVAL

    def _maxval(self, env: Environment, args: list[Any], options: Row) -> Any:
        return MAXVAL

    # Numbers and comparisons

    def _add(self, env: Environment, args: list[Any], options: Row) -> float:
        total, *rest = map(number, self.flat(args, env))
        for item in rest:
            total += item
        return total

    def _sub(self, env: Environment, args: list[Any], options: Row) -> float:
        total, *rest = map(number, self.flat(args, env))
        for item in rest:
            total -= item
        return total

    def _floor(self, env: Environment, args: list[Any], options: Row) -> float:
        return float(math.floor(number(self.data(args[0], env))))

    def _compare(self, env: Environment, args: list[Any], holds: Function) -> bool:
        keys = [order(value) for value in self.flat(args, env)]
        return all(holds(a, b) for a, b in itertools.pairwise(keys))

    def _eq(self, env: Environment, args: list[Any], options: Row) -> bool:
        return self._compare(env, args, operator.eq)

    def _ne(self, env: Environment, args: list[Any], options: Row) -> bool:
        return not self._compare(env, args, operator.eq)

    def _ge(self, env: Environment, args: list[Any], options: Row) -> bool:
        return self._compare(env, args, operator.ge)

    def _le(self, env: Environment, args: list[Any], options: Row) -> bool:
        return self._compare(env, args, operator.le)

    def _and(self, env: Environment, args: list[Any], options: Row) -> Any:
        return all(self.data(argument, env) not in (None, False) for argument in args)

    def _or(self, env: Environment, args: list[Any], options: Row) -> Any:
        return any(self.data(argument, env) not in (None, False) for argument in args)

    def _not(self, env: Environment, args: list[Any], options: Row) -> bool:
        return self.data(args[0], env) in (None, False)


class _Result:
    """What a write answers."""

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
