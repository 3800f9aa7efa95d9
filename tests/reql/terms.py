"""Evaluates ReQL terms, as they come over the wire, on `tables`."""

from __future__ import annotations

import functools
import itertools
import json
import math
import operator
import re
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from rethinkdb import ql2_pb2

from tests.reql.administration import Administration, Environment
from tests.reql.results import Result
from tests.reql.tables import Range, Row, Rows, Table, plucked
from tests.reql.values import (
    MAXVAL,
    MINVAL,
    ErrorType,
    ReQLError,
    merged,
    missing,
    number,
    order,
    stored,
    type_name,
)

_NAMES = {value: name for name, value in vars(ql2_pb2.Term.TermType).items() if name.isupper()}

Function = Callable[..., Any]


class FeedOf:
    """What ``changes`` evaluates to."""

    def __init__(self, table: Table) -> None:
        self.table = table


class Evaluator(Administration):
    """Evaluates terms on `databases`, which it changes."""

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
        index, backwards = options["index"], False
        if isinstance(index, list):
            index, backwards = index[1][0], index[0] == ql2_pb2.Term.TermType.DESC
        value = Range(value, index) if isinstance(value, Table) else value
        if value.index != index:
            raise ReQLError("Cannot order by another index than that of `between`.")
        return value.rows(backwards)

    def _skip(self, env: Environment, args: list[Any], options: Row) -> Rows:
        rows = self.rows(args[0], env)
        return Rows(rows.items[int(self.data(args[1], env)) :], rows.table)

    def _contains(self, env: Environment, args: list[Any], options: Row) -> bool:
        wanted = order(self.data(args[1], env))
        return any(order(item) == wanted for item in self.data(args[0], env))

    def _set_union(self, env: Environment, args: list[Any], options: Row) -> list[Any]:
        found = list(self.data(args[0], env))
        return found + [item for item in self.data(args[1], env) if item not in found]

    def _difference(self, env: Environment, args: list[Any], options: Row) -> list[Any]:
        taken = self.data(args[1], env)
        return [item for item in self.data(args[0], env) if item not in taken]

    def _has_fields(self, env: Environment, args: list[Any], options: Row) -> bool:
        value = self.data(args[0], env)
        if not isinstance(value, dict):
            raise ReQLError(f"Cannot perform has_fields on a non-object `{value}`.")
        return all(value.get(name) is not None for name in args[1:])

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
            try:
                wanted = self.call(args[1], env, row)
            except ReQLError as error:
                if error.kind != ErrorType.NON_EXISTENCE:
                    raise
                continue  # as with the option `default` left as it is
            if isinstance(wanted, dict):
                wanted = all(row.get(name) == item for name, item in wanted.items())
            if wanted:
                kept.append(row)
        return Rows(kept, rows.table)

    def _pluck(self, env: Environment, args: list[Any], options: Row) -> Any:
        value = self.value(args[0], env)
        if isinstance(value, dict):
            return plucked(value, args[1:])
        rows = self.rows(args[0], env)
        return Rows([plucked(row, args[1:]) for row in rows.items])

    def _changes(self, env: Environment, args: list[Any], options: Row) -> FeedOf:
        return FeedOf(self.value(args[0], env))

    # Writes

    def _insert(self, env: Environment, args: list[Any], options: Row) -> Any:
        table, documents = self.value(args[0], env), self.data(args[1], env)
        result = Result(options)
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
        result = Result(options)
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
            return None if row is None else merged(row, self.call(args[1], env, row))

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

    def _append(self, env: Environment, args: list[Any], options: Row) -> Any:
        return [*self.data(args[0], env), self.data(args[1], env)]

    def _prepend(self, env: Environment, args: list[Any], options: Row) -> Any:
        return [self.data(args[1], env), *self.data(args[0], env)]

    def _merge(self, env: Environment, args: list[Any], options: Row) -> Any:
        return functools.reduce(merged, [self.data(argument, env) for argument in args])

    def _without(self, env: Environment, args: list[Any], options: Row) -> Any:
        return {name: item for name, item in self.data(args[0], env).items() if name not in args}

    def _json(self, env: Environment, args: list[Any], options: Row) -> Any:
        return json.loads(args[0])

    def _to_json_string(self, env: Environment, args: list[Any], options: Row) -> str:
        value = stored(self.data(args[0], env))
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    def _now(self, env: Environment, args: list[Any], options: Row) -> Any:
        return time.time()

    def _to_epoch_time(self, env: Environment, args: list[Any], options: Row) -> Any:
        return self.data(args[0], env)

    def _keys(self, env: Environment, args: list[Any], options: Row) -> Any:
        return sorted(self.data(args[0], env))

    def _nth(self, env: Environment, args: list[Any], options: Row) -> Any:
        items, place = self.data(args[0], env), int(self.data(args[1], env))
        if not -len(items) <= place < len(items):
            raise missing(f"Index out of bounds: {place}")
        return items[place]

    def _coerce_to(self, env: Environment, args: list[Any], options: Row) -> Any:
        value, kind = self.data(args[0], env), args[1]
        if kind == "binary":
            return value.encode()
        if kind == "string":
            return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
        if kind == "array" and isinstance(value, list):
            return value
        if kind == "object" and isinstance(value, list):
            return dict(value)
        raise ReQLError(f"Cannot coerce {type_name(value)} to {kind.upper()}.")

    def _type_of(self, env: Environment, args: list[Any], options: Row) -> str:
        return type_name(self.data(args[0], env))

    def _split(self, env: Environment, args: list[Any], options: Row) -> list[str]:
        text, separator, splits = self.flat(args, env)
        return list(text.split(separator, int(splits)))

    def _match(self, env: Environment, args: list[Any], options: Row) -> Any:
        text, pattern = self.flat(args, env)
        found = re.search(pattern.replace("$", r"\Z"), text)  # as RE2 has it
        return None if found is None else {"str": found.group()}

    def _minval(self, env: Environment, args: list[Any], options: Row) -> Any:
        return MINVAL

    def _maxval(self, env: Environment, args: list[Any], options: Row) -> Any:
        return MAXVAL

    # Numbers and comparisons

    def _add(self, env: Environment, args: list[Any], options: Row) -> Any:
        values = list(self.flat(args, env))
        if isinstance(values[0], list):
            return [item for value in values for item in value]
        if isinstance(values[0], str):
            return "".join(values)
        total, *rest = map(number, values)
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

    def _gt(self, env: Environment, args: list[Any], options: Row) -> bool:
        return self._compare(env, args, operator.gt)

    def _ge(self, env: Environment, args: list[Any], options: Row) -> bool:
        return self._compare(env, args, operator.ge)

    def _lt(self, env: Environment, args: list[Any], options: Row) -> bool:
        return self._compare(env, args, operator.lt)

    def _le(self, env: Environment, args: list[Any], options: Row) -> bool:
        return self._compare(env, args, operator.le)

    def _and(self, env: Environment, args: list[Any], options: Row) -> Any:
        return all(self.data(argument, env) not in (None, False) for argument in args)

    def _or(self, env: Environment, args: list[Any], options: Row) -> Any:
        return any(self.data(argument, env) not in (None, False) for argument in args)

    def _not(self, env: Environment, args: list[Any], options: Row) -> bool:
        return self.data(args[0], env) in (None, False)
