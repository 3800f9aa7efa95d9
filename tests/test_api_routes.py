"""What every route of the HTTP API does alike: methods, other sites, what is preferred."""

from __future__ import annotations

import dataclasses

import pytest

from tornado_board.settings import Settings
from tornado_board.store import StoreUnavailable
from tornado_board.web.accept import prefers_event_stream
from tornado_board.web.cors import cors_headers

from .problems import SLASHES, problem
from .serving import serving

# What all resources share

ROUTES = {
    "/": "GET, HEAD, OPTIONS",
    "/boards": "GET, HEAD, POST, OPTIONS",
    "/boards/demo": "GET, HEAD, PATCH, DELETE, OPTIONS",
    "/boards/demo/events": "GET, HEAD, OPTIONS",
    "/boards/demo/players": "GET, HEAD, POST, OPTIONS",
    "/boards/demo/players/mars": "GET, HEAD, PATCH, DELETE, OPTIONS",
    "/boards/demo/players/mars/score": "POST, OPTIONS",
    "/boards/demo/players/mars/score-add": "POST, OPTIONS",
    "/boards/demo/scores": "POST, OPTIONS",
    "/healthz": "GET, HEAD, OPTIONS",
    "/readyz": "GET, HEAD, OPTIONS",
}


@pytest.mark.parametrize(("path", "allow"), ROUTES.items())
@pytest.mark.gen_test
async def test_methods(settings: Settings, path: str, allow: str) -> None:
    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"]
    async with serving(settings) as served:
        for target in (path, path.rstrip("/") + "/"):
            before = served.dump()
            for method in methods:
                if method not in allow.split(", "):
                    answer = await served.request(method, target)
                    assert answer.headers["Allow"] == allow, method
                    if method != "HEAD":
                        problem(answer, 405)
            assert served.dump() == before
            options = await served.request("OPTIONS", target)
            assert (options.status, options.body) == (204, b"")
            assert options.headers["Allow"] == allow
            assert "Access-Control-Allow-Origin" not in options.headers


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/healthz", "/readyz", "/boards/", "/boards/?fields=settings", "/boards/demo"),
        *("/boards/demo?fields=count,rank", "/boards/demo/players/mars", "/boards/demo/players"),
        *("/boards/demo/players?around=mars", "/boards/demo/players/?ids=mars,none"),
    ],
)
@pytest.mark.gen_test
async def test_head_is_get_without_the_body(settings: Settings, path: str) -> None:
    async with serving(settings) as served:
        get = await served.request("GET", path)
        head = await served.request("HEAD", path)
    assert (get.status, head.status, head.body) == (200, 200, b"")
    for name in ("Content-Type", "Content-Length", "ETag", "Link", "Cache-Control"):
        assert head.headers.get(name) == get.headers.get(name)


@pytest.mark.parametrize(
    "path", ["/nothing", "/boards//", "/boards/demo/x", "/boards/demo//", "/x/"]
)
@pytest.mark.gen_test
async def test_what_is_not_there(settings: Settings, path: str) -> None:
    async with serving(settings) as served:
        for method in ("GET", "POST", "BREW"):
            assert "/boards/" in problem(await served.request(method, path), 404)


# Cross-origin requests


@pytest.mark.gen_test
async def test_an_allowed_origin_may_call(settings: Settings) -> None:
    origin = "https://a.example"
    settings = dataclasses.replace(settings, allowed_origins=("https://b.example", origin))
    async with serving(settings) as served:
        preflight = await served.request(
            "OPTIONS",
            "/boards/demo/players/mars",
            headers={"Origin": origin, "Access-Control-Request-Method": "PATCH"},
        )
        assert preflight.status == 204
        assert preflight.headers["Access-Control-Allow-Origin"] == origin
        assert "PATCH" in preflight.headers["Access-Control-Allow-Methods"].split(", ")
        allowed = preflight.headers["Access-Control-Allow-Headers"].lower().split(", ")
        assert set(allowed) == {
            "authorization",
            "cache-control",
            "content-type",
            "idempotency-key",
            "if-none-match",
            "last-event-id",
            "x-requested-with",
        }
        assert preflight.headers["Access-Control-Allow-Credentials"] == "true"
        assert int(preflight.headers["Access-Control-Max-Age"]) > 0
        for method, target in (
            ("GET", "/boards/demo"),
            ("POST", "/boards/"),
            ("GET", "/nothing"),
            ("GET", "/boards/a%20b"),
            ("GET", "nothing"),  # refused before the application sees it
            ("HEAD", "/boards/demo?stream=1"),
        ):
            answer = await served.request(method, target, headers={"Origin": origin})
            assert answer.headers["Access-Control-Allow-Origin"] == origin
            exposed = answer.headers["Access-Control-Expose-Headers"].lower().split(", ")
            assert set(exposed) == {
                "etag",
                "idempotency-replayed",
                "last-event-id",
                "link",
                "location",
                "retry-after",
                "www-authenticate",
            }
            assert answer.headers["Access-Control-Allow-Credentials"] == "true"
            assert "Origin" in answer.headers["Vary"]


@pytest.mark.gen_test
async def test_another_origin_may_not(settings: Settings) -> None:
    settings = dataclasses.replace(settings, allowed_origins=("https://a.example",))
    add = "/boards/demo/players/mars/score-add/"
    async with serving(settings) as served:
        before = served.dump()
        for headers in (
            {"Origin": "https://b.example"},
            {"Origin": "null"},
            {"Origin": "http://["},
            {"Origin": "http://localhost@b.example"},
            {"Origin": "https://b.example", "Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
        ):
            read = await served.request("GET", "/boards/demo", headers=headers)
            assert "Access-Control-Allow-Origin" not in read.headers
            assert "Origin" in read.headers["Vary"]  # or a cache would give this to the others
            assert "allowed_origins" in problem(
                await served.request("POST", add, None, headers), 403
            )
        assert served.dump() == before
        # the server's own pages, and clients that are no browsers
        for headers in (
            {"Origin": "http://localhost", "Host": "localhost"},
            {"Origin": "http://front.example", "Sec-Fetch-Site": "same-origin"},
            {},
        ):
            assert (await served.request("POST", add, None, headers)).status == 200


@pytest.mark.gen_test
async def test_any_origin_may_call_where_the_settings_say_so(settings: Settings) -> None:
    settings = dataclasses.replace(settings, allowed_origins=("*", "https://a.example"))
    async with serving(settings) as served:
        answer = await served.request("POST", "/boards/", headers={"Origin": "https://b.example"})
        named = await served.request("GET", "/boards/", headers={"Origin": "https://a.example"})
    assert answer.status == 201
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer.headers  # it would let any site in
    assert named.headers["Access-Control-Allow-Origin"] == "https://a.example"
    assert named.headers["Access-Control-Allow-Credentials"] == "true"
    assert answer.headers["Vary"] == named.headers["Vary"] == "Origin"
    assert cors_headers(("*",), "https://a.example")[0] == ("Access-Control-Allow-Origin", "*")


# Health, the page


@SLASHES
@pytest.mark.gen_test
async def test_health(settings: Settings, slash: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(settings) as served:
        for path in ("/healthz", "/readyz"):
            answer = await served.request("GET", path + slash)
            assert (answer.status, answer.json()) == (200, {"status": "ok"})
            assert answer.headers["Cache-Control"] == "no-store"

        async def away() -> None:
            raise StoreUnavailable("it does not answer")

        monkeypatch.setattr(served.store, "ping", away)
        answer = await served.request("GET", f"/readyz{slash}")
        assert "the store: it does not answer" in problem(answer, 503)
        assert (await served.request("GET", f"/healthz{slash}")).status == 200
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("accept", "stream"),
    [
        ("", False),
        ("*/*", False),
        ("text/*", False),
        ("application/json", False),
        ("image/png", False),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", False),
        ("text/event-stream", True),
        ("Text/Event-Stream; charset=utf-8", True),
        ("text/event-stream, */*", True),
        ("text/event-stream;q=0.5, */*;q=0.5", True),
        ("text/event-stream;q=0.4, */*;q=0.5", False),
        ("application/json, text/event-stream", False),
        ("application/json;q=0.9, text/event-stream", True),
        ("application/json, text/event-stream;q=0.9", False),
        ("application/json;q=0, text/event-stream;q=0.1", True),
        ("text/event-stream;q=0", False),
        ("text/event-stream;q=0, */*", False),
        ("text/event-stream;q=2", False),
        ("text/event-stream;q=x", False),
        (",,text/event-stream,", True),
    ],
)
def test_what_accept_prefers(accept: str, stream: bool) -> None:
    assert prefers_event_stream(accept) is stream
