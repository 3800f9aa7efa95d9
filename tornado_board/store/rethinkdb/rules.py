"""What the writes of players have to know of their boards, as this process saw it last.

A query that writes says what it takes the rules to be, and writes nothing where they have changed:
then it gives those there are. So what is remembered may be old, and costs a query when it is.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from tornado_board.models import Board
from tornado_board.store.rethinkdb.address import r
from tornado_board.store.rethinkdb.documents import BOARDS, REORDERED_BY, RULES, is_board

#: Boards whose rules are remembered, the most recently used ones.
KNOWN_BOARDS = 10_000

#: The rules of a board whose document says nothing of them.
NONE_STORED = "{}"


class Rules(NamedTuple):
    """The rules of a board."""

    #: JSON of what its document has of `RULES`; ``None`` where there is no board.
    text: str | None
    #: With these settings; with the defaults where there is no board.
    board: Board
    #: Who is about to change the order, as `boards` stores it, if anybody.
    reordered_by: Any = None


def rules_of(board_id: str, text: str | None) -> Rules:
    """The rules that `text` holds."""
    stored = {} if text is None else msgspec.json.decode(text)
    return Rules(text, Board.of(board_id, board_id, stored), stored.get(REORDERED_BY))


class KnownRules:
    """The rules of boards, as they were last seen."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Rules] = OrderedDict()

    def get(self, board_id: str) -> Rules:
        """What the rules are taken to be."""
        known = self._known.get(board_id)
        if known is None:
            return rules_of(board_id, NONE_STORED)
        self._known.move_to_end(board_id)
        return known

    def learn(self, board_id: str, text: str | None) -> None:
        """The rules were seen to be that."""
        known = self._known.get(board_id)
        if known is None or known.text != text:
            self._known[board_id] = rules_of(board_id, text)
            if len(self._known) > KNOWN_BOARDS:
                self._known.popitem(last=False)

    def texts(self, board_ids: Iterable[str]) -> dict[str, str]:
        """What `rules_term` gives of these boards if nothing has changed."""
        taken = {board_id: self.get(board_id).text for board_id in board_ids}
        return {board_id: text for board_id, text in taken.items() if text is not None}


def rules_term(board_ids: Any) -> Any:
    """The texts of the rules of those of these boards that there are, by id, in ReQL."""
    return (
        r.table(BOARDS)
        .get_all(r.args(board_ids))
        .filter(is_board)
        .map(lambda board: [board["id"], rules_text(board)])
        .coerce_to("object")
    )


def rules_text(board: Any) -> Any:
    """The text of the rules of `board`, in ReQL; null where it is null."""
    return r.branch(board.eq(None), None, board.pluck(*RULES).to_json_string())
