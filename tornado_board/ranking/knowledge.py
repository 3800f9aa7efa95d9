"""What a live board's state machine knows, whatever role its process has."""

from __future__ import annotations

from tornado_board.cluster import Role
from tornado_board.ranking import actions
from tornado_board.ranking.actions import Action, State, Wait
from tornado_board.ranking.comparison import Comparison
from tornado_board.ranking.inbox import Inbox
from tornado_board.ranking.log_access import LogAccess
from tornado_board.ranking.outbox import Outbox
from tornado_board.ranking.stored import StoredBoard
from tornado_board.replay import Event, EventId

Decision = tuple[State, Action]


class BoardKnowledge:
    """The parts of a `BoardState`, and the decisions that each role comes to.

    At least `coalesce` seconds lie between two new events. `left` is what an earlier life of the
    board in this process left behind: its last id, and how many events had none after it.
    """

    def __init__(
        self,
        role: Role,
        now: float,
        *,
        coalesce: float,
        depth: int,
        left: tuple[EventId, int] | None = None,
    ) -> None:
        self.role, self.state = role, State.QUIET
        self.ready = False  #: what is `shown` is the board as far as one can tell
        #: The newest id known, and how many events were sent after it without one.
        self.last: EventId | None = left[0] if left else None
        self.unlogged = left[1] if left else 0
        self._coalesce = coalesce
        self._outbox = Outbox()
        self._gone = self._forget = False
        self._stored = StoredBoard(now, depth)
        self._log = LogAccess(now)
        self._newest: Event | None = None  # an event of the log that was not sent
        # What a follower hears, and whether it is what the store has.
        self._inbox = Inbox(now)
        self._comparison = Comparison(now)

    @property
    def shown(self) -> Event | None:
        """What the subscribers were sent last."""
        return self._outbox.shown

    @property
    def in_doubt(self) -> bool:
        """Whether somebody waits for what is shown to be compared with the store."""
        return self._comparison.in_doubt

    @property
    def answered_doubts(self) -> int:
        """How many of those who called `doubt` know by now: the first ones."""
        return self._comparison.answered_doubts

    @property
    def forgets(self) -> bool:
        """Whether the board is gone, and its log has to go too."""
        return self._gone and self._forget

    # Decisions

    def _read(self, now: float) -> Decision:
        if now < self._stored.read_after:
            return State.BACKING_OFF, Wait(self._stored.read_after - now)
        self._stored.begin()
        self._comparison.begin(now)
        return State.READING, actions.Read()

    def _read_end(self, season: int, now: float) -> Decision:
        if now < self._stored.read_after:
            return State.BACKING_OFF, Wait(self._stored.read_after - now)
        return State.READING, actions.Read(season)

    def _await_log(self, now: float) -> Decision:
        seconds = None if self.role is Role.ISOLATED else self._log.wait(now)
        return State.QUIET if seconds is None else State.BACKING_OFF, Wait(seconds)

    def _deliver(self, event: Event, *, heard: bool = False) -> Decision:
        self._outbox.add(event, heard=heard)
        return State.SENDING, self._outbox.next()

    @property
    def _is_beside_the_log(self) -> bool:
        """Whether what was shown last is in no log, so that of the log only the newest matters."""
        return self.shown is None or self.shown.id is None or bool(self.unlogged)
