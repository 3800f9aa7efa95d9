"""The files in ``deploy/``, as far as they can be tried without a service manager and containers.

The proxies' files are what `proxies` starts. What is here checks the systemd units and the
containers' files against the code, and carries out the Dockerfile's steps in a folder.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets.sync.client

from tornado_board.checked_settings import FIELDS
from tornado_board.command_line import variables
from tornado_board.settings import Settings

from .proxies import DEPLOY, KINDS, Proxy
from .server_process import ROOT, ServerProcess, clean_environ
from .waiting import PATIENCE

VARIABLES = {name for field in FIELDS for name in variables(field)}

#: What several processes get to stop on top of `stop_timeout`.
_ON_TOP = 2


# Proxies


@pytest.fixture(params=[kind for kind, (_, extra) in KINDS.items() if extra is None])
def site(
    request: pytest.FixtureRequest, server_process: Callable[..., ServerProcess], tmp_path: Path
) -> Iterator[tuple[ServerProcess, str]]:
    """A server started as the files say, and the address of a proxy in front of it."""
    if shutil.which(KINDS[request.param][0]) is None:
        pytest.skip(f"{KINDS[request.param][0]} is not installed")
    server = server_process("--trust-forwarded", "--allowed-hosts=boards.example")
    proxy = Proxy(request.param, server.port, tmp_path)
    yield server, f"127.0.0.1:{proxy.port}"
    proxy.stop()


def test_a_site_as_the_files_have_it(site: tuple[ServerProcess, str]) -> None:
    """Beside what `test_proxies` tries: WebSockets, large bodies, addresses."""
    server, place = site
    with websockets.sync.client.connect(
        f"ws://{place}/boards/demo/events/", proxy=None
    ) as connection:
        assert '"event":"update"' in str(connection.recv(PATIENCE)).replace(" ", "")
    rows = [{"id": f"p{i}", "score": i, "name": "x" * 180} for i in range(10_000)]
    with httpx.Client(trust_env=False, timeout=PATIENCE) as client:
        sent = client.post(f"http://{place}/boards/demo/scores/", json=rows)
        assert [row["status"] for row in sent.raise_for_status().json()] == [201] * 10_000
        exported = client.get(f"http://{place}/boards/demo/export/")
        assert exported.text.count("\n") == 10_005
        # A client's own tale of its address is not what the server takes.
        headers = {"X-Forwarded-For": "192.0.2.7"}
        client.get(f"http://{place}/boards/none/", headers=headers)
    server.stop()
    (line,) = [line for line in server.output if "/boards/none/" in line]
    assert "127.0.0.1" in line
    assert "192.0.2.7" not in line


# systemd


def unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(DEPLOY / name, "utf-8")
    return parser


def test_the_units_are_valid(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    names = ["tornado_board.socket", "tornado_board.service"]
    for name in names:
        text = (DEPLOY / name).read_text("utf-8")
        # The one program that is not there.
        (tmp_path / name).write_text(text.replace("/opt/tornado_board/bin/", f"{tmp_path}/"))
    program = tmp_path / "tornado-board"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    done = subprocess.run(
        ["systemd-analyze", "verify", *(str(tmp_path / name) for name in names)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if "tornado_board" in line] == []


def test_the_units_go_with_the_defaults() -> None:
    socket = unit("tornado_board.socket")["Socket"]
    service = unit("tornado_board.service")["Service"]
    defaults = Settings()
    assert socket["ListenStream"] == f"127.0.0.1:{defaults.port}"
    assert float(service["TimeoutStopSec"]) > defaults.stop_timeout + _ON_TOP
    assert float(service["TimeoutStartSec"]) > defaults.database_wait
    assert int(service["LimitNOFILE"]) > defaults.max_connections + 512
    assert service["Type"] == "notify"


# Containers


def load(name: str) -> Any:
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load((DEPLOY / name).read_text("utf-8"))


def test_compose_names_what_there_is() -> None:
    compose = load("compose.yaml")
    board = compose["services"]["board"]
    assert set(board["environment"]) <= VARIABLES
    build = board["build"]
    assert (DEPLOY / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).is_file()
    assert set(board["depends_on"]) <= set(compose["services"])
    assert set(board["secrets"]) == set(compose["secrets"])
    assert board["environment"]["TORNADO_BOARD_TOKEN_SECRET_FILE"] == "/run/secrets/token"
    mounted = {
        volume.partition(":")[0]
        for service in compose["services"].values()
        for volume in service.get("volumes", ())
    }
    assert mounted == set(compose["volumes"])
    # Others' ports are not published, and this one only to the machine itself.
    published = {name: s["ports"] for name, s in compose["services"].items() if "ports" in s}
    assert published == {"board": [f"127.0.0.1:8888:{Settings().port}"]}
    assert int(board["stop_grace_period"].removesuffix("s")) > Settings().stop_timeout + _ON_TOP
    for name, port in (("DATABASE_URL", "rethinkdb:28015"), ("REDIS_URL", "redis:6379")):
        assert f"//{port}/" in board["environment"][f"TORNADO_BOARD_{name}"]


def steps() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile, and what they are given."""
    text = (DEPLOY / "Dockerfile").read_text("utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines)]


def test_the_dockerfile_names_what_there_is() -> None:
    for name, rest in steps():
        if name == "ENV" and rest.startswith("TORNADO_BOARD_"):
            assert rest.partition("=")[0] in VARIABLES
    assert ("EXPOSE", str(Settings().port)) in steps()
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    taken = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    assert all((ROOT / name).exists() for name in taken)


def test_the_dockerfiles_steps_make_a_server_that_starts(tmp_path: Path) -> None:
    """In a folder in place of the image, without the network: packages come from this Python."""
    source, root = tmp_path / "source", tmp_path / "root"
    source.mkdir()
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    leave_out = shutil.ignore_patterns("build", "node_modules", "__pycache__")
    for line in ignored:
        if line.startswith("!"):  # what COPY . . takes
            path = ROOT / line.removeprefix("!")
            if path.is_dir():
                shutil.copytree(path, source / path.name, ignore=leave_out)
            else:
                shutil.copy(path, source / path.name)
    commands = [rest for name, rest in steps() if name == "RUN"]
    makes, installs, adds_user = commands
    assert re.match("useradd ", adds_user)  # takes root; whoever runs the tests stands for it
    assert makes == "python -m venv /opt/tornado_board"
    venv.create(root / "opt" / "tornado_board", with_pip=True, system_site_packages=False)
    here = Path(next(path for path in sys.path if path.endswith("site-packages")))
    (site_packages,) = (root / "opt" / "tornado_board" / "lib").glob("python*/site-packages")
    for bundled in (*site_packages.glob("setuptools*"), *site_packages.glob("pkg_resources")):
        shutil.rmtree(bundled)  # an older one, which would come first
    (site_packages / "from_here.pth").write_text(str(here))
    program, *arguments = shlex.split(installs)
    assert arguments[:3] == ["-m", "pip", "install"]
    installed = subprocess.run(
        [str(root) + program, *arguments[:3], "--no-deps", "--no-build-isolation", *arguments[3:]],
        cwd=source,
        env={**clean_environ(), "TORNADO_BOARD_SKIP_PAGE": "1", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert installed.returncode == 0, installed.stdout + installed.stderr
    settings = dict(rest.split("=", 1) for name, rest in steps() if name == "ENV")
    paths = settings.pop("PATH").replace("$PATH", os.environ["PATH"])
    entry = next(shlex.split(rest.strip("[]")) for name, rest in steps() if name == "ENTRYPOINT")
    data = root / "data"
    data.mkdir()
    (first, *_), rest = paths.split(":"), [*entry, "--port=0", "--address=127.0.0.1"]
    server = subprocess.Popen(
        [str(root) + first + "/" + rest[0], *rest[1:]],
        cwd=data,
        env={**clean_environ(), **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert server.stdout is not None
        # Before its address it may say that it has no page.
        banner = [server.stdout.readline() for _ in range(2)]
        found = re.search(r"serves http://\S+:(\d+)/", "".join(banner))
        assert found is not None, banner
        health = next(rest for name, rest in steps() if name == "HEALTHCHECK")
        command = re.search(r"CMD \[(.*)\]$", health)
        assert command is not None
        python, *words = json.loads(f"[{command[1]}]".replace(":8888/", f":{found[1]}/"))
        assert python == "python"
        for _ in range(50):
            healthy = subprocess.run([sys.executable, *words], capture_output=True, check=False)
            if healthy.returncode == 0:
                break
        assert healthy.returncode == 0, healthy.stderr
        assert (data / "tornado_board.sqlite3").exists()
    finally:
        server.terminate()  # as STOPSIGNAL says
        server.communicate(timeout=PATIENCE)
    assert server.returncode == 0
