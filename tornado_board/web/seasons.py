"""``/boards/{board}/seasons/``."""

from __future__ import annotations

import asyncio
import urllib.parse
from typing import Any

from tornado_board.auth.policy import Action, Actions
from tornado_board.inputs import SeasonEnd
from tornado_board.models import Board, shown_player
from tornado_board.seasons import MOST_NUMBER, partition_of, shown
from tornado_board.store import SeasonGone
from tornado_board.web.boards import WholeBoardHandler, path_of
from tornado_board.web.parameters import integer

#: How many seasons one answer lists, unless the request says otherwise, and at the most.
USUAL_SEASONS, MOST_SEASONS = 10, 100


class SeasonsHandler(WholeBoardHandler):
    actions = Actions(get=Action.READ, post=Action.WRITE)

    async def get(self, board_id: str) -> None:
        """List the board's seasons, the newest first, each with its best players."""
        limit = integer(self, "limit", USUAL_SEASONS, 1, MOST_SEASONS)
        before = integer(self, "before", MOST_NUMBER, 1, MOST_NUMBER)
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

    async def _season(self, board: Board) -> dict[str, Any] | None:
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
        top = [shown_player(player, board.show) for player in best]
        return {**shown(board.season), "players": count, "top": top}

    async def post(self, board_id: str) -> None:
        """End the present season, and begin the next one."""
        wanted = self.body(SeasonEnd, empty=True).season
        board = await self.store.end_season(board_id, wanted, self.once, audited=self.audited)
        await self.send_whole(board, self.ranks.count(board.partition))
