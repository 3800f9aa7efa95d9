"""The web component on pages of other sites, and in their frames, in real browsers."""

from __future__ import annotations

import base64
import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import tornado.web
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

from tornado_board.settings import Settings
from tornado_board.web.built_page import PAGE, PageNotBuilt

from . import chromium, firefox
from .node import node_modules
from .server_process import ServerProcess
from .serving import serving
from .tokens import SECRET, token
from .waiting import PATIENCE

Start = Callable[..., ServerProcess]

#: Where pictures of what the tests have seen are put, for people to look at; nowhere by default.
PICTURES = os.environ.get("TEST_PICTURES")


def _is_built() -> bool:
    try:
        return bool(PAGE.page().component)
    except PageNotBuilt:
        return False


needs_build = pytest.mark.skipif(
    not _is_built(), reason="the page is not built: python static/build_page.py"
)

#: What a page shows: [[rank, id, name, score, whether it is one's own], ...].
ROWS = """
[...document.querySelector("live-board").shadowRoot.querySelectorAll("li")].map((row) => [
  Number(row.querySelector(".rank").textContent),
  row.dataset.id,
  row.querySelector(".name").textContent,
  Number(row.querySelector(".score").textContent.replaceAll(",", "")),
  row.classList.contains("own"),
])
"""
PART = "document.querySelector('live-board').shadowRoot.querySelector('{}')"
LIVE = "document.querySelector('live-board')?.state === 'live'"


class Site:
    """Another site, with a page that a test writes."""

    def __init__(self) -> None:
        self.html = ""
        self.policy = ""
        site = self

        class Page(tornado.web.RequestHandler):
            def get(self) -> None:
                if site.policy:
                    self.set_header("Content-Security-Policy", site.policy)
                self.finish(
                    "<!doctype html><html lang=en><meta charset=utf-8><title>A site</title>"
                    f"<link rel=icon href='/none'><main><h1>A site</h1>{site.html}</main>"
                )

        class Icon(tornado.web.RequestHandler):
            def get(self) -> None:
                self.set_status(204)

        self._server = HTTPServer(tornado.web.Application([("/", Page), ("/none", Icon)]))
        sock, port = bind_unused_port(address="127.0.0.1")
        self._server.add_socket(sock)
        self.origin = f"http://127.0.0.1:{port}"

    def close(self) -> None:
        self._server.stop()


@pytest.fixture
def site(io_loop: Any) -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


@pytest.fixture
def browser() -> Iterator[chromium.Chromium]:
    if chromium.executable() is None:
        pytest.skip("Chromium is not installed")
    browser = chromium.Chromium("--lang=en-US")
    yield browser
    browser.close()


def markup(server: ServerProcess, attributes: str) -> str:
    script = f'<script type="module" src="{server.url}/live-board.js"></script>'
    return f"{script}<live-board {attributes}></live-board>"


def submit(server: ServerProcess, player: str, score: float, board: str = "demo") -> None:
    send(server, f"/boards/{board}/players/{player}/score/", {"score": score})


def send(server: ServerProcess, path: str, body: object = None) -> None:
    httpx.post(f"{server.url}{path}", json=body, timeout=PATIENCE).raise_for_status()


def keep(name: str, picture: bytes) -> None:
    assert PICTURES is not None
    Path(PICTURES, name).write_bytes(picture)


async def picture(tab: chromium.Tab, name: str) -> None:
    if PICTURES:
        shot = await tab.send("Page.captureScreenshot", format="png")
        keep(f"{name}.png", base64.b64decode(shot["data"]))


async def axe(tab: chromium.Tab) -> Any:
    """What axe-core has to say against the page, and how many rules it has nothing against."""
    await tab.run((node_modules() / "axe-core" / "axe.min.js").read_text("utf-8") + "\n;undefined")
    return await tab.run(
        "axe.run().then(({ violations, passes }) => ({ passes: passes.length, violations:"
        " violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]) }))"
    )


@needs_build
@pytest.mark.gen_test
async def test_one_line_of_script_shows_a_board_on_another_site(
    server_process: Start, browser: chromium.Chromium, site: Site
) -> None:
    server = server_process(f"--allowed-origins={site.origin}")
    site.html = markup(server, 'board="demo" player="mercury" rows="3"')
    # As strict as a site may be: nothing inline, and of the server only what the docs name.
    of_server = f"script-src {server.url}; connect-src {server.url}"
    site.policy = f"default-src 'none'; img-src 'self'; {of_server}"
    tab = await browser.open(site.origin)
    await tab.until(LIVE)
    await tab.until(f"{ROWS}.length === 4")
    assert await tab.run(ROWS) == [
        [1, "venus", "Venus", 31, False],
        [2, "earth", "Earth", 27, False],
        [3, "jupiter", "Jupiter", 23, False],
        [5, "mercury", "Mercury", 12, True],
    ]
    await tab.until(f"{PART.format('.place')}.textContent === 'Rank 5 of 5 · 7 to the next'")
    await picture(tab, "component-light")
    submit(server, "mercury", 29)
    await tab.until(f"{ROWS}.length === 3")
    await tab.until(f"{PART.format('.place')}.textContent === 'Rank 2 of 5 · 2 to the next'")
    assert (await tab.run(ROWS))[1] == [2, "mercury", "Mercury", 29, True]
    await tab.run("document.querySelector('live-board').setAttribute('lang', 'de')")
    await tab.until(f"{PART.format('.place')}.textContent === 'Rang 2 von 5 · 2 bis zum nächsten'")
    assert tab.complaints == []


@needs_build
@pytest.mark.gen_test
async def test_more_rows_than_events_have_are_read_and_ties_share_a_rank(
    server_process: Start, browser: chromium.Chromium, site: Site
) -> None:
    server = server_process("--allowed-origins=*")
    for i in range(12):
        submit(server, f"p{i:02}", 5 + i // 2)
    site.html = markup(server, 'board="demo" rows="20"')
    tab = await browser.open(site.origin)
    await tab.until(f"{ROWS}.length === 17")
    rows = await tab.run(ROWS)
    assert [row[1] for row in rows[:5]] == ["venus", "earth", "jupiter", "mars", "mercury"]
    assert [row[0] for row in rows[5:11]] == [6, 6, 8, 8, 10, 10]
    submit(server, "p00", 500)
    await tab.until(f"{ROWS}[0][1] === 'p00'")
    await tab.until(f"{ROWS}.length === 17 && new Set({ROWS}.map((row) => row[1])).size === 17")
    await tab.run("document.querySelector('live-board').setAttribute('rows', '2')")
    await tab.until(f"{ROWS}.length === 2")


@needs_build
@pytest.mark.gen_test
async def test_nobody_of_a_season_that_is_over_is_shown_in_the_next(
    server_process: Start, site: Site, browser: chromium.Chromium
) -> None:
    server = server_process(f"--allowed-origins={site.origin}")
    send(server, "/boards/", {"id": "cup", "top": 2, "season": {"every": "week"}})
    for n in range(5):
        submit(server, f"p{n}", n, "cup")
    site.html = markup(server, 'board="cup" rows="5" player="p0"')
    tab = await browser.open(site.origin)
    await tab.until(f"{ROWS}.length === 5")
    await tab.until(f"{PART.format('.place')}.textContent.startsWith('Rank 5 of 5')")
    await tab.run(
        "document.querySelector('live-board').addEventListener('season', ({detail}) => {"
        " window.ended = detail.season.number; })"
    )
    send(server, "/boards/cup/seasons/")
    await tab.until("window.ended === 1")
    await tab.until(f"{ROWS}.length === 0")
    await tab.until(f"{PART.format('.place')}.hidden")
    submit(server, "p3", 7, "cup")
    await tab.until(f"{ROWS}.length === 1")
    assert await tab.run(ROWS) == [[1, "p3", "p3", 7, False]]
    submit(server, "p0", 1, "cup")
    await tab.until(f"{PART.format('.place')}.textContent.startsWith('Rank 2 of 2')")


@needs_build
@pytest.mark.gen_test
async def test_it_says_what_is_wrong_and_goes_on_when_it_is_mended(
    server_process: Start, browser: chromium.Chromium, site: Site
) -> None:
    server = server_process("--allowed-origins=*", "--private", TORNADO_BOARD_TOKEN_SECRET=SECRET)
    site.html = markup(server, 'board="demo"')
    tab = await browser.open(site.origin)
    await tab.until(f"{PART.format('.note')}?.textContent === 'This board is private'")
    await picture(tab, "component-private")
    bearer = token(scope="read")
    await tab.run(f"void (document.querySelector('live-board').token = '{bearer}')")
    await tab.until(LIVE)
    await tab.until(f"{ROWS}.length === 5")
    assert not any(bearer in url for url in tab.requests)
    assert await tab.run(f"{PART.format('.note')}.hidden")
    await tab.run("document.querySelector('live-board').setAttribute('board', 'none')")
    await tab.until(f"{PART.format('.note')}.textContent === 'There is no such board'")
    assert await tab.run(ROWS) == []
    await tab.run("document.querySelector('live-board').remove()")
    before = len(tab.requests)
    await tab.run("new Promise((resolve) => setTimeout(resolve, 2500))")
    assert len(tab.requests) == before, "nobody is there to listen for"


@needs_build
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.gen_test
async def test_axe_has_nothing_to_say_and_sites_have_the_last_word_on_looks(
    server_process: Start, browser: chromium.Chromium, site: Site, scheme: str
) -> None:
    server = server_process("--allowed-origins=*")
    site.html = (
        "<meta name=color-scheme content='light dark'>"
        + markup(server, 'board="demo" player="mars"')
        + "<style>live-board::part(title) { text-transform: uppercase }"
        "live-board { --live-board-radius: 0 }</style>"
    )
    tab = await browser.open()
    features = [
        {"name": "prefers-color-scheme", "value": scheme},
        {"name": "prefers-reduced-motion", "value": "reduce"},
    ]
    await tab.send("Emulation.setEmulatedMedia", features=features)
    await tab.go(site.origin)
    await tab.until(f"{ROWS}.length === 5 && !{PART.format('.place')}.hidden")
    style = f"getComputedStyle({PART.format('{}')}).{{}}"
    assert await tab.run(style.format(".title", "textTransform")) == "uppercase"
    assert await tab.run(style.format(".board", "borderRadius")) == "0px"
    ground = await tab.run(style.format(".board", "backgroundColor"))
    assert ground == {"light": "rgb(255, 253, 248)", "dark": "rgb(17, 20, 28)"}[scheme]
    submit(server, "mercury", 100)
    await tab.until(f"{ROWS}[0][1] === 'mercury'")
    animations = (
        "document.querySelector('live-board').shadowRoot.getAnimations({ subtree: true }).length"
    )
    assert await tab.run(animations) == 0
    await picture(tab, f"component-{scheme}-themed")
    found = await axe(tab)
    assert found["passes"] > 10
    assert found["violations"] == []


async def framed(tab: chromium.Tab) -> str:
    """The address of what is shown in the page's frame."""
    tree = await tab.send("Page.getFrameTree")
    address: str = tree["frameTree"]["childFrames"][0]["frame"]["url"]
    return address


@needs_build
@pytest.mark.gen_test
async def test_the_embedded_page_stands_in_frames_of_who_may(
    server_process: Start, browser: chromium.Chromium, site: Site, tmp_path: Path
) -> None:
    server = server_process(f"--frame-ancestors={site.origin}")
    embedded = f"{server.url}/embed/demo?player=mars&theme=dark"
    frame = f'<iframe title="The race" src="{embedded}"></iframe>'
    site.html = frame
    tab = await browser.open(site.origin)
    inside = await browser.open(f"{embedded}&rows=2")
    await inside.until(f"{ROWS}.length === 3")
    assert await inside.run("document.documentElement.lang") == "en-US"
    assert (await axe(inside))["violations"] == []
    assert await inside.run("getComputedStyle(document.body).margin") == "0px"
    await picture(inside, "embed")
    await picture(tab, "embed-in-frame")
    assert inside.complaints == []
    assert await framed(tab) == embedded
    folder = tmp_path / "other"
    folder.mkdir()
    other = server_process(folder=folder)
    site.html = frame.replace(server.url, other.url)
    await tab.go(site.origin)
    assert await framed(tab) == "chrome-error://chromewebdata/"


@needs_build
@pytest.mark.skipif(firefox.executable() is None, reason="Firefox is not installed")
@pytest.mark.gen_test
async def test_firefox_shows_it_too(server_process: Start, site: Site) -> None:
    server = server_process("--allowed-origins=*")
    site.html = markup(server, 'board="demo" player="mars" rows="3"')
    browser = firefox.Firefox()
    try:
        await browser.go(site.origin)
        await browser.until(f"{ROWS}.length === 4")
        submit(server, "mars", 100)
        await browser.until(f"{ROWS}.length === 3 && {ROWS}[0][1] === 'mars'")
        await browser.until(
            f"{PART.format('.place')}.textContent.startsWith('Rank 1 of 5 · In the lead')"
        )
    finally:
        browser.close()


@needs_build
@pytest.mark.gen_test
async def test_every_site_may_load_the_script(settings: Settings) -> None:
    async with serving(settings) as served:
        answer = await served.request("GET", "/live-board.js", headers={"Origin": "http://a.test"})
        assert answer.status == 200
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert answer.headers["Content-Type"].startswith("text/javascript")
        headers = {"If-None-Match": answer.headers["ETag"]}
        assert (await served.request("GET", "/live-board.js", headers=headers)).status == 304
        packed = await served.request("GET", "/live-board.js", headers={"Accept-Encoding": "gzip"})
        assert len(packed.body) < 14_000
        assert b"import" not in answer.body.replace(b"import.meta", b"").replace(b"important", b"")
        assert (await served.request("GET", "/live-boardxjs")).status == 404


@pytest.mark.gen_test
async def test_what_the_embedded_page_is_asked_for_is_checked(settings: Settings) -> None:
    async with serving(settings) as served:
        for query in ("rows=0", "rows=101", "rows=x", "rows=²", "theme=pink", "player=.."):
            assert (await served.request("GET", f"/embed/demo?{query}")).status == 400, query
        for query in ("lang=%22", "lang=" + "a" * 99, "player=%22%3E", f"rows={'9' * 5000}"):
            assert (await served.request("GET", f"/embed/demo?{query}")).status == 400, query
        assert (await served.request("GET", "/embed/%22%3E/")).status == 400


@needs_build
@pytest.mark.parametrize(
    ("ancestors", "policy", "option"),
    [
        ((), "frame-ancestors 'self';", "SAMEORIGIN"),
        (("https://a.test", "https://*.b.test"), "s https://a.test https://*.b.test;", None),
        (("*",), "frame-ancestors *;", None),
    ],
)
@pytest.mark.gen_test
async def test_the_embedded_page_names_who_may_frame_it(
    settings: Settings, ancestors: tuple[str, ...], policy: str, option: str | None
) -> None:
    async with serving(dataclasses.replace(settings, frame_ancestors=ancestors)) as served:
        answer = await served.request("GET", "/embed/demo/?plain")
        page = await served.request("GET", "/")
    assert policy in answer.headers["Content-Security-Policy"]
    assert answer.headers.get("X-Frame-Options") == option
    assert b" plain=" in answer.body
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert page.headers["X-Frame-Options"] == "DENY"
