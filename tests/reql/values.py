"""ReQL's values: their types, their order, and what goes wrong with them."""

from __future__ import annotations

from typing import Any

from rethinkdb import ql2_pb2

ErrorType = ql2_pb2.Response.ErrorType


class ReQLError(Exception):
    """A query fails: `kind` is one of the protocol's error types."""

    def __init__(self, message: str, kind: int = ErrorType.QUERY_LOGIC) -> None:
        super().__init__(message)
        self.kind = kind


def missing(message: str) -> ReQLError:
    """What ``default`` catches."""
    return ReQLError(message, ErrorType.NON_EXISTENCE)


def failed(message: str) -> ReQLError:
    """The server could not do it, and nothing was changed."""
    return ReQLError(message, ErrorType.OP_FAILED)


class Extreme:
    """``r.minval`` or ``r.maxval``."""

    def __init__(self, rank: str) -> None:
        self.rank = rank


MINVAL, MAXVAL = Extreme(""), Extreme("~")


def merged(one: Any, other: Any) -> Any:
    """What ``merge`` makes of two values."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return other
    return {**one, **{name: merged(one.get(name), item) for name, item in other.items()}}


def type_name(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "BOOL"
    if isinstance(value, int | float):
        return "NUMBER"
    if isinstance(value, str):
        return "STRING"
    return "ARRAY" if isinstance(value, list) else "OBJECT"


def order(value: Any) -> tuple[Any, ...]:
    """A key that sorts values as ReQL does: by the name of their type, then by value."""
    if isinstance(value, Extreme):
        return (value.rank,)
    name = type_name(value)
    if name == "ARRAY":
        return (name, [order(item) for item in value])
    if name == "OBJECT":
        return (name, [(key, order(value[key])) for key in sorted(value)])
    if name == "NUMBER":
        return (name, float(value))
    return (name, value)


def number(value: Any) -> float:
    """`value` as the double that ReQL computes with."""
    if type_name(value) != "NUMBER":
        raise ReQLError(f"Expected type NUMBER but found {type_name(value)}.")
    return float(value)


def stored(value: Any) -> Any:
    """`value` as it comes back: whole doubles as integers."""
    if isinstance(value, dict):
        return {key: stored(item) for key, item in value.items()}
    if isinstance(value, list):
        return [stored(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
