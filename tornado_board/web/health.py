"""``/healthz`` and ``/readyz``, for whatever watches the process."""

from __future__ import annotations

from typing import ClassVar

from tornado_board.auth.policy import Action, Actions
from tornado_board.web.described import Operation, Told, json_of
from tornado_board.web.handler import Handler
from tornado_board.web.problems import Problem
from tornado_board.web.shapes import Status, Way


class HealthHandler(Handler):
    actions = Actions(get=Action.OPEN)
    operations: ClassVar = {"GET": Operation(answers={200: Told("It does.", json_of(Status))})}

    async def get(self) -> None:
        """Whether the process lives."""
        self.set_header("Cache-Control", "no-store")
        self.send_json(Status(status="ok"))


class ReadinessHandler(Handler):
    actions = Actions(get=Action.OPEN)
    operations: ClassVar = {
        "GET": Operation(answers={200: Told("It can.", json_of(Status))}, problems=(503,))
    }

    async def get(self) -> None:
        """Whether it can serve; else 503 with what is missing."""
        missing = await self.services.readiness()
        if missing:
            raise Problem(503, "; ".join(missing))
        self.set_header("Cache-Control", "no-store")
        self.send_json(Status(status="ok"))


class UpstreamHandler(Handler):
    """``/upstream/``, for servers that follow this one."""

    actions = Actions(get=Action.OPEN)
    operations: ClassVar = {"GET": Operation(answers={200: Told("The way.", json_of(Way))})}

    async def get(self) -> None:
        """The ids of the servers on the way from here, and what is missing here."""
        missing = await self.services.readiness()
        self.set_header("Cache-Control", "no-store")
        self.send_json(Way(servers=[*self.services.servers()], missing=missing))
