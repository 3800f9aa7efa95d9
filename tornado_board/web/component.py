"""The web component ``<live-board>`` for pages of other sites, and a page with one for frames."""

from __future__ import annotations

import re
from typing import ClassVar

from tornado_board import models
from tornado_board.auth.policy import Action, Actions
from tornado_board.web.built_page import PAGE, PageNotBuilt
from tornado_board.web.cors import ALLOWED_CREDENTIALS, ALLOWED_ORIGIN
from tornado_board.web.described import Choice, Integer, Operation, Text, Told
from tornado_board.web.handler import Handler
from tornado_board.web.page import CONTENT_SECURITY_POLICY, PAGE_HEADERS, FileHandler
from tornado_board.web.problems import Problem

#: How long other sites' visitors may use the component without asking whether it has changed, in
#: seconds, and while they ask.
_FRESH = 600
_STALE = 86_400

#: The longest language tag that is passed on (BCP 47).
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,3}", re.ASCII)

#: The most rows, as many as a board shows.
_MOST_ROWS = 100

_THEMES = ("light", "dark")

_NOT_BUILT = "The page and the component are not built here."


class ComponentHandler(FileHandler):
    """``/live-board.js``: under one name for good, so that other sites can name it."""

    actions = Actions(get=Action.OPEN)
    operations: ClassVar = {
        "GET": Operation(
            answers={200: Told("The script.", {"text/javascript": None}, ("ETag",))},
            problems=(404,),
        )
    }

    async def get(self) -> None:
        """The script. It is the same for everybody, so every site may load it."""
        try:
            page = self.files.page()
        except PageNotBuilt:
            raise Problem(404, _NOT_BUILT) from None
        asset = page.assets.get(page.component)
        if asset is None:
            raise Problem(404, _NOT_BUILT)
        # A module of another site is loaded by CORS, and without credentials.
        self.clear_header(ALLOWED_CREDENTIALS)
        self.set_header(ALLOWED_ORIGIN, "*")
        self.set_header("Cross-Origin-Resource-Policy", "cross-origin")
        fresh = f"public, max-age={_FRESH}, stale-while-revalidate={_STALE}"
        self.send_file(asset, fresh)


_PLAYER = Text(name="player", text="This player's place is marked.", pattern=models.ID_PATTERN)
_ROWS = Integer(name="rows", text="How many rows.", default=None, low=1, high=_MOST_ROWS)
_THEME = Choice(name="theme", text="Light or dark, whatever the browser says.", known=_THEMES)
_PLAIN = Text(name="plain", text="Without a frame, and without colours of its own.")
_LANG = Text(
    name="lang", text="The language of texts and numbers.", pattern=f"^{_LANGUAGE.pattern}$"
)


class EmbedHandler(Handler):
    """``/embed/{board}``"""

    actions = Actions(get=Action.OPEN)
    operations: ClassVar = {
        "GET": Operation(
            parameters=(_PLAYER, _ROWS, _THEME, _PLAIN, _LANG),
            answers={200: Told("The page.", {"text/html": None}, ("ETag",))},
        )
    }
    files = PAGE

    async def get(self, board_id: str) -> None:
        """A page with the board and nothing else, for the frames that the settings allow.

        It says nothing of the board, not even whether there is one: what it holds asks for it, and
        may be refused.
        """
        attributes = self._attributes()
        lang = self.argument(_LANG.name)
        if lang is not None and not _LANGUAGE.fullmatch(lang[:64]):
            raise Problem(400, "lang: is no language tag; such as en or pt-BR.")
        try:
            page = self.files.page()
        except PageNotBuilt:
            raise Problem(404, _NOT_BUILT) from None
        if not page.component:
            raise Problem(404, _NOT_BUILT)
        ancestors = self.services.settings.frame_ancestors
        allowed = " ".join(ancestors) or "'self'"
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header(
            "Content-Security-Policy",
            CONTENT_SECURITY_POLICY.replace("ancestors 'none'", f"ancestors {allowed}"),
        )
        headers = dict(PAGE_HEADERS)
        if ancestors:
            # It can name no other sites; browsers know frame-ancestors.
            del headers["X-Frame-Options"]
            headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        else:
            headers["X-Frame-Options"] = "SAMEORIGIN"
        for name, value in headers.items():
            self.set_header(name, value)
        self.set_header("Cache-Control", "no-cache")
        self.finish(
            page.embed.generate(
                base=f"{self.prefix}/",
                script=f"{self.prefix}/live-board.js",
                icon=f"{self.prefix}/static/{page.main.icon}",
                board=board_id,
                attributes=attributes,
                lang=lang,
            )
        )

    def _attributes(self) -> list[tuple[str, str]]:
        """What the query says of the board, as attributes. Raises `Problem` 400."""
        found = []
        player = self.argument(_PLAYER.name)
        if player is not None:
            if not models.is_id(player):
                raise Problem(400, "player: is no id of a player.")
            found.append(("player", player))
        if rows := _ROWS.of(self):
            found.append(("rows", str(rows)))
        theme = _THEME.of(self)
        if theme is not None:
            found.append(("theme", theme))
        if self.argument(_PLAIN.name) is not None:
            found.append(("plain", ""))
        return found
