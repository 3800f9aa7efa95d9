"""What the server counts, and who is told."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tornado_board.metrics import NoMetrics
from tornado_board.metrics.prometheus import PREFIX, PrometheusMetrics
from tornado_board.models import BoardChanged, Change, Player, PlayerChanged
from tornado_board.realtime.feed_lag import FeedLag
from tornado_board.settings import Settings

from .ports import free_port
from .server_process import ROOT
from .serving import Served, serving
from .stream_client import RawStream
from .tokens import SECRET, token

Told = dict[str, dict[tuple[str, ...], float]]


def read(text: str) -> Told:
    """By name and values of labels."""
    told: Told = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(sample.labels[name] for name in sorted(sample.labels))
            told.setdefault(sample.name.removeprefix(PREFIX), {})[labels] = sample.value
    return told


async def scrape(served: Served) -> Told:
    answer = await served.request("GET", "/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.headers["Cache-Control"] == "no-store"
    return read(answer.body.decode())


async def until(served: Served, name: str, labels: tuple[str, ...], value: float) -> Told:
    """Scrape until that is told."""
    async with asyncio.timeout(30):
        while True:
            told = await scrape(served)
            if told.get(name, {}).get(labels) == value:
                return told
            await asyncio.sleep(0.02)


async def opened(served: Served, path: str, transport: str) -> RawStream:
    return await RawStream.open(f"http://127.0.0.1:{served.port}", path, *TRANSPORTS[transport])


SHOWN = "/boards/{board}/"
ADD = "/boards/{board}/players/{player}/score-add/"


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "tornado"])
@pytest.mark.gen_test
async def test_requests_are_counted_by_route_whichever_way_they_went(
    settings: Settings, fast: bool
) -> None:
    async with serving(dataclasses.replace(settings, fast_path=fast)) as served:
        for path in ("/boards/demo", "/boards/demo/", "/boards/none/"):
            await served.request("GET", path)
        await served.request("POST", "/boards/demo/players/mars/score-add/", "{}")
        await served.request("POST", "/boards/demo/players/ceres/score/", '{"score": 2}')
        await served.request("POST", "/boards/demo/scores/", '[{"id":"a","score":1},{"id":"b"}]')
        await served.request("GET", "/nothing/here")
        told = await scrape(served)
    requests = told["requests_total"]
    assert requests["GET", SHOWN, "2xx"] == 2
    assert requests["GET", SHOWN, "4xx"] == 1
    assert requests["POST", ADD, "2xx"] == 1
    assert requests["GET", "", "4xx"] == 1
    assert told["request_duration_seconds_count"]["GET", SHOWN] == 3
    assert told["scores_total"] == {("add",): 1, ("submit",): 1, ("bulk",): 1}
    assert told["connections"][()] >= 1
    assert told["role"] == {("publisher",): 1, ("follower",): 0, ("isolated",): 0}
    assert told["feed_open"][()] == 1


@pytest.mark.gen_test
async def test_nothing_that_a_client_chose_is_told(settings: Settings) -> None:
    async with serving(settings) as served:
        for target in ("/boards/mine-1/", "/chosen/by/me?chosen=1", "/boards/demo/players/mine-2/"):
            await served.request("GET", target)
        await served.request("CHOSEN", "/boards/")
        answer = await served.request("GET", "/metrics", headers={"Accept": "chosen/1, */*"})
    text = answer.body.decode()
    assert "mine" not in text
    assert "chosen" not in text.lower()
    assert 'method="other"' in text


TRANSPORTS = {
    "sse": ("Accept: text/event-stream",),
    "sse-gzip": ("Accept: text/event-stream", "Accept-Encoding: gzip"),
}


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "tornado"])
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("path", "of"),
    [
        ("/boards/demo/events/", "board"),
        ("/events/?board=demo&board=none", "boards"),
        ("/boards/demo/players/mars/events/", "place"),
    ],
)
@pytest.mark.gen_test
async def test_streams_are_counted_while_they_are_open(
    settings: Settings, path: str, of: str, transport: str, fast: bool
) -> None:
    settings = dataclasses.replace(settings, fast_path=fast)
    async with serving(settings) as served:
        streams = []
        for _ in range(2):
            streams.append(await opened(served, path, transport))
        kind = "sse" if of == "place" else transport  # places are never sent in gzip
        told = await until(served, "streams", (of, kind), 2)
        sent = told["messages_sent_total"][of, kind]
        await served.request("POST", "/boards/demo/players/mars/score-add/", "{}")
        told = await until(served, "messages_sent_total", (of, kind), sent + 2)
        assert (told["events_total"][()] > 0) == (of != "place")
        assert (told["log_append_duration_seconds_count"][()] > 0) == (of != "place")
        streams[0].close()
        await until(served, "streams", (of, kind), 1)
        streams[1].close()
        await until(served, "streams", (of, kind), 0)


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "tornado"])
@pytest.mark.gen_test
async def test_long_polls_are_counted_while_they_wait(settings: Settings, fast: bool) -> None:
    settings = dataclasses.replace(settings, fast_path=fast)
    async with serving(settings) as served:
        first = (await served.request("GET", "/boards/demo/events/")).json()["last_event_id"]
        target = f"/boards/demo/events/?since={first}&wait=20"
        waiting = asyncio.ensure_future(served.request("GET", target))
        await until(served, "streams", ("board", "long-poll"), 1)
        await served.request("POST", "/boards/demo/players/mars/score-add/", "{}")
        assert (await waiting).status == 200
        await until(served, "streams", ("board", "long-poll"), 0)


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "tornado"])
@pytest.mark.gen_test
async def test_resets_are_counted_by_the_reason_that_clients_are_told(
    settings: Settings, fast: bool
) -> None:
    settings = dataclasses.replace(settings, fast_path=fast)
    async with serving(settings) as served:
        answer = await served.request("GET", "/boards/demo/events/?since=1-1")
        stream = await opened(served, "/boards/demo/events/?since=1-1", "sse")
        several = await opened(served, "/events/?board=demo&since=demo:1-1", "sse")
        reason = answer.json()["events"][0]["data"]["reason"]
        told = await scrape(served)
        stream.close()
        several.close()
    assert told["resets_total"] == {(reason,): 3}


@pytest.mark.gen_test
async def test_the_metrics_are_for_admins_where_a_key_is_set(settings: Settings) -> None:
    async with serving(dataclasses.replace(settings, token_secret=SECRET)) as served:
        assert (await served.request("GET", "/metrics")).status == 401
        for scope, status in (("write", 403), ("admin", 200)):
            bearer = {"Authorization": f"Bearer {token(scope=scope)}"}
            assert (await served.request("GET", "/metrics", headers=bearer)).status == status


@pytest.mark.gen_test
async def test_a_port_of_their_own_needs_no_token_and_serves_nothing_else(
    settings: Settings,
) -> None:
    settings = dataclasses.replace(settings, token_secret=SECRET, metrics_port=free_port())
    admin = {"Authorization": f"Bearer {token(scope='admin')}"}
    async with serving(settings) as served:
        assert (await served.request("GET", "/metrics", headers=admin)).status == 404
        apart = dataclasses.replace(served, port=settings.metrics_port)
        assert (await scrape(apart))["live_boards"]
        for target in ("/boards/", "/", "/healthz"):
            assert (await apart.request("GET", target, headers=admin)).status == 404
        rebound = await apart.request("GET", "/metrics", headers={"Host": "evil.example"})
        assert rebound.status == 421


@pytest.mark.parametrize(
    ("change", "detail"),
    [({"metrics": False}, "setting metrics"), ({"processes": 2}, "metrics_port")],
)
@pytest.mark.gen_test
async def test_where_there_are_none_the_answer_says_why(
    settings: Settings, change: dict[str, Any], detail: str
) -> None:
    async with serving(dataclasses.replace(settings, **change)) as served:
        answer = await served.request("GET", "/metrics")
        assert answer.status == 404
        assert detail in answer.json()["detail"]
        assert (await served.request("GET", "/boards/demo/")).status == 200


@pytest.mark.gen_test
async def test_who_is_refused_before_a_route_is_found_is_counted(settings: Settings) -> None:
    async with serving(settings) as served:
        await served.request("GET", "/boards/", headers={"Host": "evil.example"})
        await served.request("POST", "/boards/", b" " * (settings.max_body + 1))
        told = await scrape(served)
    assert told["refused_total"] == {("421",): 1, ("413",): 1}


# The collaborator


def test_the_one_that_counts_nothing_has_all_that_the_other_has() -> None:
    public = {name for name in vars(PrometheusMetrics) if not name.startswith("_")}
    assert public == {name for name in vars(NoMetrics) if not name.startswith("_")}


def test_what_can_not_be_read_hides_nothing_else() -> None:
    metrics = PrometheusMetrics()
    metrics.observe("fails", "It fails.", lambda: 1 / 0)
    metrics.observe("works", "It works.", lambda: {"a": 1.0, "b": 2.0}, "which")
    told = metrics.told("")
    assert told is not None
    found = read(told[1].decode())
    assert found["works"] == {("a",): 1, ("b",): 2}
    assert "fails" not in found


def test_reasons_are_bounded() -> None:
    metrics = PrometheusMetrics()
    for number in range(1000):
        metrics.reset(f"reason {number}")
    told = metrics.told("")
    assert told is not None
    resets = read(told[1].decode())["resets_total"]
    assert len(resets) < 100
    assert sum(resets.values()) == 1000


def test_times_are_in_the_bucket_that_they_belong_to() -> None:
    metrics = PrometheusMetrics()
    for seconds in (0.0, 0.001, 0.0011, 7.0, 1000.0):
        metrics.appended(seconds)
    told = metrics.told("application/openmetrics-text; version=1.0.0")
    assert told is not None
    content_type, body = told
    assert content_type.startswith("application/openmetrics-text")
    buckets = dict(re.findall(rf'{PREFIX}log_append\w+_bucket{{le="(.+?)"}} (\S+)', body.decode()))
    assert [float(buckets[end]) for end in ("0.001", "0.0025", "5.0", "10.0", "+Inf")] == [
        *(2, 3, 3, 4, 5)
    ]


# How far the feed is behind


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def changed(player_id: str) -> Change:
    return PlayerChanged("b", player_id, Player(player_id, player_id, 1))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lag(clock: Clock) -> FeedLag:
    lag = FeedLag(clock)
    lag.opened()
    return lag


def test_a_write_is_measured_until_the_feed_tells_of_it(lag: FeedLag, clock: Clock) -> None:
    lag.begin("b", "p")
    clock.now += 1
    lag.confirm("b", "p")
    lag.begin("b", "other")  # one at a time
    clock.now += 1
    lag.told([changed("other"), PlayerChanged("other", "p", None)])
    assert lag.seconds == 2, "it is that late at least"
    clock.now += 1
    lag.told([changed("p")])
    clock.now += 50
    assert lag.seconds == 3


@pytest.mark.parametrize("end", [[changed("p")], [BoardChanged("b", None)]])
def test_a_feed_that_is_faster_than_the_answer_counts(
    lag: FeedLag, clock: Clock, end: list[Change]
) -> None:
    lag.begin("b", "p")
    lag.told(end)
    lag.confirm("b", "p")
    clock.now += 50
    assert lag.seconds == 0


def test_a_write_that_fails_or_changes_nothing_is_forgotten(lag: FeedLag, clock: Clock) -> None:
    lag.begin("b", "p")
    clock.now += 0.5
    lag.begin("b", "q")
    assert lag.seconds == 0
    clock.now += 1
    lag.begin("b", "q")
    lag.confirm("b", "q")
    clock.now += 5
    assert lag.seconds == 5


def test_nothing_is_measured_while_the_feed_is_not_open(lag: FeedLag, clock: Clock) -> None:
    lag.begin("b", "p")
    lag.confirm("b", "p")
    lag.lost()
    lag.begin("b", "p")
    lag.confirm("b", "p")
    clock.now += 50
    assert lag.seconds == 0
    lag.opened()
    assert lag.seconds == 0


# The dashboard, and the docs


@pytest.mark.gen_test
async def test_the_dashboard_and_the_docs_name_the_metrics_that_there_are(
    settings: Settings, redis_url: str
) -> None:
    async with serving(settings) as served:
        stream = await opened(served, "/boards/demo/", "sse")
        await served.request("GET", "/boards/demo/events/?since=1-1")
        await served.request("GET", "/boards/", headers={"Host": "evil.example"})
        told = await scrape(served)
        stream.close()
    there = {
        PREFIX + name if not name.startswith(("process_", "python_")) else name for name in told
    }
    dashboard = json.loads((ROOT / "deploy" / "grafana.json").read_text("utf-8"))
    shown = re.findall(r"\b(?:tornado_board|process|python)_\w+", json.dumps(dashboard["panels"]))
    assert len(set(shown)) > 20
    assert set(shown) <= there
    docs = (ROOT / "docs" / "operating.md").read_text("utf-8")
    rows = re.findall(r"^\| `(tornado_board_\w+)", docs, re.M)
    own = {re.sub(r"_(bucket|sum|count)$", "", name) for name in there if name.startswith(PREFIX)}
    assert set(rows) == own
