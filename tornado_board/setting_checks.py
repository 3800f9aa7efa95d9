"""What single settings may be, where that is more than a type and bounds; and how a message shows a
wrong one."""

from __future__ import annotations

import re

#: How much of a wrong value a message shows, in characters.
_SHOWN = 60

#: What the server itself has at its root. A base path that began with one of these could not be
#: told from a path without it.
_OWN_PATHS = frozenset(
    {
        *("boards", "events", "tickets", "static", "docs", "openapi.json"),
        *("healthz", "readyz", "metrics", "upstream"),
    }
)

#: The longest base path, in characters.
_BASE_PATH_LENGTH = 200

#: What the name of a cookie may be here; RFC 6265, section 4.1.1, has more that some do not take.
_COOKIE_NAME = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")
_COOKIE_NAME_LENGTH = 64


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
