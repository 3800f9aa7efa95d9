"""``/healthz`` and ``/readyz``, for whatever watches the process."""

from __future__ import annotations

from tornado_board.auth.policy import Action, Actions
from tornado_board.web.handler import Handler
from tornado_board.web.problems import Problem


class HealthHandler(Handler):
    actions = Actions(get=Action.OPEN)

    async def get(self) -> None:
        """200 while the process lives."""
        self.set_header("Cache-Control", "no-store")
        self.send_json({"status": "ok"})


class ReadinessHandler(Handler):
    actions = Actions(get=Action.OPEN)

    async def get(self) -> None:
        """200 while it can serve, else 503 with what is missing."""
        missing = await self.services.readiness()
        if missing:
            raise Problem(503, "; ".join(missing))
        self.set_header("Cache-Control", "no-store")
        self.send_json({"status": "ok"})


class UpstreamHandler(Handler):
    """``/upstream/``, for servers that follow this one."""

    actions = Actions(get=Action.OPEN)

    async def get(self) -> None:
        """The ids of the servers on the way from here, and what is missing here."""
        missing = await self.services.readiness()
        self.set_header("Cache-Control", "no-store")
        self.send_json({"servers": self.services.servers(), "missing": missing})
