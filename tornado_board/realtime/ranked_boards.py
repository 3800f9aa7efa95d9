"""What is kept of the seasons whose ranks were asked for, the least recently asked for first."""

from __future__ import annotations

from collections import OrderedDict

from tornado_board.realtime.ranked_board import RankedBoard
from tornado_board.seasons import divided


class RankedBoards(OrderedDict[str, RankedBoard]):
    """By partition (`seasons.partition_of`), and by board."""

    def __init__(self) -> None:
        super().__init__()
        #: The partitions that are in here, by board.
        self._seasons: dict[str, set[str]] = {}

    def add(self, board: RankedBoard) -> None:
        self[board.id] = board
        board_id, _ = divided(board.id)
        self._seasons.setdefault(board_id, set()).add(board.id)

    def remove(self, board: RankedBoard) -> None:
        del self[board.id]
        board_id, _ = divided(board.id)
        seasons = self._seasons[board_id]
        seasons.remove(board.id)
        if not seasons:
            del self._seasons[board_id]

    def of_board(self, board_id: str) -> list[RankedBoard]:
        """Those of the seasons of a board."""
        return [self[partition] for partition in self._seasons.get(board_id, ())]
