"""How a setting is declared: a field of `settings.Settings`, with what there is to know of it."""

from __future__ import annotations

from dataclasses import field
from typing import Any


def setting(
    default: Any,
    help: str,
    *,
    group: str,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    bare: bool = False,
    secret: bool = False,
) -> Any:
    """A setting. `bare`: its environment variable is also known without the prefix. `secret`: it
    may hold one, and is left out where settings are printed."""
    metadata = {
        "help": help,
        "group": group,
        "low": low,
        "high": high,
        "choices": choices,
        "bare": bare,
    }
    return field(default=default, metadata=metadata, repr=not secret)
