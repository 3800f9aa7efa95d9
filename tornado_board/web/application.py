"""The routes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, cast

import tornado.web
import ujson
from tornado.httputil import HTTPServerRequest

from tornado_board.settings import Settings
from tornado_board.web import access_log
from tornado_board.web.api_description import DescriptionHandler
from tornado_board.web.audit import AuditHandler
from tornado_board.web.boards import BoardHandler, BoardsHandler, EventsHandler
from tornado_board.web.built_page import warn_unless_built
from tornado_board.web.component import ComponentHandler, EmbedHandler
from tornado_board.web.elsewhere import NotFoundHandler, ServerHandler
from tornado_board.web.exchange import Services
from tornado_board.web.export import ExportHandler
from tornado_board.web.handler import Handler
from tornado_board.web.health import HealthHandler, ReadinessHandler, UpstreamHandler
from tornado_board.web.history import HistoryHandler
from tornado_board.web.metrics import MetricsApartHandler, MetricsHandler
from tornado_board.web.openapi import describe
from tornado_board.web.page import AssetHandler, DocsHandler, PageHandler
from tornado_board.web.paths import template
from tornado_board.web.places import PlaceEventsHandler
from tornado_board.web.players import PlayerHandler, PlayersHandler
from tornado_board.web.scores import ScoreAddHandler, ScoreHandler, ScoresHandler
from tornado_board.web.seasons import SeasonsHandler
from tornado_board.web.several import SeveralEventsHandler
from tornado_board.web.tickets import TicketsHandler

#: Paths work with and without the trailing slash. Handlers check what stands for an id.
ROUTES: tuple[tuple[str, type[Handler]], ...] = (
    (r"/", PageHandler),
    (r"/static/(.*)", AssetHandler),
    (r"/live-board\.js", ComponentHandler),
    (r"/embed/([^/]+)/?", EmbedHandler),
    (r"/boards/?", BoardsHandler),
    (r"/boards/([^/]+)/?", BoardHandler),
    (r"/boards/([^/]+)/events/?", EventsHandler),
    (r"/boards/([^/]+)/export/?", ExportHandler),
    (r"/boards/([^/]+)/history/?", HistoryHandler),
    (r"/boards/([^/]+)/players/?", PlayersHandler),
    (r"/boards/([^/]+)/players/([^/]+)/?", PlayerHandler),
    (r"/boards/([^/]+)/players/([^/]+)/events/?", PlaceEventsHandler),
    (r"/boards/([^/]+)/players/([^/]+)/score/?", ScoreHandler),
    (r"/boards/([^/]+)/players/([^/]+)/score-add/?", ScoreAddHandler),
    (r"/boards/([^/]+)/scores/?", ScoresHandler),
    (r"/boards/([^/]+)/seasons/?", SeasonsHandler),
    (r"/events/?", SeveralEventsHandler),
    (r"/tickets/?", TicketsHandler),
    (r"/docs/?", DocsHandler),
    (r"/openapi\.json", DescriptionHandler),
    (r"/audit/?", AuditHandler),
    (r"/metrics/?", MetricsHandler),
    (r"/healthz/?", HealthHandler),
    (r"/readyz/?", ReadinessHandler),
    (r"/upstream/?", UpstreamHandler),
    (r"\*", ServerHandler),
)


class _Application(tornado.web.Application):
    """Finds handlers below the base path as well as without it: a proxy may strip it or not."""

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        prefix = cast(Settings, self.settings["board_settings"]).path_prefix
        if prefix and (request.path + "/").startswith(prefix + "/"):
            request.path = request.path.removeprefix(prefix) or "/"
        return super().find_handler(request, **kwargs)


#: What is served at `Settings.metrics_port`.
_METRICS: tuple[tuple[str, type[Handler]], ...] = ((r"/metrics/?", MetricsApartHandler),)


def make_metrics_application(services: Services) -> tornado.web.Application:
    """The application that tells the metrics and nothing else."""
    return _application(services, _METRICS)


def make_application(
    services: Services, routes: Iterable[tuple[str, type[Handler]]] = ROUTES
) -> tornado.web.Application:
    """The application, for an HTTP server to serve."""
    warn_unless_built()
    return _application(services, routes)


def _application(
    services: Services, routes: Iterable[tuple[str, type[Handler]]]
) -> tornado.web.Application:
    arguments = {"services": services}
    return _Application(
        [(path, handler, arguments | {"route": template(path)}) for path, handler in routes],
        default_handler_class=NotFoundHandler,
        default_handler_args=arguments,
        board_settings=services.settings,
        board_description=cache(lambda: _description(services.settings)),
        cross_origin_protection=True,
        log_function=access_log.log_request,
    )


def _description(settings: Settings) -> bytes:
    """The description of the API, as JSON."""
    text: str = ujson.dumps(
        describe(ROUTES, settings), ensure_ascii=False, escape_forward_slashes=False
    )
    return text.encode() + b"\n"
