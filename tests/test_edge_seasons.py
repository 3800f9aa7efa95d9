"""Seasons on a server that follows another one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tornado_board.replay import EventId
from tornado_board.settings import Settings

from .edges import Serve, edge_settings, url_of
from .stream_client import RawStream, http_client
from .test_edge import told

READS = [
    "/boards/b/",
    "/boards/b/?season=1",
    "/boards/b/?season=2",
    "/boards/b/?season=9",
    "/boards/b/?season=x",
    "/boards/b/events/?season=1",
    "/boards/b/seasons/",
    "/boards/b/seasons/?limit=1",
    "/boards/b/players/?season=1",
    "/boards/b/players/?since=season",
    "/boards/b/players/p/?season=1",
]


@pytest.mark.gen_test
async def test_seasons_end_and_are_read_as_at_the_origin(
    serving: Serve, settings: Settings, tmp_path: Path
) -> None:
    origin = await serving(settings)
    edge = await serving(edge_settings(tmp_path, url_of(origin)))
    accept = "Accept: text/event-stream"
    async with http_client(url_of(origin)) as there, http_client(url_of(edge)) as here:
        made = await here.post("/boards/", json={"id": "b", "season": {"every": "week"}})
        assert made.status_code == 201
        for player, score in (("p", 3), ("q", 5)):
            await here.post(f"/boards/b/players/{player}/score/", json={"score": score})
        streams = [
            await RawStream.open(url, "/boards/b/", accept)
            for url in (url_of(origin), url_of(edge))
        ]
        place = await RawStream.open(url_of(edge), "/boards/b/players/p/events/", accept)
        assert (await place.event())[1]["rank"] == 2
        events: list[list[tuple[str, Any, EventId | None]]] = [[], []]
        await here.post("/boards/b/seasons/", json={"season": 1})
        # Who has ended it through the edge does not see the season before there any more.
        assert (await here.get("/boards/b/")).json()["season"]["number"] == 2
        assert (await here.post("/boards/b/seasons/", json={"season": 1})).status_code == 409
        late = await here.post("/boards/b/players/p/score/", json={"score": 9, "season": 1})
        assert late.status_code == 409
        for stream, seen in zip(streams, events, strict=True):
            while not seen or seen[-1][1]["season"]["number"] < 2:
                seen.append(await stream.event())
        assert [kind for kind, _, _ in events[1]][-2:] == ["season", "update"]
        assert events[1][-2:] == events[0][-2:]
        while (shown := await place.event())[1]["rank"] is not None:
            pass
        assert shown[1]["score"] is None
        await here.post("/boards/b/players/p/score/", json={"score": 1})
        for stream in streams:
            while not (await stream.event())[1]["players"]:
                pass
        for path in READS:
            assert told(await here.get(path)) == told(await there.get(path)), path
        for opened in (*streams, place):
            opened.close()
