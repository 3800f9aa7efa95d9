"""``/boards/{board}/seasons/``."""

from __future__ import annotations

import asyncio
import urllib.parse
from typing import Any, ClassVar

from tornado_board.auth.policy import Action, Actions
from tornado_board.inputs import SeasonEnd
from tornado_board.models import Board, shown_player
from tornado_board.seasons import MOST_NUMBER, partition_of, shown
from tornado_board.store import SeasonGone
from tornado_board.web.boards import WholeBoardHandler, path_of
from tornado_board.web.described import Body, Integer, Operation, Told, json_of
from tornado_board.web.shapes import ListedSeason, SeasonList, WholeBoard

#: How many seasons one answer lists, unless the request says otherwise, and at the most.
USUAL_SEASONS, MOST_SEASONS = 10, 100

_LIMIT = Integer(
    name="limit", text="How many seasons.", default=USUAL_SEASONS, low=1, high=MOST_SEASONS
)
_BEFORE = Integer(
    name="before",
    text="Those before the season of this number.",
    default=MOST_NUMBER,
    low=1,
    high=MOST_NUMBER,
)
_END = Body(SeasonEnd, empty=True)


class SeasonsHandler(WholeBoardHandler):
    actions = Actions(get=Action.READ, post=Action.WRITE)
    operations: ClassVar = {
        "GET": Operation(
            parameters=(_LIMIT, _BEFORE),
            answers={200: Told("The seasons.", json_of(SeasonList), ("ETag", "Link"))},
        ),
        "POST": Operation(
            body=_END, answers={200: Told("The next one has begun.", json_of(WholeBoard))}
        ),
    }

    async def get(self, board_id: str) -> None:
        """List the board's seasons, the newest first, each with its best players."""
        limit, before = _LIMIT.of(self), _BEFORE.of(self)
        found = await self.store.seasons(board_id, before, limit + 1)
        board = found.board
        boards = [board.of_season(past) for past in found.past]
        if board.season is not None and board.number < before:
            boards.append(board)
        boards.reverse()
        listed = await asyncio.gather(*map(self._season, boards[:limit]))
        if len(boards) > limit:
            query = urllib.parse.urlencode({"limit": limit, "before": boards[limit - 1].number})
            path = f"{self.prefix}{path_of(board_id)}seasons/"
            self.set_header("Link", f'<{path}?{query}>; rel="next"')
        self.set_header("Cache-Control", "no-cache")
        self.send_json({"seasons": [one for one in listed if one is not None]})

    async def _season(self, board: Board) -> ListedSeason | None:
        """The season of `board` as the list shows it; ``None`` if it is no longer kept."""
        assert board.season is not None
        try:
            ranking = await self.store.ranking(board.id, board.top, board.number)
        except SeasonGone:
            return None
        best = ranking.players[: board.top]
        standing = self.ranks.known(partition_of(board.id, board.number), wanted=False)
        count = None if standing is None else standing.of
        if len(ranking.players) < board.depth(board.top):
            count = len(ranking.players)  # these are all
        top: Any = [shown_player(player, board.show) for player in best]
        listed: ListedSeason = {**shown(board.season), "players": count, "top": top}
        return listed

    async def post(self, board_id: str) -> None:
        """End the present season, and begin the next one."""
        wanted = _END.of(self).season
        board = await self.store.end_season(board_id, wanted, self.once, audited=self.audited)
        await self.send_whole(board, self.ranks.count(board.partition))
