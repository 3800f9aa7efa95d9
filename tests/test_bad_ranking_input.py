"""Bad requests about settings, submissions, pages and keys: told so, and nothing is changed."""

from __future__ import annotations

import logging

import pytest

from tornado_board.settings import Settings

from .bad_ranking_requests import (
    BAD,
    BOARDS,
    BOUNDED_PLAYER,
    NDJSON,
    NOT_KEYS,
    SCORE,
    SCORES,
    WRITES,
)
from .bad_requests import NOT_IDS, NOT_NUMBERS
from .bad_requests import Bad as Bad
from .problems import problem
from .serving import serving


def test_the_table_is_long_enough() -> None:
    assert len(set(BAD)) >= 100
    assert len({(bad.method, bad.target) for bad in BAD}) > 100


@pytest.mark.parametrize("status", sorted({bad.status for bad in BAD}))
@pytest.mark.gen_test
async def test_bad_requests_are_told_so_and_change_nothing(
    settings: Settings, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with serving(settings) as served:
        body = '{"id": "bounded", "name": "B", "min": 0, "max": 100}'
        assert (await served.request("POST", BOARDS, body)).status == 201
        answer = await served.request("POST", f"{BOUNDED_PLAYER}score/", '{"score": 50}')
        assert answer.status == 201
        caplog.clear()
        before = served.dump()
        for bad in BAD:
            if bad.status == status:
                headers = {"Content-Type": bad.content_type} if bad.body else {}
                answer = await served.request(bad.method, bad.target, bad.body, headers)
                what = repr(bad)[:300]
                assert answer.status == bad.status, f"{what}: {answer}"
                assert bad.word in problem(answer), f"{what}: {answer}"
                assert served.dump() == before, what
        assert (await served.request("POST", SCORE, '{"score": 99}')).status == 200
        assert served.dump() != before
    assert [record.getMessage() for record in caplog.records] == []


@pytest.mark.gen_test
async def test_a_key_that_is_none_is_told_so(settings: Settings) -> None:
    async with serving(settings) as served:
        before = served.dump()
        for method, target, body in WRITES:
            for key in NOT_KEYS:
                answer = await served.request(method, target, body, {"Idempotency-Key": key})
                assert answer.status == 400, key
                assert "Idempotency-Key" in problem(answer)
            head = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            empty = await served.send(
                f"{head}Idempotency-Key:\r\nContent-Length: 0\r\n\r\n".encode()
            )
            assert empty.startswith(b"HTTP/1.1 400 ")
        assert served.dump() == before


@pytest.mark.parametrize("wrong", ['{"id": "mars"}', "1", '{"id": "mars", "score": "9"}'])
@pytest.mark.gen_test
async def test_many_that_are_all_wrong_change_nothing(settings: Settings, wrong: str) -> None:
    async with serving(settings) as served:
        before = served.dump()
        for body, kind in (
            (f"[{wrong}, {wrong}]", "application/json"),
            (f"{wrong}\n{wrong}", NDJSON),
        ):
            answer = await served.request("POST", SCORES, body, {"Content-Type": kind})
            assert answer.status == 200
            assert answer.body.count(b'"status":400') == 2
        assert served.dump() == before


@pytest.mark.parametrize("number", NOT_NUMBERS)
@pytest.mark.parametrize("id", [None, *NOT_IDS[:4]])
@pytest.mark.gen_test
async def test_one_that_is_wrong_is_told_as_if_alone(
    settings: Settings, number: str, id: str | None
) -> None:
    item = f'{{"id": {id or chr(34) + "mars" + chr(34)}, "score": {number if id is None else 1}}}'
    async with serving(settings) as served:
        answer = await served.request("POST", SCORES, f'[{item}, {{"id": "mars", "score": 50}}]')
        wrong, right = answer.json()
    assert wrong["status"] == 400
    assert wrong["detail"].startswith("score: " if id is None else "id: ")
    assert (right["status"], right["score"]) == (200, 50)
