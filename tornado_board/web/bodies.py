"""The bodies of requests, decoded strictly: what isn't plainly right is a 400 that says why."""

from __future__ import annotations

import functools
import json
import math
import re
import unicodedata
import urllib.parse
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec

from tornado_board.models import score_of
from tornado_board.visible import is_visible
from tornado_board.web.meta import checked, has_lone_surrogate
from tornado_board.web.problems import Problem

T = TypeVar("T", bound=msgspec.Struct)

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"

#: Longer integers are beyond every bound, and reading them takes time that grows with the square
#: of their length.
_LONGEST_INTEGER = 40

#: Brackets in an object. A ``meta`` of 4 KB and a name have no room for as many, so that more are
#: either nested too deeply for the parser or wrong anyway.
_MOST_BRACKETS = 5000

#: The longest body, in bytes, that is not decoded again when it comes again, as those of additions
#: do; and how many such are kept.
_SHORT, _SHORT_KEPT = 64, 512

#: What a request's body is called in messages.
_BODY = "The body"

#: A number in a form field, spelled as in JSON.
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)

#: Control characters, and the two Unicode line separators.
_NOT_IN_NAMES = frozenset({"Cc", "Zl", "Zp"})

#: What scores and their bounds are called.
_NUMBERS = frozenset({"score", "amount", "min", "max"})

#: Fields that can be left out, and can't be ``null``: to the struct that is the same.
NOT_NULL = frozenset({"id", "name"})

# msgspec has no other way to tell which field is wrong than its message, and a message about an
# unknown field has that field's name in it, which may look like another message.
_AT_FIELD = re.compile(r" - at `\$\.([a-z_]+)(?:\.([a-z_]+))?(?:\[[0-9]+\])?`\Z")
_MISSING = re.compile(r"Object missing required field `([a-z_]+)`\Z")


class NotJSON(Problem):
    """A body is no JSON text at all."""


def decode(
    headers: Mapping[str, str],
    body: bytes,
    expected: type[T],
    *,
    empty: bool = False,
    form: bool = False,
) -> T:
    """The `expected` struct that a request's body spells.

    The body is a JSON object; with `form` it may be a form instead, and with `empty` there may be
    none, which stands for an object without fields. Raises `Problem` 400, or 415 for a type of
    content that isn't taken.
    """
    if not body:
        if empty:
            return expected()
        raise Problem(400, f"The body is empty; send a JSON object with {_fields(expected)}.")
    if content_type(headers, (JSON, FORM) if form else (JSON,)) == FORM:
        return _convert(_decode_form(body), expected)
    if len(body) <= _SHORT and body.count(b"{") == 1 and b"[" not in body:
        # Without objects and lists in it, nothing of it can be changed by who has the struct.
        return _convert(_known(body, expected), expected)
    return decode_object(body, expected)


def decode_object(text: bytes, expected: type[T], what: str = _BODY) -> T:
    """The `expected` struct that `text`, a JSON object, spells; `what` names it in messages.

    Raises `Problem` 400, as `NotJSON` where it is no JSON.
    """
    return _convert(_decode_json(text, expected, what), expected)


def check_name(name: str) -> None:
    """Raise `Problem` 400 unless `name` can be the name of a board or a player."""
    # What is printable (by `str.isprintable`) is none of these, which is quicker to ask.
    if not name.isprintable():
        if any(unicodedata.category(character) in _NOT_IN_NAMES for character in name):
            raise Problem(400, "name: must not contain control characters or line breaks.")
        if has_lone_surrogate(name):
            raise Problem(400, "name: half of a surrogate pair is not a character.")
    if not is_visible(name):
        raise Problem(400, "name: must have a character that can be seen.")


def content_type(headers: Mapping[str, str], taken: Sequence[str]) -> str:
    """The type of a request's body, one of `taken`. Raises `Problem` 415 if it is none of them, or
    the body is not plain UTF-8."""
    if headers.get("Content-Type", "") == JSON and headers.get("Content-Encoding", "") == "":
        return JSON  # which is taken everywhere
    named, *parameters = (p.strip().lower() for p in headers.get("Content-Type", "").split(";"))
    accepted = ", ".join(taken)
    hint = {"Accept-Post": accepted, "Accept-Patch": accepted}
    if named.startswith("application/") and named.endswith("+json"):
        named = JSON
    if named not in taken:
        got = "has no Content-Type" if not named else "is of a type that isn't taken here"
        raise Problem(415, f"The body {got}; send it as {' or '.join(taken)}.", hint)
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip().strip('"') not in ("utf-8", "utf8"):
            raise Problem(415, "The body's charset isn't taken here; send it as UTF-8.", hint)
    if headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise Problem(
            415, "The body is compressed; send it plain.", {"Accept-Encoding": "identity"}
        )
    return named


def _decode_json(body: bytes, expected: type[msgspec.Struct], what: str) -> dict[str, Any]:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise NotJSON(400, f"{what} is not UTF-8: see its byte {error.start}.") from None
    if text.count("[") + text.count("{") > _MOST_BRACKETS:
        raise _too_deep(what)
    try:
        values = _json.decode(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise NotJSON(400, f"{what} is not JSON: {error.msg} at {where}.") from None
    except RecursionError:
        raise _too_deep(what) from None
    if not isinstance(values, dict):
        raise Problem(400, f"{what} must be a JSON object with {_fields(expected)}.")
    for name, value in values.items():
        if has_lone_surrogate(name) or (isinstance(value, str) and has_lone_surrogate(value)):
            raise Problem(400, f"{_shown(name)}: half of a surrogate pair is not a character.")
    return values


@functools.lru_cache(maxsize=_SHORT_KEPT)
def _known(body: bytes, expected: type[msgspec.Struct]) -> dict[str, Any]:
    return _decode_json(body, expected, _BODY)


def _too_deep(what: str) -> Problem:
    return Problem(400, f"{what} is nested too deeply.")


def _decode_form(body: bytes) -> dict[str, Any]:
    """The fields of a form, numbers where they look like numbers."""
    try:
        pairs = urllib.parse.parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            max_num_fields=10,
            errors="strict",
        )
    except ValueError:  # UnicodeDecodeError is one, too
        raise Problem(400, "The body is not a form; send amount=1, or JSON.") from None
    values = {name: _number(value) if _NUMBER.fullmatch(value) else value for name, value in pairs}
    if len(values) < len(pairs):
        raise Problem(400, "The body has a field twice; send each once.")
    return values


def _whole(values: dict[str, Any]) -> dict[str, Any]:
    """Those of `values` that are whole numbers, spelled with a fraction."""
    return {name: int(v) for name, v in values.items() if type(v) is float and v.is_integer()}


def _convert(values: dict[str, Any], expected: type[T]) -> T:
    # 48.0 is a whole number, to JSON Schema and whoever writes all numbers alike.
    whole: dict[str, Any] = _whole(values)
    if isinstance(season := values.get("season"), dict):
        whole["season"] = season | _whole(season)
    try:
        result = msgspec.convert(values | whole, expected)
    except msgspec.ValidationError as error:
        raise Problem(400, _detail(str(error), values, expected)) from None
    for name in expected.__struct_fields__:
        value = getattr(result, name)
        if name in NOT_NULL and values.get(name, "") is None:
            raise Problem(400, _not(name, None, expected))
        if value is None or value is msgspec.UNSET:
            continue
        if name == "name":
            check_name(value)
        elif name in _NUMBERS:
            setattr(result, name, score_of(value))
        elif name == "meta":
            try:
                setattr(result, name, checked(value))
            except ValueError as error:
                raise Problem(400, f"meta: {error}.") from None
    return result


def _detail(message: str, values: dict[str, Any], expected: type[msgspec.Struct]) -> str:
    unknown = next((name for name in values if name not in expected.__struct_fields__), None)
    if unknown is not None:
        return f"{_shown(unknown)}: is no field of this object; it has {_fields(expected)}."
    if match := _AT_FIELD.search(message):
        name, inner = match.groups()
        if inner is not None:
            return f"{name}.{inner}: must be {_described(_struct_in(expected, name))[inner]}."
        return _not(name, values.get(name, 0), expected)
    if match := _MISSING.match(message):
        return f"{match[1]}: is missing; it must be {_described(expected)[match[1]]}."
    return f"{message}."


def _not(name: str, value: object, expected: type[msgspec.Struct]) -> str:
    """That the field `name` must not be `value`."""
    null = "; leave it out instead of null" if value is None else ""
    return f"{name}: must be {_described(expected)[name]}{null}."


@functools.cache
def _struct_in(expected: type[msgspec.Struct], name: str) -> type[msgspec.Struct]:
    """The struct that the field `name` is."""
    pending: list[Any] = [get_type_hints(expected)[name]]
    while pending:
        hint = pending.pop()
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            return hint
        pending.extend(get_args(hint))
    raise KeyError(name)


@functools.cache
def _described(expected: type[msgspec.Struct]) -> Mapping[str, str]:
    """What each field has to be."""
    described = {}
    for name, hint in get_type_hints(expected, include_extras=True).items():
        for option in (hint, *get_args(hint)):
            for part in getattr(option, "__metadata__", ()):
                described[name] = part.description
    return described


def _fields(expected: type[msgspec.Struct]) -> str:
    return ", ".join(expected.__struct_fields__)


def _shown(name: str) -> str:
    """A field's name as the client spelled it, fit for a message."""
    return ascii(name[:64])[1:-1] or "(empty name)"


def _number(text: str) -> int | float:
    """What a JSON number spells. One beyond every bound becomes an infinity, for `_convert` to
    refuse with the name of its field."""
    if text.lstrip("-").isdigit():
        return int(text) if len(text) <= _LONGEST_INTEGER else math.inf
    return float(text)


def _no_constant(name: str) -> None:
    raise json.JSONDecodeError(f"{name} is no JSON number", name, 0)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        twice = next(name for name, count in Counter(n for n, _ in pairs).items() if count > 1)
        raise Problem(400, f"{_shown(twice)}: is there twice; send it once.")
    return values


_json = json.JSONDecoder(
    object_pairs_hook=_without_duplicates,
    parse_constant=_no_constant,
    parse_int=_number,
    parse_float=_number,
)
