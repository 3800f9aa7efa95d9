"""The demo page and the files it is made of: hashed names, compressed when they were built."""

from __future__ import annotations

import hashlib
import logging
import mimetypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import tornado.template
import tornado.web
import ujson

from tornado_board.auth.policy import Action, Actions
from tornado_board.web.described import Operation, Told
from tornado_board.web.first_board import BOARD, DESCRIPTION, TITLE, FirstBoard, first_board
from tornado_board.web.handler import Handler
from tornado_board.web.languages import LANG, TEXTS, language_of
from tornado_board.web.problems import Problem

logger = logging.getLogger(__name__)

#: Everything from this server, nothing inline and nothing put together from strings; in no other
#: site's frame.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)

#: The same for the page of the API, whose library has styles in its HTML and pictures in its
#: styles, and makes HTML of Markdown; what it is given is this server's own.
DOCS_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)

#: What else keeps a page to itself: its address from other sites, the page from their frames and
#: pages, and the machine's devices from whatever would get into it.
PAGE_HEADERS = (
    ("Referrer-Policy", "same-origin"),
    ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)

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


@dataclass(frozen=True)
class Document:
    """An HTML page: its template, and what it loads. `needed` are the scripts that `script`
    imports, and `spoken` those that it needs to speak a language."""

    template: tornado.template.Template
    script: str
    needed: Sequence[str]
    spoken: Mapping[str, Sequence[str]]
    styles: Sequence[str]
    icon: str

    def html(
        self,
        prefix: str = "",
        *,
        read_only: bool = False,
        first: FirstBoard | None = None,
        lang: str = "en",
    ) -> bytes:
        """The HTML for a server whose public paths begin with `prefix`, with the board that it
        begins with, in one of the languages there are."""
        static = f"{prefix}/static/"
        return self.template.generate(
            base=f"{prefix}/",
            read_only=read_only,
            title=TITLE if first is None else first.title,
            description=DESCRIPTION if first is None else first.description,
            board=None if first is None else first.board,
            data="" if first is None else first.data,
            rows=[] if first is None else first.rows,
            lang=lang,
            texts=TEXTS[lang],
            script=static + self.script,
            preloads=[static + name for name in (*self.needed, *self.spoken.get(lang, ()))],
            styles=[static + style for style in self.styles],
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

        def document(template: str, entry: str) -> Document:
            imported = _imported(entries, entry)
            parts = [entries[entry], *imported]
            return Document(
                template=loader.load(template),
                script=entries[entry]["file"],
                needed=[part["file"] for part in imported],
                spoken=_speaking(entries),
                styles=[style for part in parts for style in part.get("css", ())],
                icon=entries["src/page/icon.svg"]["file"],
            )

        assets = {}
        for path in sorted((self.build / "assets").iterdir()):
            if path.suffix not in (".br", ".gz"):
                assets[f"assets/{path.name}"] = _asset(path)
        return Page(
            main=document("index.html", "src/page/main.jsx"),
            api=document("docs.html", "src/docs/main.js"),
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


class _DocumentHandler(Handler):
    """A page of HTML."""

    files = PAGE
    policy: ClassVar = CONTENT_SECURITY_POLICY

    async def document(self, page: Page) -> bytes:
        """The page that this is, of a build."""
        raise NotImplementedError

    async def answer(self) -> None:
        """The page, or one that says how to build it."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Content-Security-Policy", self.policy)
        for name, value in PAGE_HEADERS:
            self.set_header(name, value)
        # It has what this caller may read.
        self.set_header("Cache-Control", "no-cache, private")
        try:
            page = self.files.page()
        except PageNotBuilt:
            body = self.files.how_to_build(self.prefix)
        else:
            body = await self.document(page)
        self.finish(body)


class PageHandler(_DocumentHandler):
    """``/``."""

    actions = Actions(get=Action.OPEN)
    operations: ClassVar = {
        "GET": Operation(
            parameters=(BOARD, LANG),
            answers={200: Told("The page.", {"text/html": None}, ("ETag",))},
        )
    }

    async def document(self, page: Page) -> bytes:
        self.add_header("Vary", "Accept-Language")
        accepted = self.request.headers.get("Accept-Language", "")
        return page.main.html(
            self.prefix,
            read_only=self.services.settings.read_only_page,
            first=await self.first_board(),
            lang=language_of(self.argument(LANG.name), accepted),
        )

    async def first_board(self) -> FirstBoard | None:
        """The board that the page begins with, if there is one that can be had."""
        return await first_board(self)

    async def get(self) -> None:
        """The demo page, or one that says how to build it."""
        await self.answer()


class DocsHandler(_DocumentHandler):
    """``/docs``."""

    actions = Actions(get=Action.OPEN)
    operations: ClassVar = {
        "GET": Operation(answers={200: Told("The page.", {"text/html": None}, ("ETag",))})
    }
    policy = DOCS_SECURITY_POLICY

    async def document(self, page: Page) -> bytes:
        return page.api.html(self.prefix)

    async def get(self) -> None:
        """The description of the API, for people."""
        await self.answer()


class FileHandler(Handler):
    """Answers with a file of the build."""

    files = PAGE
    etag: str | None = None

    def send_file(self, asset: Asset, cache_control: str) -> None:
        """`asset`, in the best content coding that the client takes."""
        coding, body = asset.chosen(self.request.headers.get("Accept-Encoding", ""))
        self.set_header("Content-Type", asset.content_type)
        self.set_header("Cache-Control", cache_control)
        self.add_header("Vary", "Accept-Encoding")
        self.etag = f'"{asset.etag}{coding and "-"}{coding}"'
        if coding:
            self.set_header("Content-Encoding", coding)
        self.finish(body)

    def compute_etag(self) -> str | None:
        """The file's, in place of a hash of each answer; Tornado makes it a 304 where it fits."""
        return self.etag


class AssetHandler(FileHandler):
    """``/static/{name}``: a name is never used again for other bytes, so it is kept long."""

    actions = Actions(get=Action.OPEN)
    operations: ClassVar = {
        "GET": Operation(answers={200: Told("The file.", {"*/*": None}, ("ETag",))})
    }

    def prepare(self) -> None:
        """The path is no id, but one of the names that a build has."""
        if self.request.method not in self.allowed:
            raise tornado.web.HTTPError(405)

    async def get(self, name: str) -> None:
        """The file."""
        try:
            asset = self.files.page().assets.get(name)
        except PageNotBuilt:
            asset = None
        if asset is None:
            raise Problem(404)
        self.send_file(asset, "public, max-age=31536000, immutable")


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
