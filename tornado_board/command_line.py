"""Settings from the command line, the environment and the file ``.env``.

A setting is taken from the first of: the command line (``--port=8888``), the environment
(``TORNADO_BOARD_PORT=8888``), the file ``.env`` in the working folder, the default.
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import dotenv

from tornado_board import __version__
from tornado_board.checked_settings import FIELDS, TYPES, check, checked, expected
from tornado_board.setting_checks import shown
from tornado_board.settings import Settings, SettingsError

#: What the names of this server's environment variables begin with.
PREFIX = "TORNADO_BOARD_"

#: Settings whose names without the prefix version 0.1.0 read, and that are not read any more: other
#: programs' environments have them as well.
_AMBIGUOUS = ("address", "lease", "log_level", "processes")

#: The others that it read without the prefix; they still are, with a notice.
_EARLIER = frozenset(
    (
        "uvloop",
        "tls_certificate",
        "tls_key",
        "allowed_origins",
        "trust_forwarded",
        "stop_timeout",
        "database_ca_certs",
        "database_timeout",
        "database_wait",
        "database_durability",
        "waiting_writes",
        "replay_retention",
        "replay_length",
        "replay_prune_interval",
        "live_boards",
        "keepalive",
        "max_body",
        "max_header",
        "header_timeout",
        "idle_timeout",
        "max_connections",
        "max_connections_per_address",
        "max_streams_per_board",
    )
)

#: Settings that have another name since, by the one that version 0.1.0 read; it still is, with a
#: notice.
_RENAMED = {"squash": "coalesce", "standings_depth": "top_k"}

#: Variables with the prefix that are no settings: the build's, and what Kubernetes sets for a
#: service that is called tornado-board.
_NO_SETTINGS = ("SKIP_PAGE", "SERVICE_", "PORT_")

#: Those that the commands `import` and `export` read.
_OF_COMMANDS = ("URL", "TOKEN")

_DESCRIPTION = """\
A realtime leaderboard server. Without settings it serves http://localhost:8888/ and keeps
everything in tornado_board.sqlite3, in the working folder.

A setting is taken from the first of: a flag (--port=8000 or --port 8000), the environment variable
in brackets (TORNADO_BOARD_PORT=8000), the file .env in the working folder, the default.

tornado-board token makes a token, tornado-board import and tornado-board export move a board's
players; each shows more with --help.
"""

#: What stands for a value in the help.
_METAVARS = {bool: "true|false", int: "N", float: "NUMBER", str: "TEXT", tuple[str, ...]: "A,B,..."}

_SWITCH = {
    **dict.fromkeys(("true", "t", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "f", "0", "no", "off"), False),
}


def flag(name: str) -> str:
    """The flag of the setting `name`."""
    return "--" + name.replace("_", "-")


def variables(name: str) -> tuple[str, ...]:
    """The environment variables of the setting `name`, the one that weighs most first."""
    first = PREFIX + name.upper()
    return (first, name.upper()) if FIELDS[name].metadata["bare"] else (first,)


def _earlier_variables(name: str) -> tuple[str, ...]:
    """Those of `name` that are still read."""
    old = next((old.upper() for old, new in _RENAMED.items() if new == name), "")
    return (PREFIX + old, old) if old else (name.upper(),) if name in _EARLIER else ()


def _old_name(name: str, new: str) -> str:
    return f"{name} is an old name that a later version will not read; write {new}"


class _Parser(argparse.ArgumentParser):
    """Takes the command line apart; says what is wrong with it by `SettingsError`."""

    def error(self, message: str) -> NoReturn:
        message = message.removeprefix("argument ").replace(
            "expected one argument", "needs a value"
        )
        raise SettingsError(f"{message} (--help shows every setting)")


def _parser() -> _Parser:
    parser = _Parser(
        prog="tornado-board",
        usage="%(prog)s [--setting=value ...]",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"tornado_board {__version__}")
    titles = dict.fromkeys(f.metadata["group"] for f in FIELDS.values())
    groups = {title: parser.add_argument_group(title) for title in titles}
    for name, f in FIELDS.items():
        default = "" if f.default in ("", ()) else f" (default {_spelled(f.default)})"
        help = f"{f.metadata['help']} [{' or '.join(variables(name))}]{default}"
        # A switch needs no value.
        optional: dict[str, Any] = {"nargs": "?", "const": "true"} if TYPES[name] is bool else {}
        groups[f.metadata["group"]].add_argument(
            flag(name),
            dest=name,
            metavar=_METAVARS[TYPES[name]],
            help=help.replace("%", "%%"),
            **optional,
        )
    return parser


def _spelled(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def load(
    arguments: Sequence[str] | None = None,
    environ: Mapping[str, str] | None = None,
    dotenv_file: str | Path = ".env",
    notices: list[str] | None = None,
) -> Settings:
    """Read the settings from `arguments`, `environ` and `dotenv_file`, in this order of weight.

    The first two default to this process's. ``--help`` prints every setting and ``--version`` the
    version; both raise `SystemExit`. What is odd and no error, a variable's old name say, is added
    to `notices`, a sentence each. Raises `SettingsError`.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    environ = os.environ if environ is None else environ
    notices = [] if notices is None else notices
    texts = _command_line(arguments, notices)
    try:
        from_file = dotenv.dotenv_values(dotenv_file, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{dotenv_file}: {error}") from None
    values = {}
    sources = (environ, from_file)
    for name in FIELDS:
        found = (flag(name), texts[name]) if name in texts else _variable(name, sources, notices)
        if found is not None:
            values[name] = _value(name, *found)
    _report_unknown(sources, notices)
    for name in _AMBIGUOUS:
        if name.upper() in from_file:
            notices.append(
                f"{name.upper()} in {dotenv_file} is not read; write {variables(name)[0]}"
            )
    return checked(Settings(**values))


def _command_line(arguments: Sequence[str], notices: list[str]) -> dict[str, str]:
    """The value of each setting that `arguments` name, by the setting's name."""
    spelled = []
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if name.startswith("--"):
            name = name.replace("_", "-")
            for old, new in _RENAMED.items():
                if name == flag(old):
                    notices.append(_old_name(name, flag(new)))
                    name = flag(new)
        spelled.append(name + equals + text)
    known, unknown = _parser().parse_known_args(spelled)
    if unknown:
        name = unknown[0].partition("=")[0]
        if not name.startswith("-"):
            raise SettingsError(
                f"unexpected argument {shown(name)}; a setting is --name=value"
                " (--help shows every setting)"
            )
        raise SettingsError(
            f"unknown setting {shown(name)}{_nearest(name, map(flag, FIELDS))}"
            " (--help shows every setting)"
        )
    return vars(known)


def _variable(
    name: str, sources: Iterable[Mapping[str, str | None]], notices: list[str]
) -> tuple[str, str] | None:
    """The first variable of the setting `name` that is set in `sources`, and its text."""
    kind = TYPES[name]
    names = (*variables(name), *_earlier_variables(name))
    for source in sources:
        for variable in names:
            text = source.get(variable)
            # Empty is a text, and no number. Kubernetes' service links are no ports.
            if text is None or (kind is not str and (not text or text.startswith("tcp://"))):
                continue
            if variable not in variables(name):
                notices.append(_old_name(variable, variables(name)[0]))
            return variable, text
    return None


def _report_unknown(sources: Iterable[Mapping[str, str | None]], notices: list[str]) -> None:
    """Add to `notices` what has our prefix and is no setting: a spelling mistake, most likely."""
    names = [name.upper() for name in (*FIELDS, *_RENAMED)]
    for source in sources:
        for variable in source:
            name = variable.removeprefix(PREFIX)
            ours = variable.startswith(PREFIX) and not name.startswith(_NO_SETTINGS)
            if ours and name not in (*names, *_OF_COMMANDS):
                near = _nearest(variable, (PREFIX + other for other in names))
                notices.append(f"{shown(variable)} is an unknown setting{near}")


def _value(name: str, where: str, text: str) -> Any:
    """The value of the setting `name` that `text` spells. Raises `SettingsError`, which names the
    flag or variable `where`."""
    kind = TYPES[name]
    value: Any = text
    try:
        if kind is bool:
            value = _SWITCH[text.strip().lower()]
        elif kind == tuple[str, ...]:
            value = tuple(part.strip() for part in text.split(",") if part.strip())
        elif kind is not str:
            if not text.isascii() or "_" in text:  # int and float take more than we say
                raise ValueError
            value = kind(text)
        elif FIELDS[name].metadata["choices"]:
            value = text.strip().lower()
    except (ValueError, KeyError):
        raise SettingsError(
            f"{where}: {shown(text)} is not a valid {kind.__name__}; expected {expected(name)}"
        ) from None
    check(name, where, value)
    return value


def _nearest(name: str, names: Iterable[str]) -> str:
    """A half sentence that names the one of `names` that is most like `name`, if one is."""
    near = difflib.get_close_matches(name, list(names), 1)
    return f"; did you mean {near[0]}?" if near else ""
