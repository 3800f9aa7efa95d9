"""The demo page and the files it is made of: hashed names, compressed when they were built."""

from __future__ import annotations

from typing import ClassVar

import tornado.web

from tornado_board.auth.policy import Action, Actions
from tornado_board.web.built_page import PAGE, Asset, Document, Page, PageNotBuilt
from tornado_board.web.described import Operation, Text, Told
from tornado_board.web.first_board import BOARD, BOARDS, FirstBoard, first_board
from tornado_board.web.handler import Handler
from tornado_board.web.languages import LANG, language_of
from tornado_board.web.problems import Problem

#: Everything from this server, nothing inline and nothing put together from strings; in no other
#: site's frame. A page whose build says so has a style sheet in it, which is named by its hash.
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


def _with_style(policy: str, document: Document) -> str:
    """`policy`, and the style sheet that stands in `document` itself, if there is one."""
    if not document.style.text:
        return policy
    return policy.replace("style-src 'self'", f"style-src 'self' '{document.style.source}'")


class _DocumentHandler(Handler):
    """A page of HTML."""

    files = PAGE
    policy: ClassVar = CONTENT_SECURITY_POLICY

    def document(self, page: Page) -> Document:
        """The page that this is, of a build."""
        raise NotImplementedError

    async def html(self, document: Document) -> bytes:
        """It, for this request."""
        return document.html(self.prefix)

    async def answer(self) -> None:
        """The page, or one that says how to build it."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        for name, value in PAGE_HEADERS:
            self.set_header(name, value)
        # It has what this caller may read.
        self.set_header("Cache-Control", "no-cache, private")
        policy = self.policy
        try:
            document = self.document(self.files.page())
        except PageNotBuilt:
            body = self.files.how_to_build(self.prefix)
        else:
            policy = _with_style(policy, document)
            body = await self.html(document)
        self.set_header("Content-Security-Policy", policy)
        self.finish(body)


_WALL = Text(name="wall", text="The page is for a screen on a wall, unless this is `0`.")
_READ_ONLY = Text(name="readonly", text="The page is only for looking, unless this is `0`.")


class PageHandler(_DocumentHandler):
    """``/``."""

    actions = Actions(get=Action.OPEN)
    operations: ClassVar = {
        "GET": Operation(
            parameters=(BOARD, BOARDS, LANG, _WALL, _READ_ONLY),
            answers={200: Told("The page.", {"text/html": None}, ("ETag",))},
        )
    }

    def document(self, page: Page) -> Document:
        return page.main

    async def html(self, document: Document) -> bytes:
        self.add_header("Vary", "Accept-Language")
        accepted = self.request.headers.get("Accept-Language", "")
        return document.html(
            self.prefix,
            read_only=self.services.settings.read_only_page or self._is_set(_READ_ONLY),
            wall=self._is_set(_WALL),
            first=await self.first_board(),
            lang=language_of(self.argument(LANG.name), accepted),
        )

    def _is_set(self, parameter: Text) -> bool:
        return self.argument(parameter.name) not in (None, "0")

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

    def document(self, page: Page) -> Document:
        return page.api

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
