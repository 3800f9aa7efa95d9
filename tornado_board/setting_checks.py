"""What single settings may be, where that is more than a type and bounds; and how a message shows a
wrong one."""

from __future__ import annotations

import re
from collections.abc import Sequence

#: How much of a wrong value a message shows, in characters.
_SHOWN = 60

#: What the server itself has at its root. A base path that began with one of these could not be
#: told from a path without it.
_OWN_PATHS = frozenset(
    {
        *("boards", "events", "tickets", "audit", "upstream", "metrics", "healthz", "readyz"),
        *("static", "embed", "live-board.js", "docs", "openapi.json"),
    }
)

#: The longest base path, in characters.
_BASE_PATH_LENGTH = 200

#: What the name of a cookie may be here; RFC 6265, section 4.1.1, has more that some do not take.
_COOKIE_NAME = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")
_COOKIE_NAME_LENGTH = 64

#: A source that a Content-Security-Policy takes; nothing in it could end the directive.
_ANCESTOR = re.compile(
    r"https?://(\*\.)?[A-Za-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?"
)
_ANCESTOR_LENGTH = 300


def shown(text: str) -> str:
    """`text` for a message: not much of it, on one line, and nothing of a URL's password."""
    scheme, separator, _ = text.partition("://")
    if separator:
        return repr(f"{scheme[:_SHOWN]}://...")
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def check_base_path(path: str) -> None:
    """Raise `ValueError` unless `path` is ``/``, or segments that need no escape in a URL."""
    segments = path.removesuffix("/").split("/")
    if (
        len(path) > _BASE_PATH_LENGTH
        or segments.pop(0)
        or path == ""
        or not all(re.fullmatch(r"[A-Za-z0-9._~-]+", segment, re.ASCII) for segment in segments)
        or not {".", ".."}.isdisjoint(segments)
    ):
        raise ValueError(
            f"{shown(path)} is not a path; expected / or, as in"
            f" /our/boards/, segments of A-Z a-z 0-9 . _ ~ -, {_BASE_PATH_LENGTH} characters at"
            " most"
        )
    if segments and segments[0] in _OWN_PATHS:
        raise ValueError(
            f"{path!r} begins with a path of the server's own; expected anything but"
            f" {', '.join(sorted(_OWN_PATHS))}"
        )


def check_cookie_name(name: str) -> None:
    """Raise `ValueError` unless `name` may be that of a cookie, or is empty."""
    if len(name) > _COOKIE_NAME_LENGTH or not _COOKIE_NAME.issuperset(name):
        raise ValueError(
            f"{shown(name)} is no name of a cookie; expected {_COOKIE_NAME_LENGTH} characters of"
            " A-Z a-z 0-9 _ . - at most"
        )


def check_frame_ancestors(ancestors: Sequence[str]) -> None:
    """Raise `ValueError` unless `ancestors` are origins whose pages may frame others (CSP Level 3,
    "frame-ancestors"), ``*.`` before a name for all below it, or ``*`` for any."""
    for ancestor in ancestors:
        if ancestor != "*" and not _ANCESTOR.fullmatch(ancestor[:_ANCESTOR_LENGTH]):
            raise ValueError(
                f"{shown(ancestor)} is no origin; expected such as https://www.example.org,"
                " https://*.example.org, or *"
            )
