"""The server below a path of somebody else's site."""

from __future__ import annotations

import dataclasses

import pytest

from tornado_board.checked_settings import checked
from tornado_board.setting_checks import check_base_path
from tornado_board.settings import Settings, SettingsError
from tornado_board.web.application import ROUTES
from tornado_board.web.paths import template

from .serving import serving


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
async def test_paths_work_with_the_base_path_and_without_it(settings: Settings) -> None:
    async with serving(dataclasses.replace(settings, base_path="/lb/")) as served:
        for prefix in ("/lb", ""):
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


@pytest.mark.parametrize("path", [path for path, _ in ROUTES if path not in ("/", r"\*")])
def test_what_the_server_has_at_its_root_can_begin_no_base_path(path: str) -> None:
    first = template(path).split("/")[1]
    with pytest.raises(ValueError, match="own"):
        check_base_path(f"/{first}/below")
