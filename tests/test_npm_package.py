"""The npm package as `npm pack` makes it: installed, and used by Node and by browsers."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
import tornado.web
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

from tornado_board import __version__

from . import chromium, firefox
from .archives import unpack
from .node import STATIC, find, node_modules
from .server_process import ROOT, ServerProcess
from .tokens import SECRET, token
from .waiting import PATIENCE

SCRIPTS = ROOT / "tests" / "npm_package"

Start = Callable[..., ServerProcess]


def clean() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "NODE_TEST_CONTEXT"}


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that `npm publish` would send."""
    node_modules()
    node, npm = find()
    folder = tmp_path_factory.mktemp("packed")
    done = subprocess.run(
        [*npm, "pack", "./client", "--pack-destination", str(folder)],
        cwd=STATIC,
        env={**clean(), "PATH": f"{node.parent}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (file,) = folder.glob("*.tgz")
    return file


@pytest.fixture(scope="module")
def project(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has the package among its modules."""
    folder = tmp_path_factory.mktemp("project")
    unpack(packed, folder / "node_modules")
    modules = folder / "node_modules"
    (modules / "package").rename(modules / "tornado-board")
    (folder / "package.json").write_text('{"type": "module"}')
    for script in SCRIPTS.iterdir():
        shutil.copy(script, folder)
    return folder


def test_it_holds_the_modules_their_types_and_no_dependency(project: Path) -> None:
    package = project / "node_modules" / "tornado-board"
    manifest = json.loads((package / "package.json").read_text())
    assert manifest["name"] == "tornado-board"
    assert manifest["version"] == __version__
    assert not {"dependencies", "peerDependencies", "optionalDependencies"} & set(manifest)
    assert (package / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    modules = {path.name for path in (package / "dist").iterdir()}
    for name in modules:
        if name.endswith(".js"):
            assert name.removesuffix(".js") + ".d.ts" in modules
    for target in manifest["exports"].values():
        for path in target.values() if isinstance(target, dict) else [target]:
            assert (package / path).is_file(), path
    outside = [path for path in package.iterdir() if path.name not in ("dist", "package.json")]
    assert {path.name for path in outside} == {"LICENSE", "README.md"}


@pytest.mark.parametrize("resolution", ["nodenext", "bundler"])
def test_its_types_are_what_the_docs_say(project: Path, resolution: str) -> None:
    compiler = node_modules() / "typescript" / "bin" / "tsc"
    module = "nodenext" if resolution == "nodenext" else "esnext"
    options = ["--strict", "--noEmit", "--target", "es2022", "--lib", "es2023,dom,dom.iterable"]
    done = subprocess.run(
        [
            *(str(find()[0]), str(compiler), *options, "--module", module),
            *("--moduleResolution", resolution, "--types", "", "types.ts"),
        ],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout


class Following:
    """A process that follows a board with the package."""

    def __init__(self, project: Path, runtime: list[str], script: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [*runtime, script, *arguments],
            cwd=project,
            env=clean(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self.said: list[dict[str, Any]] = []
        self.noise: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def until(self, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next thing said that fits."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                line = self._lines.get(timeout=max(0.1, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"it did not come: {self.said} {self.noise}") from None
            if not line.startswith("{"):
                self.noise.append(line)
                continue
            self.said.append(json.loads(line))
            if fits(self.said[-1]):
                return self.said[-1]

    def ever(self, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """What fits, said already or yet to be said."""
        return next(filter(fits, self.said), None) or self.until(fits)

    def end(self) -> int:
        assert self._process.stdin is not None
        self._process.stdin.close()
        return self._process.wait(PATIENCE)

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()


@pytest.fixture
def following(project: Path) -> Iterator[Callable[..., Following]]:
    started: list[Following] = []

    def start(runtime: list[str], script: str, *arguments: str) -> Following:
        started.append(Following(project, runtime, script, *arguments))
        return started[-1]

    yield start
    for one in started:
        one.kill()


def runtimes() -> dict[str, list[str] | None]:
    """The command of each runtime that is tried; None where it is not installed."""
    deno, path_node = shutil.which("deno"), shutil.which("node")
    return {
        "node of the tests": None,
        "node of the machine": [path_node] if path_node else None,
        "deno": [deno, "run", "--allow-net", "--quiet"] if deno else None,
    }


def command_of(name: str) -> list[str]:
    if name == "node of the tests":
        return [str(find()[0])]
    found = runtimes()[name]
    if found is None:
        pytest.skip(f"there is no {name}")
    return found


def follow_through_a_kill(
    server: ServerProcess, following: Following, transport: str = "live"
) -> None:
    """Watch, submit, have the server killed, submit while it is away, and see all of it."""
    following.until(lambda said: "update" in said)
    following.tell("500")
    submitted = following.until(lambda said: "submitted" in said)["submitted"]
    assert (submitted["rank"], submitted["previous"]) == (1, None)
    following.ever(lambda said: said.get("update", {}).get("me") == 500)
    server.kill()
    following.tell("700")  # nobody is there
    following.until(lambda said: said.get("state") == "reconnecting")
    server.restart()
    submitted = following.until(lambda said: "submitted" in said)["submitted"]
    assert submitted["previous"]["score"] == 500
    following.ever(lambda said: said.get("update", {}).get("me") == 700)
    if [said["state"] for said in following.said if "state" in said][-1] != transport:
        following.until(lambda said: said.get("state") == transport)
    following.tell("pages")
    pages = following.until(lambda said: "pages" in said)["pages"]
    assert pages[0] == ["me", 1]
    assert [rank for _, rank in pages] == sorted(rank for _, rank in pages)
    assert len(pages) == 6
    assert not any("reset" in said for said in following.said)
    ids = [said["id"] for said in following.said if "update" in said]
    assert len(ids) == len(set(ids)), "an event came twice"
    counters = [int(event_id.split("-")[1]) for event_id in ids]
    assert counters == list(range(counters[0], counters[-1] + 1)), "an event was left out"
    # A player that was not there is looked for now and then.
    assert {(said["rank"], said["of"]) for said in following.said if "rank" in said} <= {(1, 6)}
    assert following.noise == []
    assert following.end() == 0


@pytest.mark.parametrize("name", runtimes())
def test_it_goes_on_where_it_was_after_a_kill(
    server_process: Start, following: Callable[..., Following], name: str
) -> None:
    command = command_of(name)
    server = server_process()
    # The player that is watched is made before it is watched.
    follow_through_a_kill(server, following(command, "follow.js", server.url, "demo", "me"))


@pytest.mark.parametrize("name", ["node of the tests"])
def test_without_event_source_and_streaming_fetch_it_polls(
    server_process: Start, following: Callable[..., Following], name: str
) -> None:
    command = command_of(name)
    server = server_process()
    follow_through_a_kill(
        server, following(command, "native.js", server.url, "demo", "me"), transport="polling"
    )


def test_a_token_opens_what_is_private(
    server_process: Start, following: Callable[..., Following]
) -> None:
    server = server_process("--private", TORNADO_BOARD_TOKEN_SECRET=SECRET)
    one = following(
        [str(find()[0])], "follow.js", server.url, "demo", "mars", token(scope="read submit")
    )
    one.ever(lambda said: "update" in said)
    one.ever(lambda said: "rank" in said)
    one.tell("900")
    assert one.until(lambda said: "submitted" in said)["submitted"]["rank"] == 1
    assert not any("ticket" in line for line in server.output)


class Browser(Protocol):
    """What a test does with a tab of a browser."""

    def go(self, url: str) -> Awaitable[None]: ...

    def run(self, script: str) -> Awaitable[Any]: ...

    def until(self, script: str, seconds: float = 30.0) -> Awaitable[object]: ...


async def chromium_tab() -> tuple[Browser, Callable[[], None]]:
    if chromium.executable() is None:
        pytest.skip("Chromium is not installed")
    browser = chromium.Chromium()
    return await browser.open(), browser.close


async def firefox_tab() -> tuple[Browser, Callable[[], None]]:
    if firefox.executable() is None:
        pytest.skip("Firefox is not installed")
    browser = firefox.Firefox()
    return browser, browser.close


class Page(tornado.web.RequestHandler):
    """A page that loads nothing yet, on another origin than the server's."""

    def get(self) -> None:
        self.finish("<!doctype html><link rel=icon href='data:,'><title>another site</title>")


SCRIPT = """
window.begun ??= import("/node_modules/tornado-board/dist/index.js").then(({{ Boards }}) => {{
  window.boards = new Boards("{url}");
  window.told = {{ scores: [], ids: [], resets: 0, ranks: [] }};
  const stream = (window.stream = boards.watch("demo"));
  stream.addEventListener("update", ({{ detail }}) => {{
    told.scores.push(detail.board.players.find(({{ id }}) => id === "mars").score);
    told.ids.push(detail.id);
  }});
  stream.addEventListener("reset", () => (told.resets += 1));
  const place = boards.watchPlayer("demo", "mars");
  place.addEventListener("rank", ({{ detail }}) => told.ranks.push(detail.rank));
  return true;
}})
"""


@pytest.mark.parametrize("tab", [chromium_tab, firefox_tab], ids=["chromium", "firefox"])
@pytest.mark.gen_test
async def test_browsers_on_another_site_use_it(
    server_process: Start,
    project: Path,
    tab: Callable[[], Awaitable[tuple[Browser, Callable[[], None]]]],
) -> None:
    sock, port = bind_unused_port(address="127.0.0.1")
    files = (r"/(.*)", tornado.web.StaticFileHandler, {"path": str(project)})
    site = HTTPServer(tornado.web.Application([(r"/page", Page), files]))
    site.add_socket(sock)
    server = server_process(f"--allowed-origins=http://127.0.0.1:{port}")
    page, close = await tab()
    try:
        await page.go(f"http://127.0.0.1:{port}/page")
        assert await page.run(SCRIPT.format(url=server.url)) is True
        await page.until("stream.state === 'live' && told.ranks.length > 0")
        submitted = await page.run("boards.submit('demo', 'mars', {score: 1, operator: 'add'})")
        assert (submitted["score"], submitted["previous"]["score"]) == (20, 19)
        await page.until("told.scores.at(-1) === 20")
        server.kill()
        await page.until("stream.state === 'reconnecting'")
        pending = "boards.submit('demo', 'mars', {score: 5, operator: 'add'})"
        await page.run(f"void (window.pending = {pending})")
        server.restart()
        assert (await page.run("pending"))["score"] == 25
        await page.until("told.scores.at(-1) === 25 && stream.state === 'live'", 60)
        await page.until("told.ranks.at(-1) === 3", 60)
        told = await page.run("told")
        assert told["resets"] == 0
        assert told["scores"] == [19, 20, 25]
        assert len(set(told["ids"])) == 3
        player = await page.run("boards.player('demo', 'mars')")
        assert (player["score"], player["rank"]) == (25, 3)
    finally:
        close()
        site.stop()
