"""Settings: where they come from, which one weighs more, their bounds, and ``--help``."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tornado_board import __version__
from tornado_board.checked_settings import FIELDS, TYPES, checked
from tornado_board.command_line import PREFIX, load
from tornado_board.settings import Settings, SettingsError

from .server_process import ROOT

NUMBERS = [f for f in FIELDS.values() if f.metadata["low"] is not None]


@pytest.fixture
def dotenv_file(tmp_path: Path) -> Path:
    return tmp_path / ".env"


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_without_anything_the_defaults_hold(dotenv_file: Path) -> None:
    assert load([], {}, dotenv_file) == Settings()


def test_flags_weigh_more_than_the_environment_and_that_more_than_the_file(
    dotenv_file: Path,
) -> None:
    dotenv_file.write_text(
        "PORT=1001\nTORNADO_BOARD_ADDRESS=file.example\n"
        "TORNADO_BOARD_COALESCE=0.1\nREDIS_URL=redis://file\n"
    )
    environ = {"PORT": "1002", "TORNADO_BOARD_ADDRESS": "environ.example"}
    settings = load(["--port=1003"], environ, dotenv_file)
    assert settings.port == 1003
    assert settings.address == "environ.example"
    assert settings.coalesce == 0.1
    assert settings.redis_url == "redis://file"
    assert settings.keepalive == Settings().keepalive


def test_lists_have_commas(dotenv_file: Path) -> None:
    environ = {"ALLOWED_ORIGINS": "https://a.example,https://b.example"}
    settings = load(["--allowed-hosts=a.example,*.b.example"], environ, dotenv_file)
    assert settings.allowed_hosts == ("a.example", "*.b.example")
    assert settings.allowed_origins == ("https://a.example", "https://b.example")


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


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL", "PORT"])
def test_three_variables_are_known_without_the_prefix_too(name: str, dotenv_file: Path) -> None:
    """Hosting services set them; the name with the prefix weighs more."""
    notices: list[str] = []
    bare, prefixed = {name: "81"}, {f"{PREFIX}{name}": "82"}
    for environ, value in ((bare, "81"), (prefixed, "82"), (bare | prefixed, "82")):
        settings = load([], environ, dotenv_file, notices)
        assert str(getattr(settings, name.lower())) == value
    assert notices == []


@pytest.mark.parametrize("name", ["ADDRESS", "LEASE", "LOG_LEVEL", "PROCESSES"])
def test_what_other_programs_call_their_own_is_left_to_them(name: str, dotenv_file: Path) -> None:
    notices: list[str] = []
    assert load([], {name: "INFO"}, dotenv_file, notices) == Settings()
    assert notices == []
    # The file is more likely to be meant for this server.
    dotenv_file.write_text(f"{name}=4\n")
    assert load([], {}, dotenv_file, notices) == Settings()
    (notice,) = notices
    assert f"{name} in " in notice
    assert f"is not read; write TORNADO_BOARD_{name}" in notice


def test_an_earlier_name_works_and_is_named_once(dotenv_file: Path) -> None:
    notices: list[str] = []
    settings = load([], {"TLS_KEY": "k", "TLS_CERTIFICATE": "c"}, dotenv_file, notices)
    assert (settings.tls_key, settings.tls_certificate) == ("k", "c")
    assert len(notices) == 2
    assert "TLS_KEY is an old name" in notices[1]
    assert "write TORNADO_BOARD_TLS_KEY" in notices[1]
    both = {"SQUASH": "1", "TORNADO_BOARD_COALESCE": "2"}
    assert load([], both, dotenv_file, notices).coalesce == 2
    assert len(notices) == 2


@pytest.mark.parametrize(
    ("arguments", "environ", "old", "new"),
    [
        (["--standings_depth=20"], {}, "--standings-depth", "--top-k"),
        (["--standings-depth", "20"], {}, "--standings-depth", "--top-k"),
        ([], {"STANDINGS_DEPTH": "20"}, "STANDINGS_DEPTH", "TORNADO_BOARD_TOP_K"),
        (
            [],
            {"TORNADO_BOARD_STANDINGS_DEPTH": "20"},
            "TORNADO_BOARD_STANDINGS_DEPTH",
            "TORNADO_BOARD_TOP_K",
        ),
    ],
)
def test_a_setting_that_was_renamed_is_known_by_its_old_name(
    dotenv_file: Path, arguments: list[str], environ: dict[str, str], old: str, new: str
) -> None:
    notices: list[str] = []
    assert load(arguments, environ, dotenv_file, notices).top_k == 20
    (notice,) = notices
    assert notice == f"{old} is an old name that a later version will not read; write {new}"
    assert load([], {"TOP_K": "20"}, dotenv_file) == Settings()


def test_a_misspelled_variable_is_told_with_the_nearest_name(dotenv_file: Path) -> None:
    notices: list[str] = []
    dotenv_file.write_text("TORNADO_BOARD_TRUST_FORWARD=1\n")
    environ = {
        # What Kubernetes sets for a service called tornado-board.
        "TORNADO_BOARD_PORT": "tcp://10.0.0.1:8888",
        "TORNADO_BOARD_PORT_8888_TCP_ADDR": "10.0.0.1",
        "TORNADO_BOARD_SERVICE_PORT": "8888",
        "TORNADO_BOARD_SKIP_PAGE": "1",
    }
    assert load([], environ, dotenv_file, notices) == Settings()
    (notice,) = notices
    assert "TORNADO_BOARD_TRUST_FORWARD'" in notice
    assert "did you mean TORNADO_BOARD_TRUST_FORWARDED?" in notice


@pytest.mark.parametrize("field", FIELDS.values(), ids=lambda f: f.name)
def test_every_setting_has_a_flag_a_variable_and_a_line_in_the_file(
    field: Any, dotenv_file: Path
) -> None:
    """The flag works with hyphens and with underscores, with ``=`` and without."""
    value: Any = "a.cookie" if field.name == "token_cookie" else "/some/file"
    if field.metadata["choices"]:
        value = field.metadata["choices"][-1]
    elif TYPES[field.name] is bool:
        value = True
    elif field.metadata["low"] is not None:
        value = field.metadata["low"]
    elif TYPES[field.name] == tuple[str, ...]:
        value = ("https://a.example", "https://b.example")
    text = ",".join(value) if isinstance(value, tuple) else str(value)
    hyphens = field.name.replace("_", "-")
    # These go together.
    other = {
        "tls_key": "tls_certificate",
        "tls_certificate": "tls_key",
        "private": "token_keys",
    }.get(field.name)
    more = [f"--{other}=/other"] if other else []
    for arguments, environ, line in (
        ([f"--{field.name}={text}"], {}, ""),
        ([f"--{hyphens}={text}"], {}, ""),
        ([f"--{hyphens}", text], {}, ""),
        ([], {f"{PREFIX}{field.name.upper()}": text}, ""),
        ([], {}, f"{PREFIX}{field.name.upper()}={text}\n"),
    ):
        dotenv_file.write_text(line)
        assert getattr(load([*arguments, *more], environ, dotenv_file), field.name) == value


@pytest.mark.parametrize("field", NUMBERS, ids=lambda f: f.name)
def test_every_number_has_bounds(field: Any, dotenv_file: Path) -> None:
    kind = TYPES[field.name]
    flag, variable = f"--{field.name.replace('_', '-')}", f"{PREFIX}{field.name.upper()}"
    low, high = field.metadata["low"], field.metadata["high"]
    assert low <= field.default <= high
    for good in (low, high):
        assert getattr(load([f"{flag}={kind(good)}"], {}, dotenv_file), field.name) == good
    step = 1 if kind is int else 1e-3
    for bad in (low - step, high + step, -high - 1):
        for arguments, environ, name in (
            ([f"{flag}={bad}"], {}, flag),
            ([flag, str(bad)], {}, flag),
            ([], {variable: str(bad)}, variable),
        ):
            with pytest.raises(SettingsError, match=f"^{name}: .* is out of range; expected a "):
                load(arguments, environ, dotenv_file)
    wrong = ("many", "1e999", "nan", "inf", "0x10", "1,5", "1 000", "1_000", "--1", "٣", "9" * 5000)
    for text in wrong:
        with pytest.raises(SettingsError, match=f"^{variable}: .* expected a "):
            load([], {variable: text}, dotenv_file)


def test_checked_refuses_what_no_text_can_spell() -> None:
    for wrong in (Settings(coalesce=math.nan), Settings(log_level="loud")):
        with pytest.raises(SettingsError, match=r"coalesce|log_level"):
            checked(wrong)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--port=abc"],
            "--port: 'abc' is not a valid int; expected a whole number from 0 to 65535",
        ),
        (["--port", "1.5"], "--port: '1.5' is not a valid int"),
        (
            ["--keepalive=soon"],
            "--keepalive: 'soon' is not a valid float; expected a number from 0.05 to",
        ),
        (["--no-such-setting=1"], "unknown setting '--no-such-setting'"),
        (["--prot=80"], "did you mean --port?"),
        (["--data_base-url=x"], "did you mean --database-url?"),
        (["extra"], "unexpected argument 'extra'"),
        (["--port"], "--port: needs a value"),
        (["--port="], "--port: '' is not a valid int"),
        (["--port=80", "more"], "unexpected argument 'more'"),
        (["-p", "80"], "unknown setting '-p'"),
        (["--por=80"], "did you mean --port?"),
        (
            ["--log-level=loud"],
            "--log-level: 'loud' is not known; expected debug, info, warning or error",
        ),
        (
            ["--database-durability=none"],
            "--database-durability: 'none' is not known; expected hard or soft",
        ),
        (["--tls-key=key.pem"], "tls_certificate and tls_key go together"),
        (["--tls-certificate=chain.pem"], "tls_certificate and tls_key go together"),
        (["--private"], "private: without token_secret, token_secret_file or token_keys nobody"),
        (["--token-cookie=a=b"], "token_cookie: 'a=b' is no name of a cookie"),
        (["--frame-ancestors=example.org"], "'example.org' is no origin; expected such as"),
        (["--frame-ancestors=https://a.test; script-src *"], "is no origin; expected such as"),
        (["--token-cookie", "c" * 65], "is no name of a cookie; expected 64 characters"),
    ],
)
def test_bad_arguments_are_errors_that_name_them(
    arguments: list[str], message: str, dotenv_file: Path
) -> None:
    with pytest.raises(SettingsError) as raised:
        load(arguments, {}, dotenv_file)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--no-such-setting=rethinkdb://u:s3cret@h/d"],
        ["--no-such-setting", "rethinkdb://u:s3cret@h/d"],
        ["rethinkdb://u:s3cret@h/d"],
        ["--port=rethinkdb://u:s3cret@h/d"],
        ["--log-level", "rethinkdb://u:s3cret@h/d"],
        ["--rethinkdb://u:s3cret@h/d"],
    ],
)
def test_no_message_shows_a_password(arguments: list[str], dotenv_file: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        load(arguments, {}, dotenv_file)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("text", ["INFO", "Info", " info "])
def test_the_case_of_a_choice_does_not_matter(text: str, dotenv_file: Path) -> None:
    assert load([f"--log-level={text}"], {}, dotenv_file).log_level == "info"
    assert load([], {"TORNADO_BOARD_LOG_LEVEL": text}, dotenv_file).log_level == "info"


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
        ([], {"TORNADO_BOARD_TRUST_FORWARDED": text}),
    ):
        if expected is None:
            with pytest.raises(SettingsError, match=re.compile("trust.forwarded", re.I)):
                load(arguments, environ, dotenv_file)
        else:
            assert load(arguments, environ, dotenv_file).trust_forwarded is expected


def test_a_switch_without_a_value_is_on(dotenv_file: Path) -> None:
    settings = load(["--trust-forwarded", "--port=1"], {}, dotenv_file)
    assert (settings.trust_forwarded, settings.port) == (True, 1)


@pytest.mark.parametrize("asked", ["--help", "-h"])
def test_help_shows_every_setting_with_its_variable_and_default(tmp_path: Path, asked: str) -> None:
    done = run(tmp_path, asked)
    assert done.returncode == 0
    assert done.stderr == ""
    text = "".join(done.stdout.split())  # it is wrapped, at hyphens too
    for field in FIELDS.values():
        assert f"--{field.name.replace('_', '-')}" in text
        variable = f"{PREFIX}{field.name.upper()}"
        if field.metadata["bare"]:
            variable += f"or{field.name.upper()}"
        assert f"[{variable}]" in text
        assert "".join(field.metadata["help"].split()) in text
        if field.default not in ("", ()):
            default = str(field.default)
            default = default.lower() if TYPES[field.name] is bool else default
            assert f"[{variable}](default{default})" in text, field.name
    assert list(tmp_path.iterdir()) == []


def test_the_version(tmp_path: Path) -> None:
    done = run(tmp_path, "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"tornado_board {__version__}\n", "")


def test_a_redis_prefix_that_no_key_can_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="redis_prefix: 'a\\*' must be"):
        load(["--redis-prefix=a*"], {}, tmp_path / ".env")
    assert load(["--redis-prefix=game1:"], {}, tmp_path / ".env").redis_prefix == "game1:"
