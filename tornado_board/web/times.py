"""Points in time, as clients write and read them: RFC 3339, or milliseconds since 1970."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from tornado_board.web.exchange import Asked
from tornado_board.web.problems import Problem

#: RFC 3339, section 5.6. A blank for the sign of an offset is a ``+`` that was not escaped in a
#: query, and a date by itself is its first moment in UTC.
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+ -]\d\d:\d\d))?", re.ASCII
)
_MILLISECONDS = re.compile(r"\d{1,15}", re.ASCII)

#: The longest that is looked at, in characters.
_LONGEST = 40

#: The last moment that RFC 3339 can tell.
_END = 253_402_300_799_999

#: The same as a pattern of JSON Schema, which knows nothing of calendars.
PATTERN = f"^({_MILLISECONDS.pattern}|{_TIME.pattern})$"

_RULE = "must be a time such as 2026-11-25T02:42:00Z, or milliseconds since 1970"


def moment(asked: Asked, name: str) -> int | None:
    """The parameter `name`, ms since 1970; ``None`` where it is not there. Raises `Problem` 422."""
    text = asked.argument(name)
    if text is None:
        return None
    try:
        return parse(text)
    except ValueError:
        raise Problem(422, f"{name}: {_RULE}.") from None


def is_date(text: str) -> bool:
    """Whether `text`, which is a time, is a date by itself."""
    return len(text) == len("2026-11-25") and "-" in text


def parse(text: str) -> int:
    """The time that `text` spells, ms since 1970. Raises `ValueError`."""
    if len(text) > _LONGEST:
        raise ValueError(_RULE)
    if _MILLISECONDS.fullmatch(text):
        return min(int(text), _END)
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(_RULE)
    date, time, fraction, offset = found.groups()
    if time is None:
        spelled = f"{date}T00:00:00+00:00"
    else:
        offset = "+00:00" if offset in "Zz" else offset.replace(" ", "+")
        spelled = f"{date}T{time}.{(fraction or '0')[:6]:0<6}{offset}"
    try:
        since = datetime.fromisoformat(spelled) - datetime(1970, 1, 1, tzinfo=UTC)
    except OverflowError:
        raise ValueError(_RULE) from None
    return (since.days * 86_400 + since.seconds) * 1_000 + since.microseconds // 1_000


def written(ms: int) -> str:
    """`ms` since 1970, as answers have it: RFC 3339 in UTC, with milliseconds."""
    time = datetime.fromtimestamp(min(ms, _END) // 1000, UTC)
    return f"{time:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03}Z"
