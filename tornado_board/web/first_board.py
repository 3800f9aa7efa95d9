"""The board that the page begins with, in the page itself: its rows need no script and no second
request."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import msgspec
import ujson
from tornado.web import HTTPError

from tornado_board import models
from tornado_board.auth.policy import Action
from tornado_board.realtime.past_ranks import ranks_of_board
from tornado_board.replay import LogUnavailable
from tornado_board.store import NotFound, StoreUnavailable
from tornado_board.web.attempt import Attempt
from tornado_board.web.described import Text
from tornado_board.web.handler import Handler

#: How long the page waits for its board, in seconds. Without it the page asks for the board itself.
PATIENCE = 0.25

#: How many players a description of the page names, and its most characters.
_NAMED = 3
_DESCRIPTION = 300

#: How much of a list of boards is looked at, in characters: the first one is in it.
_TURNS = 1_000

BOARD = Text(name="board", text="The board that the page begins with.")
BOARDS = Text(name="boards", text="Ids with commas between them: boards that take turns.")

TITLE = "tornado_board"
DESCRIPTION = "A leaderboard that moves as scores change"


class FirstBoard(NamedTuple):
    """A board, what the page's scripts are told of it, its players with their ranks, and whether
    there are boards to choose from."""

    board: dict[str, Any]
    data: str
    rows: list[tuple[int, dict[str, Any]]]
    several: bool = False

    @property
    def title(self) -> str:
        return f"{self.board['name']} · {TITLE}"

    @property
    def description(self) -> str:
        """The first few, in words."""
        named = [
            f"{rank}. {player['name']} {player['score']}" for rank, player in self.rows[:_NAMED]
        ]
        return ", ".join(named)[:_DESCRIPTION] or DESCRIPTION


async def first_board(handler: Handler) -> FirstBoard | None:
    """The board that the request's query names, or else the first one; ``None`` where there is
    none that the caller may read, or it can't be had soon."""
    try:
        return await asyncio.wait_for(_read(handler), PATIENCE)
    except (HTTPError, NotFound, StoreUnavailable, LogUnavailable, TimeoutError):
        return None  # whatever is wrong, the page's own requests say it better


async def _read(handler: Handler) -> FirstBoard | None:
    attempt = handler.attempt()
    turns = (handler.argument(BOARDS.name) or "")[:_TURNS].split(",")
    board_id = handler.argument(BOARD.name) or next((one for one in turns if one), "")
    if board_id and not models.is_id(board_id):
        return None
    listed = await _listed(handler, attempt)
    if not board_id:
        if not listed:
            return None
        board_id = listed[0]
    reading = msgspec.structs.replace(attempt, board=board_id)
    if not await handler.gate.may(reading, Action.READ):
        return None
    read = await handler.services.reads.read(board_id)
    return of_json(read.json, several=len({board_id, *listed}) > 1)


async def _listed(handler: Handler, attempt: Attempt) -> list[str]:
    """The ids of the first two boards, as far as the caller may list them and this server can."""
    try:
        if not await handler.gate.may(attempt, Action.LIST):
            return []
        return [board.id for board in await handler.store.list_boards(2)]
    except StoreUnavailable:
        return []  # an edge has no list


def of_json(text: str, *, several: bool = False) -> FirstBoard:
    """The board in `text`, which the page has among its data; `several`: one of several."""
    board = ujson.loads(text)
    ranks = ranks_of_board(text)
    rows = [(ranks[player["id"]], player) for player in board["players"]]
    # Nothing in it may end the element that it stands in (HTML Standard, "script data state").
    return FirstBoard(board, text.replace("<", "\\u003c"), rows, several)
