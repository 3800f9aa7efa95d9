"""Commands: what ``tornado-board NAME`` does beside serving."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence

from tornado_board.cli.failure import Failed

#: Each command, and the module of its ``main(arguments)``, which is imported when it is called.
#: Another command is another line.
COMMANDS: Mapping[str, str] = {
    "token": "tornado_board.cli.token",
    "import": "tornado_board.cli.import_scores",
    "export": "tornado_board.cli.export_board",
}


def run_command(arguments: Sequence[str]) -> int:
    """Carry out the command that `arguments` begin with; the process's exit code.

    Raises `SettingsError` for what is wrong with the rest of them.
    """
    module = importlib.import_module(COMMANDS[arguments[0]])
    try:
        code: int = module.main(arguments[1:])
    except Failed as error:
        print(f"tornado_board: {error}", file=sys.stderr)
        return 1
    return code
