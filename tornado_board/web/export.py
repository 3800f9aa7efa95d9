"""``/boards/{board}/export/``: all players of a board, as a file that is sent while it is read."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from contextlib import aclosing
from typing import ClassVar

import tornado.iostream

from tornado_board.auth.policy import Action, Actions
from tornado_board.store import StoreError
from tornado_board.web.accept import prefers_csv
from tornado_board.web.boards import SEASON
from tornado_board.web.described import Choice, Names, Operation, Told
from tornado_board.web.exports import MOST_SECONDS
from tornado_board.web.handler import Handler
from tornado_board.web.problems import Problem
from tornado_board.web.rows import CSVFormat, Format, NDJSONFormat, Ranking
from tornado_board.web.tornado_internals import stream_of

logger = logging.getLogger(__name__)

_FORMATS: dict[str, type[CSVFormat | NDJSONFormat]] = {"csv": CSVFormat, "ndjson": NDJSONFormat}

#: The value of ``SO_LINGER`` with which a socket is reset when it is closed.
_RESET = struct.pack("ii", 1, 0)


_FIELDS = Names(name="fields", text="What is shown, too.", known=("meta",))
_FORMAT = Choice(
    name="format", text="The form, whatever `Accept` says.", known=tuple(sorted(_FORMATS))
)


class ExportHandler(Handler):
    actions = Actions(get=Action.READ)
    operations: ClassVar = {
        "GET": Operation(
            parameters=(_FIELDS, _FORMAT, SEASON),
            answers={
                200: Told("All players.", {"application/x-ndjson": None, "text/csv": None}),
            },
            problems=(410,),
        )
    }

    async def get(self, board_id: str) -> None:
        """All players, best first. A piece is read when the one before it was sent."""
        format, season = self._format(), SEASON.of(self)
        with self.services.exports.turn(self.request.remote_ip or ""):
            try:
                async with asyncio.timeout(MOST_SECONDS):
                    await self._send(board_id, format, season)
            except tornado.iostream.StreamClosedError:
                self.client_gone = True
            except (Problem, StoreError, TimeoutError) as error:
                if not self._headers_written:
                    if isinstance(error, TimeoutError):
                        raise Problem(503, "The store did not answer in time.") from None
                    raise
                reason = f"not sent within {MOST_SECONDS:g} s" if not str(error) else str(error)
                logger.warning("the export of board %s was broken off: %s", board_id, reason)
                self._break_off()

    async def head(self, *ids: str) -> None:
        """The headers of GET."""
        format, season = self._format(), SEASON.of(self)
        await self.store.get_board(ids[0], season)
        self._begin(ids[0], format, season)
        await self.flush()  # without a length, as that of GET

    async def _send(self, board_id: str, format: Format, season: int | None) -> None:
        ranking = Ranking()
        async with aclosing(self.store.everyone(board_id, season)) as pieces:
            async for players in pieces:
                if not self._headers_written:
                    self._begin(board_id, format, season)
                # The token may have expired meanwhile, and the board become private.
                self.check(board_id)
                self.write(format.lines(ranking.ranked(players)))
                await self.flush()
        if not self._headers_written:
            await self.store.get_board(board_id, season)
            self._begin(board_id, format, season)
            await self.flush()
        await self.finish()

    def _format(self) -> Format:
        fields = _FIELDS.of(self)
        named = _FORMAT.of(self)
        if named is None:
            named = "csv" if prefers_csv(self.headers.get("Accept", "")) else "ndjson"
        return _FORMATS[named](tuple(dict.fromkeys(fields)))

    def _begin(self, board_id: str, format: Format, season: int | None) -> None:
        name = board_id if season is None else f"{board_id}-season-{season}"
        self.set_header("Content-Type", format.content_type)
        self.set_header("Content-Disposition", f'attachment; filename="{name}.{format.suffix}"')
        self.set_header("Cache-Control", "no-store")
        self.add_header("Vary", "Accept")
        self.write(format.begin())

    def _break_off(self) -> None:
        """Have the client see that this is not all: an end that HTTP/1.0 can tell, too."""
        stream = stream_of(self.request)
        if stream.socket is not None:
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        stream.close()
