"""The page of a server that follows another one."""

from __future__ import annotations

from tornado_board.upstream import NotPublic, UpstreamError
from tornado_board.web.first_board import FirstBoard
from tornado_board.web.page import PageHandler


class EdgePageHandler(PageHandler):
    """``/``, with the board that the query names, if everybody may read it. Which is the first one
    only the upstream knows: without a name the page's own requests find it."""

    async def first_board(self) -> FirstBoard | None:
        try:
            return await super().first_board()
        except (NotPublic, UpstreamError):
            return None
