"""The build of the pages, in memory: their HTML and the files that they are made of."""

from __future__ import annotations

import base64
import hashlib
import logging
import mimetypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from string import Template
from typing import Any

import tornado.template
import ujson

from tornado_board.web.first_board import DESCRIPTION, TITLE, FirstBoard
from tornado_board.web.first_rows import rows_of, template_of
from tornado_board.web.languages import TEXTS

logger = logging.getLogger(__name__)

#: What builds the page, in the folder of the sources.
BUILD_COMMAND = "python static/build_page.py"
#: What an installation without a page needs instead, there too: no index has this package.
INSTALL_COMMAND = f"{BUILD_COMMAND} && python -m pip install --force-reinstall --no-deps ."

#: Content codings, best first, and how the build names the files that have them.
_CODINGS = (("br", ".br"), ("gzip", ".gz"))

#: What browsers want to know about the types that a build consists of.
_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml; charset=utf-8",
}


class PageNotBuilt(Exception):
    """There is no build of the page."""


@dataclass(frozen=True)
class Asset:
    """A file of the page: its bytes as they are, and by content coding."""

    content_type: str
    etag: str
    body: bytes
    coded: Mapping[str, bytes]

    def chosen(self, accept_encoding: str) -> tuple[str, bytes]:
        """The content coding (an empty string for none) and the bytes for a request."""
        accepted = _codings(accept_encoding)
        for coding, body in self.coded.items():
            if coding in accepted:
                return coding, body
        return "", self.body


#: The template of a row in a page that has none.
NO_ROW = Template("")


@dataclass(frozen=True)
class Style:
    """A style sheet that stands in a page itself, and how the page's policy names it."""

    text: str = ""

    @cached_property
    def source(self) -> str:
        """Its hash (Content Security Policy Level 3, "hash-source")."""
        digest = hashlib.sha256(self.text.encode()).digest()
        return f"sha256-{base64.b64encode(digest).decode()}"


@dataclass(frozen=True)
class Document:
    """An HTML page: its template, and what it loads.

    `needed` are the scripts that `script` imports, `spoken` those that it needs to speak a
    language, `later` the scripts and `later_styles` the style sheets that nothing which is shown
    first waits for. `row` is the template of a row of the board that it begins with.
    """

    template: tornado.template.Template
    script: str
    needed: Sequence[str]
    spoken: Mapping[str, Sequence[str]]
    styles: Sequence[str]
    icon: str
    style: Style = Style()
    row: Template = NO_ROW
    later: Sequence[str] = ()
    later_styles: Sequence[str] = ()

    def html(
        self,
        prefix: str = "",
        *,
        read_only: bool = False,
        wall: bool = False,
        first: FirstBoard | None = None,
        lang: str = "en",
    ) -> bytes:
        """The HTML for a server whose public paths begin with `prefix`, with the board that it
        begins with, in one of the languages there are."""
        static = f"{prefix}/static/"
        scripts = [*self.needed, *self.spoken.get(lang, ())]
        # Where the scripts have to ask for the board, its rows do not share the line with the rest.
        later, later_styles = ((), ()) if first is None else (self.later, self.later_styles)
        texts = TEXTS[lang]
        return self.template.generate(
            base=f"{prefix}/",
            read_only=read_only,
            wall=wall,
            title=TITLE if first is None else first.title,
            description=DESCRIPTION if first is None else first.description,
            board=None if first is None else first.board,
            data="" if first is None else first.data,
            several=first is not None and first.several,
            rows="" if first is None else rows_of(self.row, first.rows, texts, lang),
            lang=lang,
            texts=texts,
            script=static + self.script,
            preloads=[static + name for name in (*scripts, *later)],
            style=self.style.text,
            styles=[static + name for name in self.styles],
            style_preloads=[static + name for name in later_styles],
            icon=static + self.icon,
        )


@dataclass(frozen=True)
class Page:
    """A build of the pages, in memory: the demo page, the API's, the template of the one for
    frames, and the assets by name.

    `component` is the name of the web component, empty where the build has none.
    """

    main: Document
    api: Document
    embed: tornado.template.Template
    component: str
    assets: Mapping[str, Asset]


class PageFiles:
    """Reads the page, again after each build.

    `build` is the folder that the build writes, `templates` the one of the HTML around it.
    """

    def __init__(self, build: Path, templates: Path, *, checkout: bool) -> None:
        self.build = build
        self.templates = templates
        self.checkout = checkout
        self._page: Page | None = None
        self._stamp: tuple[int, ...] = ()

    @classmethod
    def found(cls) -> PageFiles:
        """Those of the checkout that this module is part of, or else those installed beside it."""
        root = Path(__file__).resolve().parents[2]
        if (root / "static" / "package.json").is_file() and (root / "templates").is_dir():
            return cls(root / "static" / "build", root / "templates", checkout=True)
        installed = Path(__file__).resolve().parent / "page_files"
        return cls(installed / "build", installed / "templates", checkout=False)

    def page(self) -> Page:
        """The page. Raises `PageNotBuilt`.

        Some 400 KB are read where a build is new; otherwise the state of one file is looked at.
        """
        manifest = self.build / "manifest.json"
        try:
            status = manifest.stat()
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            if self._page is None or stamp != self._stamp:
                self._page = self._read(manifest)
                self._stamp = stamp
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise PageNotBuilt(str(error)) from error
        return self._page

    def _read(self, manifest: Path) -> Page:
        entries = ujson.loads(manifest.read_text("utf-8"))
        loader = tornado.template.Loader(str(self.templates))

        def files(entry: str) -> tuple[list[str], list[str]]:
            """The scripts of an entry, its own first, and its style sheets."""
            parts = [entries[entry], *_imported(entries, entry)]
            return (
                [part["file"] for part in parts],
                [style for part in parts for style in part.get("css", ())],
            )

        icon = entries["src/page/icon.svg"]["file"]
        (script, *needed), styles = files("src/page/main.js")
        later, later_styles = files("src/page/takeOver.jsx")
        main = Document(
            template=loader.load("index.html"),
            script=script,
            needed=needed,
            spoken=_speaking(entries),
            styles=styles,
            icon=icon,
            style=_style(self.build / entries["src/page/first.css"]["file"]),
            row=template_of((self.build / "row.html").read_text("utf-8")),
            later=[name for name in later if name not in (script, *needed)],
            later_styles=[name for name in later_styles if name not in styles],
        )
        (script, *needed), styles = files("src/docs/main.js")
        api = Document(loader.load("docs.html"), script, needed, {}, styles, icon)
        assets = {}
        for path in sorted((self.build / "assets").iterdir()):
            if path.suffix not in (".br", ".gz"):
                assets[f"assets/{path.name}"] = _asset(path)
        return Page(
            main=main,
            api=api,
            embed=loader.load("embed.html"),
            component=entries.get("src/live-board.js", {}).get("file", ""),
            assets=assets,
        )

    @property
    def command(self) -> str:
        """What gets a page where there is none."""
        return BUILD_COMMAND if self.checkout else INSTALL_COMMAND

    def how_to_build(self, prefix: str = "") -> bytes:
        """An HTML page that says how to get the page."""
        loader = tornado.template.Loader(str(self.templates))
        try:
            return loader.load("not_built.html").generate(
                base=f"{prefix}/", command=self.command, checkout=self.checkout
            )
        except OSError:
            return f"The page was not built. {self.command}".encode()


PAGE = PageFiles.found()


def warn_unless_built() -> None:
    """Log how to get the page, if there is none."""
    try:
        PAGE.page()
    except PageNotBuilt:
        logger.warning("the page at / is not built; to build it: %s", PAGE.command)


def _imported(entries: Mapping[str, Any], name: str) -> list[Any]:
    """The entries of a build's manifest that an entry imports, and they themselves, each once."""
    found: dict[str, Any] = {}
    waiting = list(entries[name].get("imports", ()))
    while waiting:
        imported = waiting.pop()
        if imported not in found:
            found[imported] = entries[imported]
            waiting += entries[imported].get("imports", ())
    return list(found.values())


def _speaking(entries: Mapping[str, Any]) -> dict[str, list[str]]:
    """The files with the texts of each language that has one of its own."""
    names = {lang: f"src/page/texts/{lang}.js" for lang in TEXTS}
    return {lang: [entries[name]["file"]] for lang, name in names.items() if name in entries}


def _style(path: Path) -> Style:
    """The style sheet in a file. Raises `ValueError` where no element can hold it."""
    text = path.read_text("utf-8")
    if "</" in text or "<!--" in text:
        raise ValueError(f"{path.name} has what ends a style element")
    return Style(text)


def _asset(path: Path) -> Asset:
    body = path.read_bytes()
    coded = {}
    for coding, suffix in _CODINGS:
        file = path.with_name(path.name + suffix)
        if file.is_file():
            coded[coding] = file.read_bytes()
    guessed = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    etag = hashlib.sha256(body).hexdigest()[:16]
    return Asset(_TYPES.get(path.suffix, guessed), etag, body, coded)


def _codings(accept_encoding: str) -> set[str]:
    """The codings that an ``Accept-Encoding`` header names with a q above 0 (RFC 9110, 12.5.3)."""
    accepted = set()
    for item in accept_encoding.lower().split(","):
        coding, *parameters = (part.strip() for part in item.split(";"))
        q = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        if coding and q.strip("0.") != "":
            accepted.add(coding)
    return accepted
