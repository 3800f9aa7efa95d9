"""``/metrics``: what the server counts, for Prometheus."""

from __future__ import annotations

from typing import ClassVar

from tornado_board.auth.policy import Action, Actions
from tornado_board.web.described import Operation, Told
from tornado_board.web.handler import Handler
from tornado_board.web.problems import Problem

#: Prometheus's text format, and OpenMetrics.
_FORMATS = {"text/plain": None, "application/openmetrics-text": None}


class MetricsHandler(Handler):
    """At the server's own port, where nothing else serves them."""

    actions = Actions(get=Action.ADMIN)
    operations: ClassVar = {
        "GET": Operation(answers={200: Told("The metrics.", _FORMATS)}, problems=(404,))
    }

    async def get(self) -> None:
        """What was counted since the start, and what there is now."""
        settings = self.services.settings
        if settings.metrics_port:
            raise Problem(404, "The metrics are served at a port of their own, metrics_port.")
        if settings.processes > 1:
            raise Problem(
                404,
                "Each of this server's processes counts for itself; with the setting metrics_port "
                "each has a port for its metrics.",
            )
        self.tell()

    def tell(self) -> None:
        """Answer with the metrics. Raises `Problem` 404 where there are none."""
        told = self.services.metrics.told(self.request.headers.get("Accept", ""))
        if told is None:
            raise Problem(404, "This server counts nothing: its setting metrics is off.")
        content_type, body = told
        self.set_header("Content-Type", content_type)
        self.set_header("Cache-Control", "no-store")
        self.add_header("Vary", "Accept")
        self.finish(body)


class MetricsApartHandler(MetricsHandler):
    """At a port of their own, which is not for everybody by what it listens on."""

    actions = Actions(get=Action.OPEN)

    async def get(self) -> None:
        """The same."""
        self.tell()
