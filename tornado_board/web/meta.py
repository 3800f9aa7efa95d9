"""What ``meta`` of boards and players can hold: what every store keeps as it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tornado_board.models import SCORE_LIMIT, Meta, score_of

#: How deep objects and arrays may lie in each other; the ``meta`` itself is the first.
MOST_DEPTH = 10

#: A member of this name makes an object a time, or binary data, to RethinkDB.
_RESERVED = "$reql_type$"

_TEXT = {"type": "string", "pattern": r"^[^\u0000]*$"}

#: The same as JSON Schema can say it: how deep it may be and how long, it can't.
SCHEMAS: Mapping[str, Any] = {
    "Meta": {
        "type": "object",
        "description": f"An object of your own, at most {MOST_DEPTH} levels deep.",
        "propertyNames": {**_TEXT, "not": {"const": _RESERVED}},
        "additionalProperties": {"$ref": "#/components/schemas/MetaValue"},
    },
    "MetaValue": {
        "anyOf": [
            {"type": ["null", "boolean"]},
            _TEXT,
            {
                "type": "number",
                "description": "whole numbers, unless they have an exponent, from -2^53 to 2^53",
            },
            {"type": "array", "items": {"$ref": "#/components/schemas/MetaValue"}},
            {"$ref": "#/components/schemas/Meta"},
        ]
    },
}


def checked(meta: Meta) -> Meta:
    """`meta`, an object of JSON, as every store keeps it: whole numbers as ``int``.

    Raises `ValueError`, with what is wrong, for a name or a string that has half of a surrogate
    pair or U+0000, for numbers that JSON does not have, for whole numbers outside of ±2^53, which
    are not their own doubles (RFC 8259, section 6), and for what is nested too deeply.
    """
    result: Meta = _checked(meta, MOST_DEPTH)
    return result


def has_lone_surrogate(text: str) -> bool:
    """Whether `text` has half of a surrogate pair, which is no character."""
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)


def _checked(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        _check_text(value)
        return value
    if isinstance(value, dict | list):
        if not depth:
            raise ValueError(f"is nested too deeply; {MOST_DEPTH} levels are the most")
        if isinstance(value, list):
            return [_checked(item, depth - 1) for item in value]
        for name in value:
            _check_text(name)
            if name == _RESERVED:
                raise ValueError(f"must not have the name {_RESERVED}")
        return {name: _checked(item, depth - 1) for name, item in value.items()}
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(value)
    return value


def _number(value: int | float) -> int | float:
    if isinstance(value, float) and math.isfinite(value) and abs(value) > SCORE_LIMIT:
        return value
    try:
        return score_of(value)
    except ValueError:
        raise ValueError(
            "has a number that is too large; whole numbers are from -2^53 to 2^53"
        ) from None


def _check_text(text: str) -> None:
    if "\0" in text:
        raise ValueError("must not have the character U+0000")
    if has_lone_surrogate(text):
        raise ValueError("half of a surrogate pair is not a character")
