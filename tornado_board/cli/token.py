"""``tornado-board token``: make a token."""

from __future__ import annotations

import argparse
import re
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import jwt

from tornado_board.auth.board_patterns import BoardPatterns
from tornado_board.auth.claims import Scope
from tornado_board.auth.keys import BadKey, private_key, secret_key, secret_keys
from tornado_board.auth.verifier import LONGEST
from tornado_board.command_line import load
from tornado_board.models import is_id
from tornado_board.settings import Settings, SettingsError

_DESCRIPTION = """\
Makes a token, and prints it. It is signed with the secret of the setting token_secret or
token_secret_file, or with the private key of token_private_key. Settings are taken from where the
server takes them: flags, the environment, the file .env in the working folder.

  tornado-board token --scope=write --board='cup-*' --expires=1h
  tornado-board token --scope=submit --board=cup --player=ada --expires=15m
"""

_EPILOG = """\
read reads and watches, private boards too; submit hands in scores, with --player only those of that
player; write does all that changes boards, and what read and submit do; admin does everything.
"""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

#: The longest that a token may be good for, in days.
_LONGEST_DAYS = 3660


def main(arguments: Sequence[str]) -> int:
    """Print a token as `arguments` say; the exit code. Raises `SettingsError`."""
    options, rest = parser().parse_known_args(arguments)
    notices: list[str] = []
    settings = load(rest, notices=notices)
    for notice in notices:
        print(f"tornado-board: {notice}", file=sys.stderr)
    token = make(settings, _claims(options, settings), options.key_id)
    if len(token) > LONGEST:
        raise SettingsError(f"the token has {len(token)} characters; the most is {LONGEST}")
    print(token)
    return 0


def make(settings: Settings, claims: Mapping[str, Any], key_id: str | None = None) -> str:
    """A token with `claims`, signed with the key that `settings` name. Raises `SettingsError`."""
    algorithm, key = _signing_key(settings)
    headers = {} if key_id is None else {"kid": key_id}
    return jwt.encode(dict(claims), key, algorithm, headers=headers)


def _signing_key(settings: Settings) -> tuple[str, Any]:
    named = {
        "token_private_key": settings.token_private_key,
        "token_secret": settings.token_secret,
        "token_secret_file": settings.token_secret_file,
    }
    name, value = next(((name, value) for name, value in named.items() if value), ("", ""))
    if not name:
        raise SettingsError(
            "a token needs a key: set token_secret, token_secret_file or token_private_key"
        )
    try:
        if name == "token_secret":
            return "HS256", secret_key(value).material
        data = Path(value).read_bytes()
        if name == "token_secret_file":
            return "HS256", secret_keys(data.decode())[0].material
        return private_key(data)
    except BadKey as error:
        raise SettingsError(f"{name}: {error}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8"
        raise SettingsError(f"{name}: {value!r}: {reason}") from None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingsError(f"{message.removeprefix('argument ')} (token --help shows how)")


def parser() -> argparse.ArgumentParser:
    """Takes the arguments of the command apart; settings are left over."""
    parser = _Parser(
        prog="tornado-board token",
        usage="%(prog)s --scope=SCOPE [--board=ID] [--player=ID] [--expires=1h] [--setting=value]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    scopes = [str(scope) for scope in Scope]
    parser.add_argument(
        "--scope",
        action="append",
        required=True,
        metavar="SCOPE",
        help=f"what it allows: {', '.join(scopes)}; may be given more than once",
    )
    parser.add_argument(
        "--board",
        action="append",
        metavar="ID",
        help="the board that it is for, or a pattern such as 'cup-*'; may be given more than once;"
        " every board by default",
    )
    parser.add_argument(
        "--player", metavar="ID", help="who has it (sub): with submit, the only player it is for"
    )
    parser.add_argument(
        "--expires",
        default="1h",
        metavar="TIME",
        help="how long it is good for: 30s, 15m, 1h or 7d (default 1h)",
    )
    parser.add_argument("--key-id", metavar="ID", help="the kid of the key, where a JWKS has one")
    return parser


def _claims(options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    now = int(time.time())
    scopes = [word for text in options.scope for word in re.split("[, ]", text) if word]
    if not scopes or not set(scopes) <= set(Scope):
        raise SettingsError(f"--scope: expected one of {', '.join(Scope)}")
    claims: dict[str, Any] = {
        "scope": " ".join(dict.fromkeys(scopes)),
        "iat": now,
        "exp": now + _seconds(options.expires),
        "jti": secrets.token_urlsafe(12),
    }
    if options.board is not None:
        boards = [text for given in options.board for text in given.split(",") if text]
        try:
            if not boards:
                raise ValueError("boards: expected an id or a pattern")
            BoardPatterns(boards)
        except ValueError as error:
            raise SettingsError(f"--board: {str(error).removeprefix('boards: ')}") from None
        claims["boards"] = boards
    if options.player is not None:
        if not is_id(options.player):
            raise SettingsError("--player: expected the id of a player")
        claims["sub"] = options.player
    if settings.token_issuer:
        claims["iss"] = settings.token_issuer
    if settings.token_audience:
        claims["aud"] = settings.token_audience
    return claims


def _seconds(text: str) -> int:
    number, unit = text[:-1], text[-1:]
    if not re.fullmatch(r"[1-9][0-9]{0,8}", number, re.ASCII) or unit not in _UNITS:
        raise SettingsError("--expires: expected a time such as 30s, 15m, 1h or 7d")
    seconds = int(number) * _UNITS[unit]
    if seconds > _LONGEST_DAYS * 86400:
        raise SettingsError(f"--expires: {_LONGEST_DAYS} days are the most")
    return seconds
