"""Files of seasons: exports of those that are over, and scores that are for one season only."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tornado_board.settings import Settings

from .moving import players, run, scores
from .problems import problem
from .ranking_client import post
from .server_process import ServerProcess
from .serving import serving
from .test_export import body
from .waiting import PATIENCE

Started = Callable[..., ServerProcess]


@pytest.mark.parametrize("fast_path", [True, False])
@pytest.mark.gen_test
async def test_a_season_that_is_over_is_exported(
    settings: Settings, database_url: str, fast_path: bool
) -> None:
    here = dataclasses.replace(
        settings, database_url=database_url, redis_url=settings.database_url, fast_path=fast_path
    )
    async with serving(here) as served:
        await post(served, "/boards/", {"id": "b", "season": {"keep": 1}})
        items = [{"id": f"p{n:04}", "score": n // 2} for n in range(1200)]
        await post(served, "/boards/b/scores/", items)
        await served.request("POST", "/boards/b/seasons/")
        await post(served, "/boards/b/scores/", [{"id": "new", "score": 1}])

        async def exported(query: str) -> list[tuple[str, int]]:
            answer = await served.request("GET", f"/boards/b/export/{query}")
            assert answer.status == 200
            rows = [json.loads(line) for line in body(answer).split("\n") if line]
            return [(row["id"], row["rank"]) for row in rows]

        assert await exported("") == await exported("?season=2") == [("new", 1)]
        old = await exported("?season=1")
        assert old[:3] == [("p1198", 1), ("p1199", 1), ("p1196", 3)]
        assert len(old) == 1200
        for method in ("GET", "HEAD"):
            answer = await served.request(method, "/boards/b/export/?season=1&format=csv")
            assert 'filename="b-season-1.csv"' in answer.headers["Content-Disposition"]
        for query, status in (("season=3", 404), ("season=0", 400), ("season=x", 400)):
            problem(await served.request("GET", f"/boards/b/export/?{query}"), status)
        await served.request("POST", "/boards/b/seasons/")
        problem(await served.request("GET", "/boards/b/export/?season=1"), 410)


@pytest.mark.parametrize("kind", ["csv", "ndjson"])
def test_commands_move_a_season_and_no_late_score_counts(
    server_process: Started, tmp_path: Path, kind: str
) -> None:
    url = server_process().url
    made = {"id": "b", "season": {}, "operator": "add"}
    httpx.post(f"{url}/boards/", json=made, timeout=PATIENCE).raise_for_status()
    rows = {
        "csv": "id,score\np,3\nq,5\n",
        "ndjson": '{"id":"p","score":3}\n{"id":"q","score":5,"rank":1}\n',
    }
    file = f"rows.{kind}"
    (tmp_path / file).write_text(rows[kind])
    assert run(tmp_path, url, "import", "b", file, "--season=1").returncode == 0
    httpx.post(f"{url}/boards/b/seasons/", timeout=PATIENCE).raise_for_status()
    late = run(tmp_path, url, "import", "b", file, "--season=1")
    assert late.returncode == 1
    assert late.stderr.count(b"409") == 2
    assert players(url, "b") == []
    assert run(tmp_path, url, "import", "b", file).returncode == 0
    assert scores(url, "b") == {"p": 3, "q": 5}
    done = run(tmp_path, url, "export", "b", f"old.{kind}", "--season=1")
    assert done.returncode == 0
    assert b"2 players" in done.stderr
    assert len((tmp_path / f"old.{kind}").read_text().splitlines()) == (3 if kind == "csv" else 2)
    gone = run(tmp_path, url, "export", "b", f"old.{kind}", "--season=7")
    assert gone.returncode == 1
    assert b"404" in gone.stderr
