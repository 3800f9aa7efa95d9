"""What the README tells people to copy works as it stands there."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from .ports import free_port
from .proxies import NGINX
from .server_process import ROOT, ServerProcess
from .waiting import PATIENCE, until_listening

README = (ROOT / "README.md").read_text("utf-8")

Behind = Callable[[str], str]


def snippet(language: str) -> str:
    """The README's one block of code in `language`."""
    (block,) = re.findall(rf"^```{language}\n(.*?)^```$", README, re.M | re.S)
    assert isinstance(block, str)
    return block


@pytest.fixture
def behind(server_process: Callable[..., ServerProcess], tmp_path: Path) -> Iterator[Behind]:
    """Puts an nginx with a `location` in front of a server; the URL of nginx."""
    if shutil.which("nginx") is None:
        pytest.skip("nginx is not installed")
    started: list[subprocess.Popen[bytes]] = []

    def start(location: str) -> str:
        flags = re.findall(r"--(?:trust-forwarded|allowed-hosts=[a-z.]+)", README)
        assert len(flags) > 1
        server = server_process(*flags)
        assert location.count("127.0.0.1:8888") == 1
        location = location.replace("127.0.0.1:8888", f"127.0.0.1:{server.port}")
        port = free_port()
        config = tmp_path / "nginx.conf"
        config.write_text(NGINX.format(folder=tmp_path, port=port, locations=location))
        command = ["nginx", "-p", str(tmp_path), "-c", str(config), "-e", f"{tmp_path}/error.log"]
        nginx = subprocess.Popen(command, stderr=subprocess.PIPE)
        started.append(nginx)
        until_listening(port, nginx)
        return f"http://127.0.0.1:{port}"

    yield start
    for nginx in started:
        nginx.kill()
        nginx.communicate()


ADD = "/boards/demo/players/mars/score-add/"


def from_the_page(url: str) -> dict[str, str]:
    """What a browser adds to a request of the server's own page."""
    return {"Origin": url, "Sec-Fetch-Site": "same-origin"}


def test_behind_the_readmes_nginx_the_world_may_read_and_not_write(behind: Behind) -> None:
    url = behind(snippet("nginx"))
    with httpx.Client(base_url=url, timeout=PATIENCE) as client:
        assert client.get("/boards/demo/").json()["id"] == "demo"
        for host, status in (("boards.example", 200), ("evil.example", 421)):
            assert client.get("/boards/", headers={"Host": host}).status_code == status
        assert client.head("/boards/").status_code == 200
        assert client.options("/boards/demo/").status_code == 204
        with client.stream(
            "GET", "/boards/demo/events/", headers={"Accept": "text/event-stream"}
        ) as s:
            assert next(s.iter_text()).startswith("retry: ")
        for method, path in (
            ("POST", ADD),
            ("POST", "/boards/"),
            ("PATCH", "/boards/demo/players/mars/"),
            ("DELETE", "/boards/demo/"),
        ):
            assert client.request(method, path, headers=from_the_page(url)).status_code == 403
        players = client.get("/boards/demo/").json()["players"]
    assert {"id": "mars", "name": "Mars", "score": 19} in players


def test_behind_the_readmes_nginx_the_page_of_those_who_may_write_can(behind: Behind) -> None:
    location = snippet("nginx")
    assert "allow 10.0.0.0/8;" in location
    url = behind(location.replace("allow 10.0.0.0/8;", "allow 127.0.0.0/8;"))
    # A browser at http://host:port sends no Sec-Fetch-Site: this is not a secure context.
    for headers in (from_the_page(url), {"Origin": url}):
        answer = httpx.post(url + ADD, headers=headers, timeout=PATIENCE)
        assert answer.status_code == 200, answer.text
    other = httpx.post(url + ADD, headers={"Origin": "http://evil.example"}, timeout=PATIENCE)
    assert other.status_code == 403
    assert other.headers["content-type"].startswith("application/problem+json")
