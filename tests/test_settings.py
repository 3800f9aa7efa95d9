"""Settings: where they come from, which one weighs more, their bounds, and ``--help``."""

from __future__ import annotations

import dataclasses
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from tornado_board.settings import Settings, SettingsError, checked, load

from .server_process import ROOT

FIELDS = dataclasses.fields(Settings)
NUMBERS = [f for f in FIELDS if f.metadata["low"] is not None]
TYPES = get_type_hints(Settings)


@pytest.fixture
def dotenv_file(tmp_path: Path) -> Path:
    return tmp_path / ".env"


def test_without_anything_the_defaults_hold(dotenv_file: Path) -> None:
    assert load([], {}, dotenv_file) == Settings()


def test_flags_weigh_more_than_the_environment_and_that_more_than_the_file(
    dotenv_file: Path,
) -> None:
    dotenv_file.write_text("PORT=1001\nADDRESS=file.example\nSQUASH=0.1\nREDIS_URL=redis://file\n")
    environ = {"PORT": "1002", "ADDRESS": "environ.example"}
    settings = load(["--port=1003"], environ, dotenv_file)
    assert settings.port == 1003
    assert settings.address == "environ.example"
    assert settings.squash == 0.1
    assert settings.redis_url == "redis://file"
    assert settings.keepalive == Settings().keepalive


def test_the_env_file_is_read_as_it_is(dotenv_file: Path) -> None:
    """Passwords may hold what a shell would expand."""
    dotenv_file.write_text(
        "# a comment\nexport DATABASE_URL='rethinkdb://u:p${HOME}w#x@db/b'\nUNKNOWN=1\n\nPORT=\n"
    )
    settings = load([], {}, dotenv_file)
    assert settings.database_url == "rethinkdb://u:p${HOME}w#x@db/b"
    assert settings.port == Settings().port, "an empty variable is none"


def test_an_env_file_that_cannot_be_read_is_an_error(tmp_path: Path, dotenv_file: Path) -> None:
    dotenv_file.write_bytes(b"PORT=\xff\xfe")
    with pytest.raises(SettingsError, match=r"\.env"):
        load([], {}, dotenv_file)


@pytest.mark.parametrize("field", FIELDS, ids=lambda f: f.name)
def test_every_setting_has_a_flag_a_variable_and_a_line_in_the_file(
    field: Any, dotenv_file: Path
) -> None:
    """The flag works with hyphens and with underscores."""
    value: Any = "/some/file"
    if field.name == "log_level":
        value = "warning"
    elif field.name == "database_durability":
        value = "soft"
    elif TYPES[field.name] is bool:
        value = True
    elif field.metadata["low"] is not None:
        value = field.metadata["low"]
    elif TYPES[field.name] == tuple[str, ...]:
        value = ("https://a.example", "https://b.example")
    text = ",".join(value) if isinstance(value, tuple) else str(value)
    hyphens = field.name.replace("_", "-")
    # These two go together.
    other = {"tls_key": "tls_certificate", "tls_certificate": "tls_key"}.get(field.name)
    more = [f"--{other}=/other"] if other else []
    for arguments, environ, line in (
        ([f"--{field.name}={text}"], {}, ""),
        ([f"--{hyphens}={text}"], {}, ""),
        ([], {field.name.upper(): text}, ""),
        ([], {}, f"{field.name.upper()}={text}\n"),
    ):
        dotenv_file.write_text(line)
        assert getattr(load([*arguments, *more], environ, dotenv_file), field.name) == value


@pytest.mark.parametrize("field", NUMBERS, ids=lambda f: f.name)
def test_every_number_has_bounds(field: Any, dotenv_file: Path) -> None:
    kind = TYPES[field.name]
    low, high = field.metadata["low"], field.metadata["high"]
    assert low <= field.default <= high
    for good in (low, high):
        assert getattr(load([f"--{field.name}={kind(good)}"], {}, dotenv_file), field.name) == good
    step = 1 if kind is int else 1e-3
    for bad in (low - step, high + step, -high - 1):
        for arguments, environ in (
            ([f"--{field.name}={bad}"], {}),
            ([], {field.name.upper(): str(bad)}),
        ):
            with pytest.raises(SettingsError, match=f"{field.name}: .* is not from"):
                load(arguments, environ, dotenv_file)
    for text in ("many", "1e999", "nan", "inf", "0x10", "1,5", "1 000", "--1"):
        with pytest.raises(SettingsError, match=re.compile(field.name, re.I)):
            load([], {field.name.upper(): text}, dotenv_file)


def test_checked_refuses_what_no_text_can_spell() -> None:
    for name in ("squash", "keepalive"):
        with pytest.raises(SettingsError, match=name):
            checked(dataclasses.replace(Settings(), **{name: math.nan}))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--no-such-setting=1"],
        ["extra"],
        ["--port"],
        ["--port="],
        ["--port=80", "more"],
        ["-p", "80"],
        ["--log-level=loud"],
        ["--database-durability=none"],
        ["--tls-key=key.pem"],
        ["--tls-certificate=chain.pem"],
    ],
)
def test_bad_arguments_are_errors_that_name_them(arguments: list[str], dotenv_file: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        load(arguments, {}, dotenv_file)
    named = arguments[-1].lstrip("-").partition("=")[0]
    text = str(raised.value).replace("_", "-")
    assert named in text or arguments[0].lstrip("-") in text
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((text, True) for text in ("true", "True", "1", "yes", "on", "TRUE")),
        *((text, False) for text in ("false", "False", "0", "no", "off", "FALSE")),
        *((text, None) for text in ("maybe", "2", "tru", "none", "-", " ")),
    ],
)
def test_a_switch_is_on_off_or_an_error(
    text: str, expected: bool | None, dotenv_file: Path
) -> None:
    """Whether a proxy is believed must not depend on a spelling mistake."""
    for arguments, environ in (
        ([f"--trust-forwarded={text}"], {}),
        ([], {"TRUST_FORWARDED": text}),
    ):
        if expected is None:
            with pytest.raises(SettingsError, match=re.compile("trust.forwarded", re.I)):
                load(arguments, environ, dotenv_file)
        else:
            assert load(arguments, environ, dotenv_file).trust_forwarded is expected


def test_help_shows_every_setting_with_its_variable_and_default(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert done.stderr == ""
    text = "".join(done.stdout.split())  # it is wrapped, at hyphens too
    for field in FIELDS:
        assert f"--{field.name.replace('_', '-')}" in text
        assert f"[{field.name.upper()}]" in text
        assert "".join(field.metadata["help"].split()) in text
        if field.default not in ("", ()):
            assert f"[{field.name.upper()}](default{field.default})" in text, field.name
    assert list(tmp_path.iterdir()) == []


def test_a_redis_prefix_that_no_key_can_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="redis_prefix: 'a\\*' must be"):
        load(["--redis-prefix=a*"], {}, tmp_path / ".env")
    assert load(["--redis-prefix=game1:"], {}, tmp_path / ".env").redis_prefix == "game1:"
