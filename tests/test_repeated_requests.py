"""Requests with an ``Idempotency-Key``, over HTTP: carried out once, however often they come."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tornado_board.settings import Settings
from tornado_board.store import StoreUnavailable

from .problems import problem
from .ranking_client import lines, post
from .serving import Answer, serving

WRITES = [
    ("POST", "/boards/", '{"name": "N"}'),
    ("POST", "/boards/", None),
    ("POST", "/boards/", '{"id": "own"}'),
    ("PATCH", "/boards/demo/", '{"top": 7}'),
    ("POST", "/boards/demo/players/", '{"name": "x"}'),
    ("POST", "/boards/demo/players/", '{"name": "x", "id": "own"}'),
    ("PATCH", "/boards/demo/players/mars/", '{"score": 77, "meta": {"a": 1}}'),
    ("POST", "/boards/demo/players/mars/score/", '{"score": 1, "operator": "add"}'),
    ("POST", "/boards/demo/players/new/score/", '{"score": 1, "operator": "add"}'),
    ("POST", "/boards/demo/players/mars/score-add/", None),
    ("POST", "/boards/demo/players/new/score-add/?create=1", "{}"),
    (
        "POST",
        "/boards/demo/scores/",
        '[{"id": "mars", "score": 1, "operator": "add"}, {"id": "n", "score": 1}]',
    ),
]


@pytest.mark.parametrize("write", WRITES, ids=lambda write: f"{write[0]} {write[1]}")
@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.gen_test
async def test_a_request_that_comes_again_is_carried_out_once(
    settings: Settings, write: tuple[str, str, str | None], restart: bool
) -> None:
    method, target, body = write
    key = {"Idempotency-Key": "!a-key~"}
    async with serving(settings) as served:
        first = await served.request(method, target, body, key)
        assert first.status in (200, 201), first
        assert "Idempotency-Replayed" not in first.headers
        after = served.dump()
        if not restart:
            again = await served.request(method, target.replace("/?", "?"), body, key)
            check_replayed(first, again)
            assert served.dump() == after
    async with serving(settings) as served:
        after = served.dump()
        again = await served.request(method, target, body, key)
        check_replayed(first, again)
        assert served.dump() == after
        other = await served.request(method, target, '{"top": 9, "name": "other"}', key)
        assert "key" in problem(other, 422)
        assert served.dump() == after
        # Another key is another request.
        fresh = await served.request(method, target, body, {"Idempotency-Key": "b"})
        assert "Idempotency-Replayed" not in fresh.headers


def check_replayed(first: Answer, again: Answer) -> None:
    """That `again` is the answer `first`."""
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.status == first.status
    assert again.headers.get("Location") == first.headers.get("Location")
    assert again.headers["Content-Type"] == first.headers["Content-Type"]
    assert again.body == first.body


@pytest.mark.gen_test
async def test_an_answer_in_memory_has_the_rank_of_its_time(settings: Settings) -> None:
    target, key = "/boards/demo/players/mars/score/", {"Idempotency-Key": "k"}
    async with serving(settings) as served:
        first = await served.request("POST", target, '{"score": 30}', key)
        assert first.json()["rank"] == 2
        await post(served, "/boards/demo/players/venus/score/", {"score": 1, "operator": "set"})
        again = await served.request("POST", target, '{"score": 30}', key)
    check_replayed(first, again)


@pytest.mark.gen_test
async def test_what_was_refused_may_be_tried_again(settings: Settings) -> None:
    target, key = "/boards/demo/players/none/score-add/", {"Idempotency-Key": "k"}
    async with serving(settings) as served:
        problem(await served.request("POST", target, None, key), 404)
        await post(served, "/boards/demo/players/none/score/", {"score": 1})
        again = await served.request("POST", target, None, key)
    assert (again.status, again.json()["score"]) == (200, 2)
    assert "Idempotency-Replayed" not in again.headers


@pytest.mark.gen_test
async def test_keys_are_apart_by_what_they_are_about(settings: Settings) -> None:
    key = {"Idempotency-Key": "k"}
    async with serving(settings) as served:
        for player_id, score in (("mars", 20), ("venus", 32)):
            target = f"/boards/demo/players/{player_id}/score-add/"
            answer = await served.request("POST", target, None, key)
            assert answer.json()["score"] == score
        # The same player, by another way.
        other = await post(served, "/boards/demo/players/mars/score/", {"score": 99}, **key)
        problem(other, 422)
        # Reading, and deleting, are the same each time anyway.
        assert (await served.request("GET", "/boards/demo/", None, key)).status == 200


@pytest.mark.gen_test
async def test_a_request_that_is_under_way(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, key = "/boards/demo/players/mars/score-add/", {"Idempotency-Key": "k"}
    async with serving(settings) as served:
        add, begun, go_on = served.store.add_score, asyncio.Event(), asyncio.Event()

        async def slow(*arguments: Any, **named: Any) -> Any:
            begun.set()
            await go_on.wait()
            return await add(*arguments, **named)

        monkeypatch.setattr(served.store, "add_score", slow)
        first = asyncio.ensure_future(served.request("POST", target, None, key))
        await begun.wait()
        assert "under way" in problem(await served.request("POST", target, None, key), 409)
        problem(await served.request("POST", target, "{}", key), 422)
        go_on.set()
        assert (await first).json()["score"] == 20
        check_replayed(await first, await served.request("POST", target, None, key))


@pytest.mark.gen_test
async def test_many_of_one_key_at_the_same_time(settings: Settings) -> None:
    target, key = "/boards/demo/players/mars/score-add/", {"Idempotency-Key": "k"}
    async with serving(settings) as served:
        requests = [served.request("POST", target, None, key) for _ in range(20)]
        statuses = {answer.status for answer in await asyncio.gather(*requests)}
        assert 200 in statuses
        assert statuses <= {200, 409}
        last = await served.request("POST", target, None, key)
        assert last.json()["score"] == 20


@pytest.mark.gen_test
async def test_a_bulk_that_was_stored_in_part_is_not_kept_in_memory(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = {"Idempotency-Key": "k"}
    body = [{"id": "mars", "score": 1, "operator": "add"}]
    async with serving(settings) as served:
        submit = served.store.submit

        async def away(*_: object, **__: object) -> list[Any]:
            return [StoreUnavailable("away")]

        monkeypatch.setattr(served.store, "submit", away)
        first = await post(served, "/boards/demo/scores/", body, **key)
        assert lines(first) == [{"status": 503, "detail": "away"}]
        monkeypatch.setattr(served.store, "submit", submit)
        again = await post(served, "/boards/demo/scores/", body, **key)
        assert lines(again)[0]["score"] == 20
        assert "Idempotency-Replayed" not in again.headers
        check_replayed(again, await post(served, "/boards/demo/scores/", body, **key))
