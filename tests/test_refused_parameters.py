"""Parameters that are refused: to ignore them would be to do something else than was asked for."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import pytest

from tornado_board.settings import Settings

from .edges import Serve, edge_settings, url_of
from .problems import problem
from .serving import PATIENCE, Served, served_by, serving
from .stream_client import http_client

BOARD = "/boards/demo/"
MARS = f"{BOARD}players/mars/"

#: Requests whose answer, or whose change, is of now only.
OF_NOW = [
    ("GET", "/boards/?", ""),
    ("GET", f"{BOARD}?stream=1&", ""),
    ("GET", f"{BOARD}events/?wait=0&", ""),
    ("GET", f"{BOARD}events/?stream=1&", ""),
    ("HEAD", f"{BOARD}events/?", ""),
    ("GET", f"{MARS}events/?wait=0&", ""),
    ("GET", f"{MARS}events/?stream=1&", ""),
    ("GET", "/events/?board=demo&wait=0&", ""),
    ("GET", "/events/?board=demo&stream=1&", ""),
    ("GET", f"{BOARD}history/?", ""),
    ("GET", f"{BOARD}seasons/?", ""),
    ("POST", "/boards/?", ""),
    ("POST", f"{BOARD}seasons/?", ""),
    ("POST", f"{BOARD}players/?", '{"name": "x"}'),
    ("POST", f"{BOARD}scores/?", '[{"id": "mars", "score": 99}]'),
    ("POST", f"{MARS}score/?", '{"score": 99}'),
    ("POST", f"{MARS}score-add/?", ""),
    ("PATCH", f"{BOARD}?", '{"name": "x"}'),
    ("PATCH", f"{MARS}?", '{"score": 99}'),
    ("DELETE", f"{BOARD}?", ""),
    ("DELETE", f"{MARS}?", ""),
]

#: Those that can be of a season, and of no other time.
OF_SEASONS = [f"{BOARD}players/?", f"{BOARD}export/?", f"{MARS}?"]


async def refused(served: Served, method: str, target: str, body: str) -> None:
    """Check that the request is told to leave the parameter out."""
    async with asyncio.timeout(PATIENCE):  # a stream that opens does not end
        answer = await served.request(method, target, body or None)
    assert answer.status == 400, target
    if method != "HEAD":
        detail = problem(answer)
        named = "at" if "at=" in target.rpartition("&")[2] else "season"
        assert detail.startswith(f"{named}: "), target


@pytest.mark.parametrize("fast_path", [True, False])
@pytest.mark.gen_test
async def test_what_is_of_now_only_refuses_another_time_and_changes_nothing(
    settings: Settings, fast_path: bool
) -> None:
    settings = dataclasses.replace(settings, fast_path=fast_path)
    async with serving(settings) as served:
        await served.request("GET", f"{BOARD}events/")  # live, so that what is at once is tried
        before = served.dump()
        for method, target, body in OF_NOW:
            for parameter in ("season=1", "season=", "at=1795000000000"):
                await refused(served, method, f"{target}&{parameter}", body)
        for target in OF_SEASONS:
            await refused(served, "GET", f"{target}&at=2026-11-29", "")
        assert served.dump() == before
        assert (await served.request("POST", f"{MARS}score-add/?sseason=1")).status == 200
        # A page's address is its own (and there may be none built).
        for target in ("/?season=1&at=x", "/embed/demo?season=1"):
            assert (await served.request("GET", target)).status != 400, target


#: What belongs in the body, and where to.
IN_BODY = [
    ("POST", f"{MARS}score-add/?create=1", "amount=5", ""),
    ("POST", f"{MARS}score-add/?create=1", "amount=5", '{"amount": 2}'),
    ("POST", f"{MARS}score/?x=1", "operator=set", '{"score": 99}'),
    ("POST", f"{MARS}score/?x=1", "season=1", '{"score": 99}'),
    ("POST", "/boards/?x=1", "id=new", ""),
    ("POST", f"{BOARD}scores/?x=1", "operator=add", '[{"id": "mars", "score": 99}]'),
    ("POST", f"{BOARD}players/?x=1", "id=new", '{"name": "x"}'),
    ("PATCH", f"{BOARD}?x=1", "top=3", '{"name": "x"}'),
    ("PATCH", f"{MARS}?x=1", "hidden=true", '{"score": 99}'),
]


@pytest.mark.parametrize("fast_path", [True, False])
@pytest.mark.gen_test
async def test_what_belongs_in_the_body_is_not_taken_for_nothing(
    settings: Settings, fast_path: bool
) -> None:
    settings = dataclasses.replace(settings, fast_path=fast_path)
    async with serving(settings) as served:
        before = served.dump()
        for method, target, parameter, body in IN_BODY:
            answer = await served.request(method, f"{target}&{parameter}", body or None)
            name = parameter.partition("=")[0]
            assert problem(answer, 400) == f"{name}: belongs in the request's body.", target
        assert served.dump() == before
        # What is a field of another request's body is no more than any other name here.
        assert (await served.request("GET", f"{BOARD}?amount=5")).status == 200
        assert (await served.request("POST", f"{MARS}score-add/?score=5")).status == 200


@pytest.mark.gen_test
async def test_an_edge_refuses_the_same(serving: Serve, settings: Settings, tmp_path: Path) -> None:
    origin = await serving(settings)
    edge = await serving(edge_settings(tmp_path, url_of(origin)))
    served = served_by(edge)
    async with http_client(url_of(edge)) as client:
        assert (await client.get(f"{BOARD}events/")).status_code == 200
    for method, target, body in OF_NOW:
        for parameter in ("season=1", "at=1795000000000"):
            await refused(served, method, f"{target}&{parameter}", body)
