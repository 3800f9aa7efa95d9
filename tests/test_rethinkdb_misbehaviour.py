"""What the RethinkDB store does when the server misbehaves: on the test server, which can be told
to."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import shutil
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from tornado_board.inputs import NewBoard, PlayerPatch
from tornado_board.settings import Settings
from tornado_board.store import (
    NotFound,
    OutcomeUnknown,
    StoreUnavailable,
    open_store,
)
from tornado_board.store.rethinkdb.address import Address

from .conftest import Opened
from .reql import ReQLServer
from .reql.values import ErrorType, ReQLError
from .rethinkdb_admin import eventually, impatient, silence, unavailable
from .waiting import until

pytestmark = pytest.mark.usefixtures("io_loop")


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    return impatient(settings, monkeypatch, timeout=1.0, wait=0.0)


# Start-up


@pytest.mark.parametrize(
    "url",
    [
        "rethinkdb://localhost:28015",
        "rethinkdb://localhost:28015/",
        "rethinkdb://localhost:port/db",
        "rethinkdb://localhost:99999/db",
        "rethinkdb://u:secret@localhost/a/b",
        "rethinkdb://u:secret@localhost/db?ssl=1",
        "rethinkdb://u:secret@localhost/a%20b",
        "rethinkdb://%C3%BC:secret@localhost/db",
        "rethinkdb:db",
    ],
)
@pytest.mark.gen_test
async def test_a_url_that_names_no_database_is_refused(url: str, settings: Settings) -> None:
    with pytest.raises(ValueError, match="database_url") as caught:
        await open_store(url, settings)
    assert "secret" not in str(caught.value)


def test_a_url_names_a_database_and_an_account() -> None:
    address = Address.parse("rethinkdb://me%40x:p%3A%2F%20w@[::1]:1234/my_db-1/")
    assert address == Address("::1", 1234, "my_db-1", "me@x", "p:/ w")
    assert str(address) == "[::1]:1234/my_db-1"
    assert "p:/" not in repr(address)
    assert Address.parse("rethinkdb://db.internal/x") == Address("db.internal", 28015, "x")


def test_a_certificate_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match=r"database_ca_certs.*nowhere\.pem"):
        Address.parse("rethinkdb://localhost/db", "nowhere.pem")


@pytest.mark.gen_test
async def test_the_password_is_taken_from_the_url_and_a_wrong_one_ends_the_start(
    opened: Opened, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    patient = dataclasses.replace(settings, database_wait=3600.0)
    async with ReQLServer(password="pä:ss/€") as server:
        store = await opened.store(server.url(user="admin:p%C3%A4%3Ass%2F%E2%82%AC@"), patient)
        await store.ping()
        assert "€" not in store.description
        await store.close()
        for user in ("", "admin:wrong@", "someone:p%C3%A4%3Ass%2F%E2%82%AC@"):
            with pytest.raises(StoreUnavailable, match="refused the user") as caught:
                await open_store(server.url(user=user), patient)
            assert "\n" not in str(caught.value)
            assert "wrong" not in str(caught.value).replace("Wrong password", "")
    assert "waiting" not in caplog.text


@pytest.mark.gen_test
async def test_start_up_waits_for_a_server_that_is_not_up_yet(
    opened: Opened, settings: Settings, reql: ReQLServer, caplog: pytest.LogCaptureFixture
) -> None:
    await reql.stop()
    opening = asyncio.ensure_future(
        opened.store(reql.url(), dataclasses.replace(settings, database_wait=30.0))
    )
    await asyncio.sleep(0.2)
    await reql.start()
    await (await opening).ping()
    (line,) = [m for m in caplog.messages if "waiting up to 30 s" in m]
    assert f"127.0.0.1:{reql.port}/test" in line


@pytest.mark.gen_test
async def test_start_up_fails_with_one_line_where_the_server_never_comes(
    settings: Settings, reql: ReQLServer, caplog: pytest.LogCaptureFixture
) -> None:
    await reql.stop()
    with pytest.raises(StoreUnavailable, match="can't be reached") as caught:
        await open_store(reql.url(), dataclasses.replace(settings, database_wait=2.0))
    assert "\n" not in str(caught.value)
    assert sum("waiting up to" in message for message in caplog.messages) == 1


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for ``localhost``, and its key in the same file."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on PATH to make a certificate with")
    path = tmp_path / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", tmp_path / "key.pem", "-out", path),
        ],
        check=True,
        capture_output=True,
    )
    path.write_bytes(path.read_bytes() + (tmp_path / "key.pem").read_bytes())
    return path


@pytest.mark.gen_test
async def test_tls_checks_the_certificate_and_the_name(
    opened: Opened, settings: Settings, certificate: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    secure = dataclasses.replace(settings, database_ca_certs=str(certificate), database_wait=3600.0)
    async with ReQLServer(tls=context) as server:
        store = await opened.store(server.url().replace("127.0.0.1", "localhost"), secure)
        await store.ping()
        await store.close()
        with pytest.raises(StoreUnavailable, match="certificate"):
            await open_store(server.url(), secure)
        with pytest.raises(StoreUnavailable):
            await open_store(server.url(), settings)


# Queries


@pytest.mark.gen_test
async def test_while_the_server_is_away_everything_fails_at_once_and_then_goes_on(
    opened: Opened, settings: Settings, reql: ReQLServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store = await opened.store(reql.url(), dataclasses.replace(settings, database_timeout=60.0))
    await reql.stop()
    await unavailable(store)
    began = time.monotonic()
    for call in (
        store.ping,
        store.changes,
        lambda: store.list_boards(1),
        lambda: store.ranking("demo", 5),
        lambda: store.create_board(NewBoard(id="b")),
        lambda: store.delete_board("demo"),
        lambda: store.add_score("demo", "venus", 1),
    ):
        with pytest.raises(StoreUnavailable, match=str(reql.port)):
            await call()
    assert time.monotonic() - began < 10  # of a timeout of 60 s
    await asyncio.sleep(0.3)
    await reql.start()
    assert (await eventually(lambda: store.add_score("demo", "venus", 1))).player.score == 32
    lines = [m for m in caplog.messages if "is away" in m or "is back" in m]
    assert len(lines) == 2, lines


@pytest.mark.gen_test
async def test_a_write_that_was_under_way_when_the_link_broke_has_an_unknown_outcome(
    opened: Opened, settings: Settings, reql: ReQLServer
) -> None:
    store = await opened.store(reql.url(), dataclasses.replace(settings, database_timeout=60.0))
    reql.answering.clear()  # the queries are carried out, their answers don't come
    calls = asyncio.gather(
        store.add_score("demo", "venus", 1),
        store.create_board(NewBoard(id="b")),
        store.ranking("demo", 5),
        return_exceptions=True,
    )
    tables = reql.databases["test"]
    await until(
        lambda: (
            tables["boards"].get("b") and (tables["players"].get("venus") or {}).get("score") == 32
        )
    )
    reql.drop_connections()
    reql.answering.set()
    added, made, read = await calls
    assert isinstance(added, OutcomeUnknown)
    assert isinstance(made, OutcomeUnknown)
    assert "may have been applied" in str(made)
    assert isinstance(read, StoreUnavailable)
    assert (await eventually(lambda: store.get_player("demo", "venus"))).score == 32
    assert (await store.get_board("b")).id == "b"


@pytest.mark.gen_test
async def test_a_silent_server_is_found_and_then_nothing_waits_for_it(
    opened: Opened, settings: Settings, reql: ReQLServer
) -> None:
    store = await opened.store(reql.url(), settings)
    async with silence(reql):
        results = await asyncio.gather(
            store.ranking("demo", 5),
            store.add_score("demo", "venus", 1),
            return_exceptions=True,
        )
        assert isinstance(results[0], StoreUnavailable)
        assert isinstance(results[1], OutcomeUnknown)
        await unavailable(store)
        # Now it knows. A hundred in a row would take 100 s if each waited for its timeout.
        began = time.monotonic()
        for _ in range(100):
            with pytest.raises(StoreUnavailable):
                await store.ranking("demo", 5)
        assert time.monotonic() - began < 10
    player = await eventually(lambda: store.get_player("demo", "venus"))
    assert player.score in (31, 32)


@pytest.mark.gen_test
async def test_an_answer_after_the_client_gave_up_does_no_harm(
    opened: Opened, settings: Settings, reql: ReQLServer
) -> None:
    store = await opened.store(reql.url(), settings)
    for cancelled in (False, True):
        reql.answering.clear()
        adding = asyncio.ensure_future(store.add_score("demo", "venus", 1))
        if cancelled:
            await asyncio.sleep(0.05)
            adding.cancel()
            with pytest.raises(asyncio.CancelledError):
                await adding
        else:
            with pytest.raises(OutcomeUnknown):
                await adding
        reql.answering.set()
        await eventually(store.ping)
    # Both were applied; neither was sent again.
    assert (await eventually(lambda: store.add_score("demo", "venus", 1))).player.score == 34


@pytest.mark.gen_test
async def test_what_the_server_says_of_a_failed_write_is_what_the_caller_gets(
    opened: Opened, settings: Settings, reql: ReQLServer
) -> None:
    store = await opened.store(reql.url(), settings)
    for kind, expected in [
        (ErrorType.OP_INDETERMINATE, OutcomeUnknown),
        (ErrorType.INTERNAL, OutcomeUnknown),
        (ErrorType.OP_FAILED, StoreUnavailable),
        (ErrorType.RESOURCE_LIMIT, StoreUnavailable),
        (ErrorType.PERMISSION_ERROR, StoreUnavailable),
    ]:
        reql.next_errors = [ReQLError("the server's reason", kind)]
        with pytest.raises(expected, match="the server's reason"):
            await store.add_score("demo", "venus", 1)
        reql.next_errors = [ReQLError("the server's reason", kind)]
        with pytest.raises(expected, match="the server's reason"):
            await store.create_board(NewBoard(id="b"))
    assert (await store.add_score("demo", "venus", 1)).player.score == 32
    assert [b.id for b in await store.list_boards(10)] == ["demo"]


@pytest.mark.gen_test
async def test_an_addition_whose_caller_went_away_before_its_turn_is_not_made(
    opened: Opened, settings: Settings, reql: ReQLServer
) -> None:
    store = await opened.store(reql.url(), settings)
    adding = asyncio.ensure_future(store.add_score("demo", "venus", 1))
    await asyncio.sleep(0)
    adding.cancel()
    assert (await store.add_score("demo", "venus", 5)).player.score == 36


@pytest.mark.gen_test
async def test_callers_that_go_away_free_their_places(
    opened: Opened, settings: Settings, reql: ReQLServer
) -> None:
    store = await opened.store(reql.url(), dataclasses.replace(settings, waiting_writes=6))
    await store.update_player("demo", "mars", PlayerPatch(score=2**53))
    for player_id in ("venus", "nobody", "mars"):  # found; missed, so tried twice; out of range
        reql.answering.clear()
        sent = [asyncio.ensure_future(store.add_score("demo", player_id, 1)) for _ in range(3)]
        await asyncio.sleep(0.05)
        waiting = [asyncio.ensure_future(store.add_score("demo", player_id, 1)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(StoreUnavailable, match="too many writes"):
            await store.add_score("demo", player_id, 1)
        for adding in sent + waiting:
            adding.cancel()
        await asyncio.sleep(0)
        reql.answering.set()

        async def six() -> None:
            await asyncio.gather(*[store.add_score("demo", "earth", 1) for _ in range(6)])

        await eventually(six)
    results = await asyncio.gather(
        *[store.add_score("demo", "earth", 1) for _ in range(8)], return_exceptions=True
    )
    assert sum(isinstance(result, StoreUnavailable) for result in results) == 2


@pytest.mark.gen_test
async def test_additions_that_wait_too_long_for_their_turn_are_refused(
    opened: Opened, settings: Settings, reql: ReQLServer
) -> None:
    store = await opened.store(reql.url(), settings)
    reql.answering.clear()
    first = asyncio.ensure_future(store.add_score("demo", "venus", 1))
    await asyncio.sleep(0.05)
    later = [asyncio.ensure_future(store.add_score("demo", "venus", 1)) for _ in range(20)]
    with pytest.raises(OutcomeUnknown):
        await first
    for adding in later:
        with pytest.raises((StoreUnavailable, OutcomeUnknown)):
            await adding
    reql.answering.set()
    # What was refused was not applied: only queries that were sent can have been.
    assert (await eventually(lambda: store.get_player("demo", "venus"))).score in (32, 52)
    with pytest.raises(NotFound):
        await store.add_score("demo", "nobody", 1)


@pytest.mark.gen_test
async def test_close_finishes_the_additions_under_way(settings: Settings, reql: ReQLServer) -> None:
    store = await open_store(reql.url(), settings)
    adding = [asyncio.ensure_future(store.add_score("demo", "venus", 1)) for _ in range(5)]
    await asyncio.sleep(0)
    await store.close()
    await store.close()
    assert [done.player.score for done in await asyncio.gather(*adding)] == [32, 33, 34, 35, 36]
    with pytest.raises(StoreUnavailable):
        await store.ping()
