"""Bad requests: each gets its status and a problem that says what to do, and changes nothing."""

from __future__ import annotations

import logging

import pytest

from tornado_board.settings import Settings

from .bad_requests import ADD, BAD, JSON, MALFORMED, Bad
from .problems import problem
from .serving import Served, parse, serving


async def rejected(served: Served, bad: Bad) -> None:
    """Check the answer to one request."""
    answer = await served.request(
        bad.method, bad.target, bad.body, {"Content-Type": bad.content_type} if bad.body else {}
    )
    what = repr(bad)[:300]
    assert answer.status == bad.status, f"{what}: {answer}"
    assert bad.word in problem(answer), what
    if bad.status == 415:
        assert JSON in answer.headers["Accept-Post"] or "UTF-8" in bad.word


def test_the_table_is_long_enough() -> None:
    assert len(set(BAD)) >= 60
    assert len({(bad.method, bad.target) for bad in BAD}) > 30


@pytest.mark.parametrize("status", sorted({bad.status for bad in BAD}))
@pytest.mark.gen_test
async def test_bad_requests_are_told_so_and_change_nothing(
    settings: Settings, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with serving(settings) as served:
        caplog.clear()
        before = served.dump()
        for bad in BAD:
            if bad.status == status:
                await rejected(served, bad)
                assert served.dump() == before, repr(bad)[:300]
        assert (await served.request("POST", ADD)).status == 200
        assert served.dump() != before
    assert [record.getMessage() for record in caplog.records] == []


@pytest.mark.parametrize("what", MALFORMED)
@pytest.mark.gen_test
async def test_what_is_not_http_is_refused(
    settings: Settings, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    data = MALFORMED[what]
    async with serving(settings) as served:
        caplog.clear()
        before = served.dump()
        if b"%s" in data:
            data = data.replace(b"%s", ADD.encode())
        answer = parse(await served.send(data))
        assert answer.status == 400, answer
        assert answer.headers["Connection"] == "close"
        assert "HTTP/1.1" in problem(answer)
        assert served.dump() == before
    assert [record.getMessage() for record in caplog.records] == []


@pytest.mark.gen_test
async def test_a_compressed_body_is_not_taken(settings: Settings) -> None:
    async with serving(settings) as served:
        before = served.dump()
        answer = await served.request("POST", ADD, b"\x1f\x8b", {"Content-Encoding": "gzip"})
        assert answer.status == 415
        assert "plain" in problem(answer)
        assert served.dump() == before


@pytest.mark.gen_test
async def test_a_bug_is_a_500_that_tells_nothing(
    settings: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(settings) as served:

        async def broken(*_: object, **__: object) -> None:
            raise ZeroDivisionError("secret")

        monkeypatch.setattr(served.store, "add_score", broken)
        answer = await served.request("POST", ADD)
    assert answer.status == 500
    assert "secret" not in problem(answer)
    assert "ZeroDivisionError: secret" in caplog.text
