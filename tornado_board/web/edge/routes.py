"""The routes of a server that follows another one: what it does not answer itself, it passes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tornado_board.web.boards import BoardHandler, EventsHandler
from tornado_board.web.edge.boards import (
    EdgeBoardHandler,
    EdgeEventsHandler,
    EdgePlaceEventsHandler,
    EdgeSeveralEventsHandler,
)
from tornado_board.web.edge.page import EdgePageHandler
from tornado_board.web.edge.passing_on import PassOnHandler
from tornado_board.web.elsewhere import ServerHandler
from tornado_board.web.handler import Handler
from tornado_board.web.health import HealthHandler, ReadinessHandler, UpstreamHandler
from tornado_board.web.metrics import MetricsHandler
from tornado_board.web.page import AssetHandler, DocsHandler, PageHandler
from tornado_board.web.places import PlaceEventsHandler
from tornado_board.web.several import SeveralEventsHandler

#: What concerns this server itself.
_OWN = (
    *(DocsHandler, AssetHandler, HealthHandler, ReadinessHandler, UpstreamHandler),
    *(MetricsHandler, ServerHandler),
)

#: What is answered in another way here.
_INSTEAD: Mapping[type[Handler], type[Handler]] = {
    PageHandler: EdgePageHandler,
    BoardHandler: EdgeBoardHandler,
    EventsHandler: EdgeEventsHandler,
    SeveralEventsHandler: EdgeSeveralEventsHandler,
    PlaceEventsHandler: EdgePlaceEventsHandler,
}


def edge_routes(routes: Sequence[tuple[str, type[Handler]]]) -> list[tuple[str, type[Handler]]]:
    """`routes` of a server with a store, for one without."""
    return [(path, _for_edge(handler)) for path, handler in routes]


def _for_edge(handler: type[Handler]) -> type[Handler]:
    if handler in _OWN:
        return handler
    instead = _INSTEAD.get(handler)
    if instead is not None:
        return instead
    own = {"actions": handler.actions, "allowed": handler.allowed, "__doc__": handler.__doc__}
    return type(f"PassOn{handler.__name__}", (PassOnHandler,), own)
