"""What is no resource: the server as a whole, and whatever no route leads to."""

from __future__ import annotations

from typing import Any

from tornado_board.web.handler import METHODS, Handler
from tornado_board.web.problems import Problem


class ServerHandler(Handler):
    """``*``, the server itself, which only OPTIONS can ask about (RFC 9110, section 9.3.7)."""

    allowed = (*METHODS, "OPTIONS")


class NotFoundHandler(Handler):
    """Whatever no route leads to."""

    def _problem(self) -> Problem:
        return Problem(404, f"There is nothing here; the boards are at {self.prefix}/boards/.")

    def prepare(self) -> None:
        raise self._problem()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        super().write_error(404, exc_info=(Problem, self._problem(), None))
