"""The clients that are tried, and how each is run."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .. import chromium, firefox
from ..node import find
from ..server_process import ROOT

HERE = Path(__file__).parent

#: What each follower is called in `follow.mjs`; those that are packages have their own names.
NODE = (
    *("eventsource", "eventsource-client", "eventsource-parser", "undici"),
    *("@microsoft/fetch-event-source", "launchdarkly-eventsource", "extended-eventsource"),
    *("fetch", "node:http", "node-fetch", "got", "axios", "ky"),
    *("WebSocket", "ws", "reconnecting-websocket", "partysocket"),
)
#: Those of `NODE` that come with Node.
NODES_OWN = ("fetch", "node:http", "WebSocket")

#: What each follower is called in `follow.py`, and its package, if it is one.
PYTHON: Mapping[str, str] = {
    **{name: name for name in ("requests", "niquests", "urllib3", "httpx", "httpx-sse")},
    **{name: name for name in ("sseclient-py", "requests-sse", "launchdarkly-eventsource")},
    **{name: name for name in ("aiohttp", "aiohttp-sse-client2", "tornado")},
    **{name: name for name in ("websockets", "websocket-client")},
    **{"aiohttp websocket": "aiohttp", "tornado websocket": "tornado"},
    **{"urllib.request": "", "http.client": ""},
}
SOCKETS = {
    *("WebSocket", "ws", "reconnecting-websocket", "partysocket"),
    *("websockets", "websocket-client", "aiohttp websocket", "tornado websocket"),
}


@dataclass(frozen=True)
class Library:
    """A client: what it is called, where it runs, and the command that follows a board with it,
    to which the address and the last event's id are added."""

    name: str
    runtime: str
    version: str
    command: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_socket(self) -> bool:
        return self.name in SOCKETS


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
    return done.stdout


def install_node(folder: Path) -> list[Library]:
    """The libraries for Node, installed in `folder`."""
    node, npm = find()
    version = run([str(node), "--version"], folder).strip().removeprefix("v")
    packages = [name for name in NODE if name not in NODES_OWN]
    (folder / "package.json").write_text('{"private": true}')
    flags = ("--no-audit", "--no-fund", "--ignore-scripts")
    run([*npm, "install", *flags, *packages], folder)
    shutil.copy(HERE / "follow.mjs", folder)

    def version_of(name: str) -> str:
        if name in NODES_OWN:
            return version
        manifest = folder / "node_modules" / name / "package.json"
        return str(json.loads(manifest.read_text("utf-8"))["version"])

    command = (str(node), str(folder / "follow.mjs"))
    return [Library(name, "Node", version_of(name), (*command, name)) for name in NODE]


def install_python(folder: Path) -> list[Library]:
    """The libraries for Python, installed in a virtual environment in `folder`."""
    python = folder / "environment" / "bin" / "python"
    if not python.exists():
        run([sys.executable, "-m", "venv", str(folder / "environment")], folder)
    packages = sorted({package for package in PYTHON.values() if package})
    run([str(python), "-m", "pip", "install", "--quiet", *packages, "msgspec"], folder)
    listed = json.loads(run([str(python), "-m", "pip", "list", "--format=json"], folder))
    versions = {re.sub("[._]", "-", one["name"].lower()): one["version"] for one in listed}
    own = ".".join(map(str, sys.version_info[:3]))
    command = (str(python), str(HERE / "follow.py"))
    found = [
        Library(name, "Python", versions[package] if package else own, (*command, name))
        for name, package in PYTHON.items()
    ]
    ours = Library(
        *("tornado_board.client", "Python", "this one", (*command, "tornado_board.client")),
        environ={"PYTHONPATH": str(ROOT)},
    )
    return [*found, ours]


def here() -> list[Library]:
    """What is on the machine anyway."""
    curl = shutil.which("curl")
    if curl is None:
        return []
    version = run([curl, "--version"], HERE).split()[1]
    script = (
        'curl -sSN "$1" -H "Accept: text/event-stream" ${2:+-H "Last-Event-ID: $2"} '
        "| sed -u 's/^/line /'"
    )
    packed = script.replace("-sSN", "-sSN --compressed")
    return [
        Library("curl", "", version, ("sh", "-c", script, "curl")),
        Library("curl --compressed", "", version, ("sh", "-c", packed, "curl")),
    ]


def browsers() -> list[Library]:
    """What the browsers on the machine have."""
    found = []
    for browser in (chromium, firefox):
        program = browser.executable()
        if program is None:
            continue
        version = re.findall(r"[\d.]+", run([program, "--version"], HERE))[0]
        name = browser.__name__.rpartition(".")[2]
        command = (sys.executable, "-m", "tests.other_clients.browse", name)
        environ = {"PYTHONPATH": str(ROOT)}
        for kind in ("EventSource", "fetch", "WebSocket"):
            own = (*command, kind, "own")
            found.append(Library(kind, name.capitalize(), version, own, environ))
        other = (*command, "EventSource", "other")
        called = "EventSource of another site"
        found.append(Library(called, name.capitalize(), version, other, environ))
    return found
