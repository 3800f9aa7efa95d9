"""What is known of a Redis at the start: what can never serve ends it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tornado_board.replay import LogUnavailable, open_replay_log
from tornado_board.replay.redis_link import RedisLink
from tornado_board.settings import Settings

from .conftest import IDENTITY, Opened
from .ports import free_port
from .redis_server import RedisServer, least_rights

RIGHTS = [word for word in least_rights() if word.startswith("+")]


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server for the tests that take rights away."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    try:
        yield server.start()
    finally:
        server.close()


def _allow(server: RedisServer, *words: str) -> str:
    """Give a user the least rights and `words`; the URL with which it logs in."""
    rights = least_rights()[2:]
    server.client.execute_command("ACL", "SETUSER", "fewer", "reset", *rights, *words)
    return f"redis://fewer:secret@127.0.0.1:{server.port}/0"


@pytest.mark.parametrize("right", RIGHTS)
@pytest.mark.gen_test
async def test_every_right_of_the_docs_is_needed_and_asked_for_at_the_start(
    limited: RedisServer, settings: Settings, right: str
) -> None:
    url = _allow(limited, f"-{right[1:]}")
    with pytest.raises(LogUnavailable, match="lacks rights") as refused:
        await open_replay_log(url, settings, IDENTITY)
    text = str(refused.value)
    assert "\n" not in text
    assert right in text
    assert "secret" not in text


@pytest.mark.parametrize(
    ("words", "lack"),
    [(("resetchannels",), "channels"), (("resetkeys", "~other:*"), "keys")],
    ids=["channels", "keys"],
)
@pytest.mark.gen_test
async def test_names_that_the_user_may_not_touch_end_the_start(
    limited: RedisServer, settings: Settings, words: tuple[str, ...], lack: str
) -> None:
    with pytest.raises(LogUnavailable, match=f"lacks rights: the {lack}"):
        await open_replay_log(_allow(limited, *words), settings, IDENTITY)


@pytest.mark.gen_test
async def test_the_start_leaves_nothing_and_denies_nothing(
    limited: RedisServer, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    limited.client.execute_command("ACL", "LOG", "RESET")
    log = await open_replay_log(_allow(limited), settings, IDENTITY)
    await log.ping()
    await log.close()
    assert limited.client.dbsize() == 0
    assert limited.client.execute_command("ACL", "LOG") == []
    assert not caplog.records


@pytest.mark.gen_test
async def test_a_cluster_ends_the_start(own_redis: RedisServer, settings: Settings) -> None:
    own_redis.kill()
    # Without a port of its own its bus takes one 10,000 above, which there may not be.
    own_redis.options = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    own_redis.start()
    with pytest.raises(LogUnavailable, match="node of a cluster"):
        await open_replay_log(own_redis.url, settings, IDENTITY)


@pytest.mark.parametrize("way", ["replica", "full"])
@pytest.mark.gen_test
async def test_a_server_that_takes_no_writes_for_now_is_said_once(
    opened: Opened,
    own_redis: RedisServer,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    way: str,
) -> None:
    if way == "replica":
        own_redis.client.replicaof("127.0.0.1", "1")
    else:
        own_redis.client.config_set("maxmemory", "1mb")
    log = await opened.log(own_redis.url, settings)
    [record] = caplog.records
    assert ("read-only replica" if way == "replica" else "OOM") in record.getMessage()
    with pytest.raises(LogUnavailable):
        await log.append("b", "1")
    own_redis.client.replicaof("NO", "ONE")
    own_redis.client.config_set("maxmemory", "0")
    await log.append("b", "1")


@pytest.fixture
def tls_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A server with a certificate that nobody but itself signed."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", "key.pem", "-out", "certificate.pem"),
        ],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    server = RedisServer(tmp_path)
    plain = server.port
    server.options = (
        *("--port", str(plain), "--tls-port", str(RedisServer(tmp_path).port)),
        *("--tls-cert-file", "certificate.pem", "--tls-key-file", "key.pem"),
        *("--tls-auth-clients", "no"),
    )
    try:
        yield server.start()
    finally:
        server.close()


@pytest.mark.gen_test
async def test_a_certificate_that_cannot_be_checked_ends_the_start(
    opened: Opened, tls_redis: RedisServer, settings: Settings
) -> None:
    port = tls_redis.options[3]
    url = f"rediss://board:secret@localhost:{port}/0"
    with pytest.raises(LogUnavailable, match="certificate can't be checked: self"):
        await open_replay_log(url, settings, IDENTITY)
    with pytest.raises(LogUnavailable, match="No such file"):
        await open_replay_log(f"{url}?ssl_ca_certs=/nowhere.pem", settings, IDENTITY)
    trusted = await opened.log(f"{url}?ssl_ca_certs={tls_redis.folder}/certificate.pem", settings)
    await trusted.append("b", "1")


FORMS = [
    "redis://:{}@localhost/0",
    "redis://{}@localhost/0",
    "redis://bob:{}@localhost:6379/0",
    "redis:/bob:{}@localhost",
    "redis:bob:{}@localhost",
    "//bob:{}@localhost",
    "{}",
    "{}://localhost/0",
    "bob:{}@localhost:6379",
    "redis://localhost:6379/0?password={}",
    "redis://localhost:6379/0?pasword={}",
    "redis://localhost:6379/{}",
    "redis://localhost:{}/0",
    "redis://localhost/0#{}",
    "rediss://bob:{}@[::1/0",
    "unix://bob:{}@/run/redis.sock",
    "unix://bob:{}/run/redis.sock",
    "sqlite://bob:{}@localhost/x",
    "http://bob:{}@localhost/",
]


@given(form=st.sampled_from(FORMS), around=st.tuples(st.text(max_size=4), st.text(max_size=4)))
@example("redis://:{}@localhost/0", ("12?a=", ""))
@example("redis://:{}@localhost/0", ("a\N{ACCOUNT OF}", ""))
@example("redis://:{}@localhost/0", ("[", ""))
@example("redis://localhost:6379/0?password={}", ("&", "=1"))
def test_no_message_shows_any_of_a_password(form: str, around: tuple[str, str]) -> None:
    # An @ that is not there otherwise makes a right URL with another host of it.
    assume("@" in form or "@" not in "".join(around))
    url = form.format(f"{around[0]}Zq7Zq7{around[1]}")
    try:
        shown = RedisLink(url, 1).description
    except ValueError as error:
        shown = f"{error!r} {error.__cause__!r}"
    assert "zq7" not in shown.lower()
