"""What is sent of one board to clients that listen to several, and what they are owed when they
are behind.

On a stream of one board, the newest event stands for all that a slow client has missed. On one of
several it stands for those of its board only. So such a client is owed the newest event of each
board that has changed, with ids that say where it is after each of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import ujson

from tornado_board.realtime.positions import GONE, Position, spell
from tornado_board.realtime.wires import BOARD_GONE, RESET, SEASON, Message, Sent, Wire, type_of
from tornado_board.replay import Event


class Happened(NamedTuple):
    """What happened to a board: an event, behind a reset if there is a `reason`, or its end."""

    board_id: str
    event: Event | None
    reason: str | None = None
    #: The end of a season before the event, that is to be told, too.
    ended: Event | None = None

    @property
    def position(self) -> Position:
        """Where a client is in the board that was told so."""
        return GONE if self.event is None else self.event.id

    def since(self, earlier: Happened | None) -> Happened:
        """This, for who was not told of `earlier` either."""
        if earlier is None or self.event is None:
            return self
        ended = earlier.event if earlier.is_end else earlier.ended
        return self._replace(reason=self.reason or earlier.reason, ended=ended)

    @property
    def is_end(self) -> bool:
        """Whether it is the end of a season."""
        return self.event is not None and type_of(self.event) is SEASON

    def sent(self, id: str | None) -> list[Sent]:
        """The same as events; `id` spells the positions of a client that was sent them."""
        if self.event is None:
            return [Sent(BOARD_GONE, ujson.dumps({"id": self.board_id}), id)]
        shown = Sent(type_of(self.event), self.event.data, id)
        if self.reason is None:
            return [shown]
        data = {"id": self.board_id, "reason": self.reason}
        return [Sent(RESET, ujson.dumps(data, ensure_ascii=False)), shown]


class Part:
    """What a message says, over `wire`, to those who were at `before`."""

    __slots__ = ("before", "happened", "wire")

    def __init__(self, happened: Happened, wire: Wire, before: Mapping[str, Position]) -> None:
        self.happened, self.wire, self.before = happened, wire, before

    def behind(self, pending: tuple[Message, ...]) -> tuple[Message, ...]:
        """See `Message.behind`. What a stream began with stays whole."""
        if pending and isinstance(pending[-1], Owed):
            *rest, owed = pending
            assert isinstance(owed, Owed)
        else:
            rest, owed = list(pending), self._owed()
        board_id = self.happened.board_id
        earlier = owed.happened.get(board_id)
        if earlier is not None and earlier.is_end and earlier.ended is not None:
            # Another season of it has ended: both are told. How many wait then has a bound.
            rest, owed = list(pending), self._owed()
        # The newest last, so that a client hears of the boards in that order.
        owed.happened[board_id] = self.happened.since(owed.happened.pop(board_id, None))
        return (*rest, owed)

    def _owed(self) -> Owed:
        owed = Owed()
        owed.wire, owed.before, owed.happened = self.wire, self.before, {}
        return owed


class Owed(Message):
    """What a client is owed: empty until the socket takes bytes again and it is made (`now`)."""

    wire: Wire
    before: Mapping[str, Position]
    #: The newest of each board.
    happened: dict[str, Happened]

    @property
    def now(self) -> Message:
        events, positions = [], dict(self.before)
        for board_id, happened in self.happened.items():
            if happened.ended is not None:
                positions[board_id] = happened.ended.id
                events += Happened(board_id, happened.ended).sent(spell(positions))
            positions[board_id] = happened.position
            events += happened.sent(spell(positions))
        return self.wire.message(events)
