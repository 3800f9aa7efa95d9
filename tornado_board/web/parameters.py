"""Query parameters, checked."""

from __future__ import annotations

import functools
import re

from tornado_board.models import is_id
from tornado_board.web.accept import wants_event_stream
from tornado_board.web.exchange import Asked
from tornado_board.web.problems import Problem

#: What an id is, said to whom sends one that is none.
ID_RULE = "must be 1 to 64 characters of A-Z a-z 0-9 . _ ~ -, but not . or .."

#: The longest ``Accept`` that is remembered; browsers send some 140 characters at the most.
_LONGEST_KEPT = 200

#: A number that is not negative, as JSON spells it, and the longest that is looked at.
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
_LONGEST_NUMBER = 40

_wants_event_stream = functools.lru_cache(maxsize=64)(wants_event_stream)


def integer(asked: Asked, name: str, default: int, low: int, high: int) -> int:
    """A whole number from `low` to `high`. Raises `Problem` 400."""
    text = asked.argument(name)
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) or not low <= int(text) <= high:
        raise Problem(400, f"{name}: must be a whole number from {low} to {high}.")
    return int(text)


def identifier(asked: Asked, name: str) -> str:
    """An id, or an empty string. Raises `Problem` 400."""
    text = asked.argument(name) or ""
    if text and not is_id(text):
        raise Problem(400, f"{name}: {ID_RULE}.")
    return text


def flag(asked: Asked, name: str) -> bool:
    """``1``, ``true`` or nothing at all for yes, and ``0`` or ``false`` for no, as which it counts
    where it is left out. Raises `Problem` 400."""
    text = asked.argument(name)
    if text not in (None, "", "0", "1", "true", "false"):
        raise Problem(400, f"{name}: must be 1 for yes or 0 for no.")
    return text in ("", "1", "true")


def names(asked: Asked, name: str, *known: str) -> tuple[str, ...]:
    """Names of those `known`, with commas between them. Raises `Problem` 400."""
    text = asked.argument(name)
    if text is None:
        return ()
    given = tuple(text.split(","))
    if not set(known).issuperset(given):
        raise Problem(400, f"{name}: must be of {', '.join(known)}, with commas between them.")
    return given


def choice(asked: Asked, name: str, *known: str) -> str | None:
    """One of those `known`; ``None`` where it is left out. Raises `Problem` 400."""
    text = asked.argument(name)
    if text is not None and text not in known:
        raise Problem(400, f"{name}: must be {' or '.join(known)}.")
    return text


def seconds(asked: Asked, name: str, default: float, most: float) -> float:
    """A number of seconds from 0 to `most`; `default` where it is empty. Raises `Problem` 400."""
    text = asked.argument(name)
    if not text:
        return default
    number = _NUMBER.fullmatch(text[: _LONGEST_NUMBER + 1])
    if number is None or len(text) > _LONGEST_NUMBER or float(text) > most:
        raise Problem(400, f"{name}: must be a number of seconds from 0 to {most:g}.")
    return float(text)


def wants_stream(asked: Asked) -> bool:
    """Whether the request asks for an event stream, or a WebSocket, rather than JSON. Raises
    `Problem` 400."""
    if asked.upgrades:
        return True
    try:
        accept, stream = asked.headers.get("Accept", ""), asked.argument("stream")
        if len(accept) > _LONGEST_KEPT:
            return wants_event_stream(accept, stream)
        return _wants_event_stream(accept, stream)
    except ValueError as error:
        raise Problem(400, f"stream: {error}.") from None
