"""What the patterns of the route table stand for, as people write it."""

from __future__ import annotations

import re

#: What varies in a pattern.
_GROUP = re.compile(r"\([^()]*\)")

#: What the part behind these is called.
_NAMES = {
    "boards": "board",
    "embed": "board",
    "players": "player",
    "seasons": "season",
    "static": "file",
}


def template(pattern: str) -> str:
    """The path that `pattern`, one of the route table, matches, with a name in braces for each part
    that varies: ``/boards/{board}/events/``. With the slash at its end, where that may be there."""
    parts: list[str] = []
    for part in _GROUP.sub("()", pattern.removesuffix("?").replace("\\", "")).split("/"):
        name = _NAMES.get(parts[-1], "id") if parts else ""
        parts.append(part.replace("()", f"{{{name}}}"))
    return "/".join(parts)
