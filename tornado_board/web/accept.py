"""What a client would rather have: JSON or an event stream, and whether it reads gzip."""

from __future__ import annotations

import re

JSON = "application/json"
EVENT_STREAM = "text/event-stream"
NDJSON = "application/x-ndjson"
CSV = "text/csv"

_Q = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?", re.ASCII)


def prefers_event_stream(accept: str) -> bool:
    """Whether an ``Accept`` header asks for an event stream rather than JSON (RFC 9110, section
    12.5.1).

    A stream has to be named: ``*/*``, ``text/*`` and an absent header (an empty string) mean JSON.
    It is chosen over JSON where its q is greater, or as great as that of a wildcard.
    """
    weights = _weights(accept)
    stream = weights.get(EVENT_STREAM, 0.0)
    if not stream:
        return False
    if JSON in weights:
        return stream > weights[JSON]
    return stream >= weights.get("application/*", weights.get("*/*", 0.0))


def prefers_csv(accept: str) -> bool:
    """Whether an ``Accept`` header asks for CSV rather than NDJSON: it names it, or ``text/*``, and
    with no smaller q than the other."""
    weights = _weights(accept)
    csv = weights.get(CSV, weights.get("text/*", 0.0))
    anything = weights.get("*/*", 0.0)
    return csv > 0 and csv >= weights.get(NDJSON, weights.get("application/*", anything))


def wants_event_stream(accept: str, stream: str | None) -> bool:
    """Whether a request asks for an event stream: by the query parameter `stream`, where there is
    one, or by its ``Accept`` header.

    The parameter is for clients that can't set the header: ``1``, or nothing at all, asks for the
    stream and ``0`` for JSON. Raises `ValueError` for anything else.
    """
    if stream is None:
        return prefers_event_stream(accept)
    if stream not in ("", "0", "1"):
        raise ValueError("must be 1 for an event stream or 0 for JSON")
    return stream != "0"


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an ``Accept-Encoding`` header names gzip (RFC 9110, section 12.5.3).

    A wildcard is not enough, nor is an absent header: a client that does not name it may not be
    able to read it as it comes.
    """
    weights = _weights(accept_encoding)
    return bool(weights.get("gzip") or weights.get("x-gzip"))


def _weights(accept: str) -> dict[str, float]:
    """The q of each media range; a range with a malformed q doesn't count."""
    weights: dict[str, float] = {}
    for item in accept.split(","):
        media_range, *parameters = (part.strip().lower() for part in item.split(";"))
        q = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip() == "q":
                q = float(value) if _Q.fullmatch(value := value.strip()) else 0.0
        if media_range:
            weights[media_range] = max(q, weights.get(media_range, 0.0))
    return weights
