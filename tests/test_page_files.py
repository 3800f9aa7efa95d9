"""How the page and its files are served, with builds that the tests make up."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import hashlib
import html
import json
import os
import re
from pathlib import Path

import pytest

from tornado_board.settings import Settings
from tornado_board.web import built_page
from tornado_board.web.built_page import PageFiles
from tornado_board.web.page import AssetHandler, DocsHandler, PageHandler

from .serving import serving

TEMPLATES = Path(__file__).parents[1] / "templates"
SCRIPT = b"let score = 1;\n" * 50
GZIPPED = gzip.compress(SCRIPT, mtime=0)
FIRST_STYLE = b"body {}"
ROW = "<li>${id}${name}${place}${rank}${rankWord}${score}${size}${gap}</li>"
NAME = "/static/assets/page-Ab_3-x.js"


def write_build(folder: Path, script: str = "assets/page-Ab_3-x.js") -> None:
    assets = folder / "assets"
    assets.mkdir(parents=True, exist_ok=True)
    (folder / script).write_bytes(SCRIPT)
    (folder / f"{script}.gz").write_bytes(GZIPPED)
    (folder / f"{script}.br").write_bytes(b"as brotli")
    (assets / "first-1.css").write_bytes(FIRST_STYLE)
    (folder / "row.html").write_text(ROW)
    (assets / "icon-1.svg").write_bytes(b"<svg/>")
    manifest = {
        "src/page/main.js": {"file": script, "dynamicImports": ["src/page/takeOver.jsx"]},
        "src/page/first.css": {"file": "assets/first-1.css"},
        "src/page/takeOver.jsx": {
            "file": "assets/takeOver-1.js",
            "imports": ["_react.js", "src/page/main.js"],
            "css": ["assets/takeOver-1.css"],
        },
        "_react.js": {"file": "assets/react-1.js"},
        "src/docs/main.js": {"file": "assets/docs-1.js", "css": ["assets/docs-1.css"]},
        "src/page/icon.svg": {"file": "assets/icon-1.svg"},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PageFiles:
    """Where the server under test looks for its page; nothing is there yet."""
    files = PageFiles(tmp_path / "build", TEMPLATES, checkout=True)
    for handler in (PageHandler, DocsHandler, AssetHandler):
        monkeypatch.setattr(handler, "files", files)
    return files


@pytest.mark.gen_test
async def test_the_page_names_the_files_of_the_build(settings: Settings, files: PageFiles) -> None:
    write_build(files.build)
    async with serving(settings) as served:
        answer = await served.request("GET", "/?board=none")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache, private"
    for name in (NAME, "/static/assets/icon-1.svg"):
        assert f'"{name}"'.encode() in answer.body
    # The rows do not share the line with what comes later, as long as they have to be asked for.
    assert b"react-1.js" not in answer.body
    assert b"takeOver-1" not in answer.body


@pytest.mark.gen_test
async def test_with_a_board_the_page_names_what_comes_later_too(
    settings: Settings, files: PageFiles
) -> None:
    write_build(files.build)
    async with serving(settings) as served:
        page = (await served.request("GET", "/")).body.decode()
    scripts = re.findall(r'<link rel="modulepreload" href="/static/assets/(.*?)">', page)
    assert scripts == ["takeOver-1.js", "react-1.js"]
    assert (
        '<link rel="preload" as="style" href="/static/assets/takeOver-1.css" crossorigin>' in page
    )
    assert '<link rel="stylesheet"' not in page, "nothing holds up what is shown first"


@pytest.mark.gen_test
async def test_the_page_of_the_api_names_its_own(settings: Settings, files: PageFiles) -> None:
    write_build(files.build)
    async with serving(dataclasses.replace(settings, base_path="/ours/")) as served:
        answer = await served.request("GET", "/docs")
    assert answer.status == 200
    assert b'data-base="/ours/"' in answer.body
    for name in ("docs-1.js", "docs-1.css", "icon-1.svg"):
        assert f'"/ours/static/assets/{name}"'.encode() in answer.body
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'; script-src 'self';" in policy


@pytest.mark.gen_test
async def test_the_page_runs_only_what_this_server_serves(
    settings: Settings, files: PageFiles
) -> None:
    async with serving(settings) as served:
        for built in (False, True):
            if built:
                write_build(files.build)
            answer = await served.request("GET", "/")
            assert answer.status == 200
            policy = answer.headers["Content-Security-Policy"]
            directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
            assert directives.pop("default-src") == "'none'"
            assert directives.pop("require-trusted-types-for") == "'script'"
            styles = re.findall(b"<style>(.*?)</style>", answer.body)
            assert styles == ([FIRST_STYLE] if built else [])
            hashes = (base64.b64encode(hashlib.sha256(one).digest()).decode() for one in styles)
            allowed = ["'self'", *(f"'sha256-{one}'" for one in hashes)]
            assert directives.pop("style-src").split() == allowed
            assert set(directives.values()) == {"'self'", "'none'"}
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert b"<style" not in answer.body.replace(b"<style>", b"", len(styles))
            assert b"<script>" not in answer.body


@pytest.mark.gen_test
async def test_files_are_kept_long_and_asked_for_by_etag(
    settings: Settings, files: PageFiles
) -> None:
    write_build(files.build)
    async with serving(settings) as served:
        answer = await served.request("GET", NAME)
        assert answer.body == SCRIPT
        assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        etag = answer.headers["ETag"]
        again = await served.request("GET", NAME, headers={"If-None-Match": etag})
        assert (again.status, again.body) == (304, b"")
        head = await served.request("HEAD", NAME)
        assert (head.status, head.body) == (200, b"")
        assert head.headers["Content-Length"] == str(len(SCRIPT))


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        ("", None),
        ("identity", None),
        ("*", None),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("gzip, deflate, br, zstd", "br"),
        ("gzip;q=1.0, br;q=0.5", "br"),
        ("br;q=0, gzip;q=0.001", "gzip"),
        ("br;q=0.000, gzip;q=0", None),
        ("x-gzip", None),
    ],
)
@pytest.mark.gen_test
async def test_files_come_in_the_best_coding_that_is_taken(
    settings: Settings, files: PageFiles, accept: str, coding: str | None
) -> None:
    write_build(files.build)
    async with serving(settings) as served:
        answer = await served.request("GET", NAME, headers={"Accept-Encoding": accept})
        plain = await served.request("GET", NAME)
    assert answer.status == 200
    assert answer.headers.get("Content-Encoding") == coding
    assert "Accept-Encoding" in answer.headers["Vary"]
    assert {None: SCRIPT, "br": b"as brotli", "gzip": GZIPPED}[coding] == answer.body
    assert (answer.headers["ETag"] == plain.headers["ETag"]) == (coding is None)


@pytest.mark.gen_test
async def test_nothing_else_is_served(settings: Settings, files: PageFiles) -> None:
    write_build(files.build)
    async with serving(settings) as served:
        for target in (
            "/static/",
            "/static/none.js",
            "/static/manifest.json",
            "/static/assets/",
            "/static/assets/../manifest.json",
            "/static/%2e%2e/templates/index.html",
            "/static/assets/%2e%2e%2fmanifest.json",
            "/static//etc/passwd",
            "/static/../run.py",
            f"{NAME}.gz",
            f"{NAME}.br",
            f"{NAME}/",
        ):
            assert (await served.request("GET", target)).status == 404, target
        assert (await served.request("POST", NAME)).status == 405
        assert (await served.request("POST", "/")).status == 405


@pytest.mark.parametrize(("checkout", "command"), [(True, "BUILD"), (False, "INSTALL")])
@pytest.mark.gen_test
async def test_without_a_build_the_page_says_how_to_get_one(
    settings: Settings, files: PageFiles, checkout: bool, command: str
) -> None:
    files.checkout = checkout
    async with serving(settings) as served:
        answer = await served.request("GET", "/")
        assert answer.status == 200
        code = html.unescape(answer.body.decode()).partition("<code>")[2].partition("</code>")[0]
        assert code == getattr(built_page, f"{command}_COMMAND")
        # From the sources: no index has the package.
        assert code.startswith("python static/build_page.py")
        assert "tornado_board" not in code
        assert (await served.request("GET", NAME)).status == 404
        assert (await served.request("GET", "/boards/")).status == 200
        write_build(files.build)  # no restart is needed
        assert (await served.request("GET", "/")).status == 200
        assert (await served.request("GET", NAME)).status == 200


@pytest.mark.gen_test
async def test_a_new_build_is_served_at_once(settings: Settings, files: PageFiles) -> None:
    write_build(files.build)
    async with serving(settings) as served:
        await served.request("GET", "/")
        write_build(files.build, "assets/page-other.js")
        os.utime(files.build / "manifest.json", ns=(1, 1))
        assert b"/static/assets/page-other.js" in (await served.request("GET", "/")).body


@pytest.mark.parametrize("style", [b"a { content: '</style>' }", b"<!-- a {}"])
@pytest.mark.gen_test
async def test_a_style_sheet_that_would_end_its_element_is_no_build(
    settings: Settings, files: PageFiles, style: bytes
) -> None:
    write_build(files.build)
    (files.build / "assets" / "first-1.css").write_bytes(style)
    async with serving(settings) as served:
        answer = await served.request("GET", "/")
    assert built_page.BUILD_COMMAND.encode() in answer.body


@pytest.mark.parametrize("manifest", ["", "[]", "{}", '{"src/page/main.js": {}}', "null"])
@pytest.mark.gen_test
async def test_a_broken_build_is_no_build(
    settings: Settings, files: PageFiles, manifest: str
) -> None:
    write_build(files.build)
    (files.build / "manifest.json").write_text(manifest)
    async with serving(settings) as served:
        answer = await served.request("GET", "/")
    assert answer.status == 200
    assert built_page.BUILD_COMMAND.encode() in answer.body


@pytest.mark.gen_test
async def test_below_a_base_path_the_page_is_whole(settings: Settings, files: PageFiles) -> None:
    async with serving(dataclasses.replace(settings, base_path="/lb")) as served:
        for prefix in ("/lb", ""):  # a proxy may strip it
            assert b'href="/lb/boards/"' in (await served.request("GET", f"{prefix}/")).body
        write_build(files.build)
        for prefix in ("/lb", ""):
            answer = await served.request("GET", f"{prefix}/")
            assert answer.status == 200
            assert b'data-base="/lb/"' in answer.body
            assert f'src="/lb{NAME}"'.encode() in answer.body
            assert b'"/static/' not in answer.body
            assert (await served.request("GET", f"{prefix}{NAME}")).body == SCRIPT


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.gen_test
async def test_the_page_is_told_whether_it_is_only_for_looking(
    settings: Settings, files: PageFiles, read_only: bool
) -> None:
    write_build(files.build)
    async with serving(dataclasses.replace(settings, read_only_page=read_only)) as served:
        answer = await served.request("GET", "/")
    assert (b" data-read-only>" in answer.body) is read_only
