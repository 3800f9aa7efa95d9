"""Positions in several boards at once: the ids of events on streams of several boards.

``a:{ms}-{n},b:{ms}-{n}`` names the newest event of each board that a client has seen when it has
seen the event with this id. A board of which it has seen none, or none that has an id, is not in
there; one that it knows to be gone is ``a:gone``. Boards' ids have neither colons nor commas.
"""

from __future__ import annotations

from collections.abc import Mapping

from tornado_board.models import is_id
from tornado_board.replay import EventId

#: The most boards of one connection.
MOST_BOARDS = 50

#: The longest text that is looked at: so many boards with the longest ids and positions.
LONGEST = MOST_BOARDS * (64 + 1 + 16 + 1 + 16 + 1)

_GONE = "gone"

#: Where a client is that has seen an event without an id: behind nothing that the log could tell.
NO_POSITION = EventId(0, 0)


class Gone:
    """The position of who knows that there is no such board."""


GONE = Gone()

#: Where somebody is in one board; ``None`` where that is not known.
Position = EventId | Gone | None


def parse(text: str) -> dict[str, EventId | Gone]:
    """The positions that `text` spells, none for an empty one. Raises `ValueError` for anything
    else."""
    if not text:
        return {}
    if len(text) > LONGEST:
        raise ValueError("that is longer than any id of this server")
    positions: dict[str, EventId | Gone] = {}
    for item in text.split(",", MOST_BOARDS - 1):
        board_id, colon, position = item.partition(":")
        if not colon or not is_id(board_id) or board_id in positions:
            raise ValueError("an id of several boards is board:ms-n,board:ms-n")
        positions[board_id] = GONE if position == _GONE else EventId.parse(position)
    return positions


def spell(positions: Mapping[str, Position]) -> str | None:
    """`positions` as the id of an event; ``None`` where none is known."""
    items = [spell_one(*item) for item in positions.items()]
    return ",".join(filter(None, items)) or None


def spell_one(board_id: str, position: Position) -> str:
    """A position in one board, as it stands in an id; empty where it is not known."""
    if isinstance(position, EventId):
        return f"{board_id}:{position.ms}-{position.n}"
    return "" if position is None else f"{board_id}:{_GONE}"
