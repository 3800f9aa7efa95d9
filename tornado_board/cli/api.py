"""How commands talk to a server: over HTTP, with a token, again and again where that may help."""

from __future__ import annotations

import argparse
import http.client
import os
import ssl
import sys
import time
import urllib.parse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import msgspec

from tornado_board.backoff import Backoff
from tornado_board.cli.failure import Failed
from tornado_board.models import is_id
from tornado_board.settings import SettingsError

#: The environment variables that stand in for the flags ``--url`` and ``--token``.
URL, TOKEN = "TORNADO_BOARD_URL", "TORNADO_BOARD_TOKEN"

_USUAL_URL = "http://localhost:8888/"

#: Seconds that a server may be silent for.
_SILENCE = 120.0

#: Seconds between two attempts: the first and the longest.
_BACKOFF = (0.2, 10.0)

#: What is answered where trying again may help: to many at once, and by proxies whose server is
#: away. 409 is a request with the same key that is under way.
_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504})

#: The most of an error's body that is read.
_LONGEST_PROBLEM = 65_536


class Passing(Exception):
    """Something failed that may work later, in `wait` seconds or more."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class Reply(NamedTuple):
    """A whole answer with a status below 300."""

    status: int
    body: bytes


class Api:
    """One connection to the server at `url`, which is opened when it is needed.

    Raises `SettingsError` for a URL that names no server.
    """

    def __init__(self, url: str, token: str = "") -> None:
        self.url, self._secure, self._host, self._port, self._base = _parts(url)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._connection: http.client.HTTPConnection | None = None

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = {}
    ) -> None:
        """Send a request; `answer` reads what comes back. Raises `Passing`."""
        try:
            if self._connection is None:
                self._connection = self._connected()
            self._connection.request(
                method, self._base + path, body, {**self._headers, **dict(headers)}
            )
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise self._broken(error) from error

    def answer(self) -> Reply:
        """The answer to what was sent. Raises `Passing` or `Failed`, for errors of the server."""
        response = self.opened()
        try:
            return Reply(response.status, response.read())
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise self._broken(error) from error

    def opened(self) -> http.client.HTTPResponse:
        """The same, with a body that is still to be read."""
        assert self._connection is not None
        try:
            response = self._connection.getresponse()
            if response.status < 300:
                return response
            problem = response.read(_LONGEST_PROBLEM)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise self._broken(error) from error
        if not response.isclosed():  # there is more of it
            self.close()
        raise _refused(response, problem)

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> http.client.HTTPConnection:
        if self._secure:
            return http.client.HTTPSConnection(
                self._host, self._port, timeout=_SILENCE, context=ssl.create_default_context()
            )
        return http.client.HTTPConnection(self._host, self._port, timeout=_SILENCE)

    def _broken(self, error: Exception) -> Exception:
        if isinstance(error, ssl.SSLCertVerificationError):
            return Failed(f"{self.url}: the certificate is not valid: {error.verify_message}")
        if isinstance(error, TimeoutError):
            reason = f"no answer within {_SILENCE:g} s"
        else:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return Passing(f"{self.url}: {reason}")


class Patience:
    """How long a command goes on to try what fails: `seconds` from the last success."""

    def __init__(self, seconds: float, say: Callable[[str], None]) -> None:
        """`say` is told of the first failure of each row, and why."""
        self._seconds = seconds
        self._say = say
        self._backoff = Backoff(*_BACKOFF)
        self._since: float | None = None

    def succeeded(self) -> None:
        """Something worked."""
        self._since = None
        self._backoff.reset()

    def wait(self, failure: Passing) -> None:
        """Wait before the next attempt. Raises `Failed` where there were enough."""
        now = time.monotonic()
        if self._since is None:
            self._since = now
            self._say(f"{failure}; trying again for {self._seconds:g} s")
        pause = max(failure.wait, self._backoff.next())
        if now + pause > self._since + self._seconds + failure.wait:
            raise Failed(str(failure))
        time.sleep(pause)


def _refused(response: http.client.HTTPResponse, problem: bytes) -> Exception:
    """What to raise for an answer that is an error."""
    try:
        detail = str(msgspec.json.decode(problem)["detail"])
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, RecursionError):
        detail = response.reason
    text = f"{response.status}: {detail}"
    if location := response.headers.get("Location"):
        text += f" ({location[:200]!r}); give the address that it leads to as --url"
    if response.status in _PASSING:
        after = response.headers.get("Retry-After", "")
        is_number = after.isascii() and after.isdecimal() and len(after) < 6
        return Passing(text, float(after) if is_number else 0.0)
    return Refused(response.status, text)


class Refused(Failed):
    """The server refused the request, and will do so again."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def _parts(url: str) -> tuple[str, bool, str, int | None, str]:
    """What is shown of `url`, whether it is of HTTPS, host, port, and the path before all paths."""
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError:
        raise SettingsError("--url: the host or the port is not valid") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError("--url: expected http://host:port/ or https://host/")
    if parts.username is not None or parts.query or parts.fragment:
        raise SettingsError("--url: expected no user, no ? and no #; a token goes into --token")
    if not (url.isascii() and url.isprintable()) or " " in url:
        raise SettingsError("--url: has characters that no address has")
    base = parts.path.rstrip("/")
    return (
        f"{parts.scheme}://{parts.netloc}{base}/",
        parts.scheme == "https",
        parts.hostname,
        (port),
        base,
    )


class Parser(argparse.ArgumentParser):
    """Takes the arguments of a command apart. Raises `SettingsError` for what is wrong."""

    def __init__(self, name: str, usage: str, description: str) -> None:
        super().__init__(
            prog=f"tornado-board {name}",
            usage=f"%(prog)s {usage}",
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self._name = name
        self.add_argument("board", metavar="BOARD", help="the id of the board")

    def add_server(self, patience: float) -> None:
        """Add what says which server, and who asks."""
        self.add_argument(
            "--url", metavar="URL", help=f"the server [{URL}] (default {_USUAL_URL})", default=None
        )
        self.add_argument(
            "--token",
            metavar="TOKEN",
            help=f"a token; others on this machine see flags, so give it as [{TOKEN}]",
        )
        self.add_argument("--token-file", metavar="FILE", help="a file with the token in it")
        self.add_argument(
            "--patience",
            type=float,
            default=patience,
            metavar="SECONDS",
            help="how long to go on trying while nothing works (default %(default)g)",
        )

    def error(self, message: str) -> NoReturn:
        raise SettingsError(f"{message.removeprefix('argument ')} ({self._name} --help shows how)")


def api_of(options: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> Api:
    """What `options` and `environ` name. Raises `SettingsError`."""
    if not is_id(options.board):
        raise SettingsError("BOARD: expected the id of a board")
    if not 0 <= options.patience <= 86400:
        raise SettingsError("--patience: expected seconds from 0 to 86400")
    api = Api(options.url or environ.get(URL) or _USUAL_URL, _token(options, environ))
    return api


def _token(options: argparse.Namespace, environ: Mapping[str, str]) -> str:
    token = options.token or ""
    if options.token_file is not None:
        try:
            token = Path(options.token_file).read_text("ascii").strip()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "is no token"
            raise SettingsError(f"--token-file: {options.token_file!r}: {reason}") from None
    token = token or environ.get(TOKEN, "")
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise SettingsError("--token: has characters that no token has")
    return token


def say(text: str, **more: Any) -> None:
    """Tell who has called the command."""
    print(text, file=sys.stderr, flush=True, **more)
