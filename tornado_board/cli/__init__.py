"""Commands: what ``tornado-board NAME`` does beside serving."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence

#: Each command, and the module of its ``main(arguments)``, which is imported when it is called.
#: Another command is another line.
COMMANDS: Mapping[str, str] = {"token": "tornado_board.cli.token"}


def run_command(arguments: Sequence[str]) -> int:
    """Carry out the command that `arguments` begin with; the process's exit code.

    Raises `SettingsError` for what is wrong with the rest of them.
    """
    module = importlib.import_module(COMMANDS[arguments[0]])
    code: int = module.main(arguments[1:])
    return code
