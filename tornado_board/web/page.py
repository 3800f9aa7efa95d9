"""The demo page and its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tornado.web

from tornado_board.web.handler import Handler, problem_of
from tornado_board.web.problems import CONTENT_TYPE

_ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = _ROOT / "templates"
STATIC = _ROOT / "static"

#: Everything from this server, nothing inline; in no other site's frame.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)


class PageHandler(Handler):
    async def get(self) -> None:
        """The page."""
        self.set_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        self.set_header("Referrer-Policy", "same-origin")
        self.set_header("Cache-Control", "no-cache")
        await self.render("index.html")


class StaticHandler(tornado.web.StaticFileHandler):
    """The page's scripts and styles; what starts with a dot is not served."""

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        self.set_header("X-Content-Type-Options", "nosniff")

    def validate_absolute_path(self, root: str, absolute_path: str) -> str | None:
        path = Path(absolute_path)
        if not path.is_relative_to(root) or any(
            part.startswith(".") for part in path.relative_to(root).parts
        ):
            raise tornado.web.HTTPError(404)
        return super().validate_absolute_path(root, absolute_path)

    def log_exception(self, *_: Any) -> None:
        """Errors here are the client's; they have their line in the access log."""

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        self.set_header("Content-Type", CONTENT_TYPE)
        if status_code == 405:
            self.set_header("Allow", "GET, HEAD")
        self.finish(problem_of(None, status_code).json())
