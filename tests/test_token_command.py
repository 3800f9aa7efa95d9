"""``tornado-board token``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import jwt
import pytest

from tornado_board.auth.claims import Token
from tornado_board.auth.keys import public_keys, secret_key
from tornado_board.auth.verifier import Verifier

from .server_process import ROOT
from .tokens import PRIVATE, SECRET, private_pem, public_pem


def run(
    folder: Path, *arguments: str, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", **(environ or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def verified(text: str, issuer: str = "", audience: str = "") -> Token:
    verifier = Verifier(issuer=issuer, audience=audience)
    verifier.use(
        [secret_key(SECRET), *(k for key in PRIVATE.values() for k in public_keys(public_pem(key)))]
    )
    found = verifier.verify(text)
    assert isinstance(found, Token), found
    return found


def test_it_prints_one_token_and_nothing_else(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        *("token", "--scope=write", "--board=cup-*", "--board", "league,demo"),
        *("--player=ada", "--expires=30m"),
        environ={"TORNADO_BOARD_TOKEN_SECRET": SECRET},
    )
    assert (done.returncode, done.stderr) == (0, "")
    text = done.stdout.removesuffix("\n")
    found = verified(text)
    assert found.scopes == {"read", "submit", "write"}
    assert found.boards.texts == ("cup-*", "league", "demo")
    assert found.subject == "ada"
    claims = jwt.decode(text, options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 1800
    assert list(tmp_path.iterdir()) == [], "no database was made"


def test_its_key_comes_from_where_the_server_has_it(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text(f"{SECRET}\n{SECRET[::-1]}\n")
    (tmp_path / ".env").write_text("TORNADO_BOARD_TOKEN_SECRET_FILE=secrets\n")
    done = run(tmp_path, "token", "--scope=read submit", "--token-issuer=i", "--token-audience=a")
    assert done.returncode == 0, done.stderr
    found = verified(done.stdout.strip(), issuer="i", audience="a")
    assert found.scopes == {"read", "submit"}
    assert found.boards.every


@pytest.mark.parametrize("algorithm", PRIVATE)
def test_a_private_key_signs(tmp_path: Path, algorithm: str) -> None:
    (tmp_path / "key.pem").write_bytes(private_pem(PRIVATE[algorithm]))
    done = run(
        tmp_path,
        *("token", "--scope=admin", "--token-private-key=key.pem", "--key-id=2026"),
        environ={"TORNADO_BOARD_TOKEN_SECRET": SECRET},
    )
    assert done.returncode == 0, done.stderr
    text = done.stdout.strip()
    assert jwt.get_unverified_header(text) == {"alg": algorithm, "typ": "JWT", "kid": "2026"}
    assert verified(text).scopes == {"read", "submit", "write", "admin"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: --scope"),
        (["--scope=root"], "--scope: expected one of read, submit, write, admin"),
        (["--scope="], "--scope: expected"),
        (["--scope=read"], "a token needs a key: set token_secret"),
        (["--scope=read", "--token-secret=short"], "token_secret: has 5 bytes"),
        (["--scope=read", "--token-secret-file=none"], "token_secret_file: 'none': No such file"),
        (["--scope=read", "--token-private-key=none"], "token_private_key: 'none': No such file"),
        (["--scope=read", "--board=a/b"], "--board: each is 1 to 64 characters"),
        (["--scope=read", "--board="], "--board: expected an id or a pattern"),
        (["--scope=submit", "--player=.."], "--player: expected the id"),
        (["--scope=read", "--expires=soon"], "--expires: expected a time such as 30s"),
        (["--scope=read", "--expires=0h"], "--expires: expected"),
        (["--scope=read", "--expires=9999d"], "--expires: 3660 days are the most"),
        (["--scope=read", "--expires=1٣h"], "--expires: expected"),
        (["--scope=read", "--lifetime=1h"], "unknown setting '--lifetime'"),
        (["--scope=read", "more"], "unexpected argument 'more'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    done = run(tmp_path, "token", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_help_names_it(tmp_path: Path) -> None:
    assert "tornado-board token makes a token" in run(tmp_path, "--help").stdout
    shown = run(tmp_path, "token", "--help")
    assert shown.returncode == 0
    assert "--scope=submit --board=cup --player=ada" in shown.stdout
