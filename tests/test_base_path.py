"""The server below a path of somebody else's site."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tornado_board.settings import Settings, SettingsError, checked
from tornado_board.web.page import AssetHandler, PageFiles, PageHandler

from .serving import serving
from .test_page_files import NAME, SCRIPT, TEMPLATES, write_build


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PageFiles:
    files = PageFiles(tmp_path / "build", TEMPLATES, checkout=True)
    for handler in (PageHandler, AssetHandler):
        monkeypatch.setattr(handler, "files", files)
    return files


@pytest.mark.parametrize(
    ("path", "prefix"),
    [("/", ""), ("/lb/", "/lb"), ("/lb", "/lb"), ("/a/b.c-d_e~/", "/a/b.c-d_e~")],
)
def test_base_paths_end_with_a_slash_or_not(path: str, prefix: str) -> None:
    assert checked(dataclasses.replace(Settings(), base_path=path)).path_prefix == prefix


@pytest.mark.parametrize(
    "path",
    [
        "",
        "lb",
        "lb/",
        "//",
        "/lb//",
        "//lb/",
        "/a//b/",
        "/../",
        "/a/./",
        "/l b/",
        "/lb?/",
        "/lb\n/",
        "/lb/\n",
        '/"><script>/',
        "/%41/",
        "/ä/",
        "http://host/",
        "/boards/",
        "/static",
        "/readyz/x/",
        f"/{'x' * 200}/",
    ],
)
def test_what_is_no_base_path_is_refused(path: str) -> None:
    with pytest.raises(SettingsError, match=r"\Abase_path: "):
        checked(dataclasses.replace(Settings(), base_path=path))


@pytest.mark.gen_test
async def test_paths_work_with_the_base_path_and_without_it(
    settings: Settings, files: PageFiles
) -> None:
    write_build(files.build)
    async with serving(dataclasses.replace(settings, base_path="/lb/")) as served:
        for prefix in ("/lb", ""):
            page = await served.request("GET", f"{prefix}/")
            assert page.status == 200
            assert b'data-base="/lb/"' in page.body
            assert f'src="/lb{NAME}"'.encode() in page.body
            assert b'"/static/' not in page.body
            assert (await served.request("GET", f"{prefix}{NAME}")).body == SCRIPT
            assert (await served.request("GET", f"{prefix}/healthz")).status == 200
            boards = await served.request("GET", f"{prefix}/boards/")
            assert [board["id"] for board in boards.json()["boards"]][-1:] != []
            board = f"b{len(prefix)}"
            made = await served.request("POST", f"{prefix}/boards/", f'{{"id": "{board}"}}')
            assert made.headers["Location"] == f"/lb/boards/{board}/"
            path = f"{prefix}/boards/{board}/players/"
            made = await served.request("POST", path, '{"id": "p", "name": "P"}')
            assert made.headers["Location"] == f"/lb/boards/{board}/players/p/"
            assert (await served.request("GET", made.headers["Location"])).status == 200
            some = await served.request("GET", f"{prefix}/boards/?limit=1")
            assert some.headers["Link"].startswith("</lb/boards/?limit=1&after=")
            poll = await served.request("GET", f"{prefix}/boards/{board}/events/")
            assert poll.json()["events"][0]["data"]["id"] == board
        assert (await served.request("GET", "/lb")).status == 200
        for path in ("/lbx/", "/lb2/boards/", "/lb/lb/boards/", "/LB/boards/"):
            nothing = await served.request("GET", path)
            assert nothing.status == 404
            assert "/lb/boards/" in nothing.json()["detail"]


@pytest.mark.gen_test
async def test_without_a_build_the_links_are_below_the_base_path(
    settings: Settings, files: PageFiles
) -> None:
    async with serving(dataclasses.replace(settings, base_path="/lb")) as served:
        answer = await served.request("GET", "/lb/")
    assert b'href="/lb/boards/"' in answer.body


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.gen_test
async def test_the_page_is_told_whether_it_is_only_for_looking(
    settings: Settings, files: PageFiles, read_only: bool
) -> None:
    write_build(files.build)
    async with serving(dataclasses.replace(settings, read_only_page=read_only)) as served:
        answer = await served.request("GET", "/")
    assert (b" data-read-only>" in answer.body) is read_only
