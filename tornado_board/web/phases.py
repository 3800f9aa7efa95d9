"""What a connection can wait for."""

from __future__ import annotations

import enum


class Phase(enum.Enum):
    """What a connection waits for."""

    IDLE = "the first byte of a request"
    HEADER = "the rest of a request's header"
    BODY = "the rest of a request's body"
    ANSWER = "the application"
    SENDING = "the client to read the answer"
    DETACHED = "nothing: it is an event stream, and the hub's"

    # An enumeration's own is a call of Python; several are looked up for each request.
    __hash__ = object.__hash__
