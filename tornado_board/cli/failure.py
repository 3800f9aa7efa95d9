"""How a command says that it can't go on."""

from __future__ import annotations


class Failed(Exception):
    """The command can't go on. `str(error)` says why, for who has called it."""
