"""One live board as a state machine, the protocol apart from the I/O.

`BoardState.next` says what is to be done now; whoever owns the board does it, one thing at a time,
and tells how it went by the method that the action names. Changes, events of other processes and
changes of role come in at any time, also while something is being done. There is no clock in here:
`now` is any number of seconds that never goes back.

What it sees to, for the subscribers of this process (promises 2 and 3 of ARCHITECTURE.md):

1. An event that has an id is in the log, or was heard from the process that put it there.
2. Its counter is one more than that of the event sent before it, or a reset goes before it.
3. Events that were sent without an id leave a gap in the counters, so that no client that was
   away meanwhile is told that it missed nothing. If this process appends next, the append says how
   many they were (`Append.lost`); if another does, the log is told first (`Report`).
4. Once changes cease and store and log answer, what was sent last is what the store has.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from tornado_board.backoff import Backoff
from tornado_board.cluster import Role
from tornado_board.models import TOP, PlayerChanged, Ranking
from tornado_board.ranking import actions
from tornado_board.ranking.actions import Action, Append, Locate, Send, State, Wait
from tornado_board.ranking.log_access import LogAccess
from tornado_board.ranking.stored import StoredBoard
from tornado_board.replay import Event, EventId

#: Events heard that may wait to be sent; with more they are read from the log again.
HEARD = 64

#: Seconds that the publisher has to publish a board that it was asked for, and that a new board
#: waits to be followed before it is shown as the store has it.
ANSWER = 1.0
HEARING = 2.0

#: Bounds of the waits, in seconds, between two questions of a follower.
_ASK_BACKOFF = (0.3, 10.0)

#: What a reset says.
UNLOGGED = "events were sent that could not be logged"
BROKEN = "events before this one are no longer in the log"

_Decision = tuple[State, Action]


class BoardState:
    """What this process knows of one live board, and what it does next.

    `coalesce` is how many seconds lie between two events at least, but for those that the log had
    already. `left` is what an earlier life of the board in this process left behind: the last id,
    and how many events were sent after it without one.
    """

    def __init__(
        self,
        role: Role,
        now: float,
        *,
        coalesce: float,
        depth: int,
        top: int = TOP,
        left: tuple[EventId, int] | None = None,
    ) -> None:
        self.role = role
        self.state = State.QUIET
        #: What the subscribers were sent last; `ready`: it is the board as far as one can tell.
        self.shown: Event | None = None
        self.ready = False
        #: The newest id known, and how many events were sent after it without one.
        self.last: EventId | None = left[0] if left else None
        self.unlogged = left[1] if left else 0
        self._coalesce = coalesce
        self._sent_at = float("-inf")
        self._outbox: deque[tuple[Event, bool]] = deque()  # True: with a reset in any case
        self._gone = self._forget = False
        self._stored = StoredBoard(now, depth, top)
        self._log = LogAccess(now)
        self._newest: Event | None = None  # an event of the log that was not sent
        # What a follower hears, and what it does about a board that nobody publishes.
        self._hearing = False
        self._hear_by = now + HEARING
        self._heard: deque[Event] = deque()
        self._asked_before: EventId | None = None  # whether for what lies before this one
        self._must_compare = True
        self._must_ask = False
        self._answer_by: float | None = None
        self._ask_backoff, self._ask_after = Backoff(*_ASK_BACKOFF), now

    # What is to be done. The first line that applies decides.

    def next(self, now: float) -> Action:
        """What is to be done now. An action that is returned counts as begun."""
        self.state, action = self._decide(now)
        return action

    def _decide(self, now: float) -> _Decision:
        if self._gone:
            return State.ENDED, actions.End(self._forget)
        if self._outbox:
            return State.SENDING, self._send(*self._outbox[0])
        if self.role is Role.FOLLOWER:
            return self._decide_following(now)
        return self._decide_publishing(now)

    def _decide_publishing(self, now: float) -> _Decision:
        log, stored = self._log, self._stored
        can_log = self.role is Role.PUBLISHER and log.is_usable(now)
        if now < log.fenced_until:
            return State.BACKING_OFF, Wait(log.fenced_until - now)
        if stored.must_read:
            return self._read(now)
        if log.must_locate and can_log:
            return State.LOCATING, self._locate()
        if not stored.known:
            return State.QUIET, Wait(None)  # this process took over; its feed is being opened
        data, shown, newest = stored.data, self.shown, self._newest
        is_new = shown is None or shown.data != data
        if not is_new and not self._lacks_an_event:
            self.ready = True
            return State.QUIET, Wait(None)
        if newest is not None and newest.data == data and not self.unlogged:
            self._newest = None
            return self._deliver(newest)
        if now < self._sent_at + self._coalesce:
            return State.COALESCING, Wait(self._sent_at + self._coalesce - now)
        offers = is_new and self.role is Role.PUBLISHER and log.offers(data)
        if not log.must_locate and (can_log or offers):
            return State.APPENDING, Append(data, self.last, self.unlogged)
        if is_new:
            self.unlogged += 1
            return self._deliver(Event(None, data))
        self.ready = True
        return self._await_log(now)

    def _decide_following(self, now: float) -> _Decision:
        can_log = self._log.is_usable(now)
        if self.unlogged and self.last is not None:
            if can_log:
                return State.REPORTING, actions.Report(self.last, self.unlogged)
            if self.shown is not None:
                return self._await_log(now)
        if not self._hearing:
            if self.shown is not None:
                return State.QUIET, Wait(None)
            if now < self._hear_by:
                return State.BACKING_OFF, Wait(self._hear_by - now)
            return self._compare(now)
        if self._log.must_locate:
            if can_log:
                return State.LOCATING, self._locate()
            if self._heard:  # live all the same; how it fits with the rest the log will tell
                data = self._heard.pop().data
                self._heard.clear()
                return self._deliver(Event(None, data))
            # Nobody knows what the log has; for those who wait the store will do.
            return self._await_log(now) if self.shown is not None else self._compare(now)
        while self._heard:
            if self._take_in(self._heard[0]):
                self._heard.popleft()
            if self._outbox or self._log.must_locate:
                return self._decide(now)
        if self._must_compare:
            return self._compare(now)
        return State.QUIET, Wait(None)

    def _compare(self, now: float) -> _Decision:
        """See whether what is shown is what the store has; have it published if not."""
        if self._must_ask:
            self._must_ask = False
            return State.ASKING, actions.Ask()
        if self._answer_by is not None:
            if now < self._answer_by:
                return State.ASKING, Wait(self._answer_by - now)
            self._answer_by = None
            self._ask_after = now + self._ask_backoff.next()
            # Nobody publishes at present. Whoever does so next reads every board that is followed;
            # till then this process shows what the others show.
            if self.shown is None:
                newest, self._newest = self._newest, None
                return self._deliver(newest or Event(None, self._stored.data))
            self.ready = True
        if now < self._ask_after:
            return State.BACKING_OFF, Wait(self._ask_after - now)
        self._stored.must_read = True
        return self._read(now)

    def _read(self, now: float) -> _Decision:
        if now < self._stored.read_after:
            return State.BACKING_OFF, Wait(self._stored.read_after - now)
        self._stored.begin()
        return State.READING, actions.Read()

    def _locate(self) -> Locate:
        return Locate(None if self._is_beside_the_log else self.last)

    def _await_log(self, now: float) -> _Decision:
        seconds = None if self.role is Role.ISOLATED else self._log.wait(now)
        return State.QUIET if seconds is None else State.BACKING_OFF, Wait(seconds)

    def _deliver(self, event: Event) -> _Decision:
        self._outbox.append((event, False))
        return State.SENDING, self._send(*self._outbox[0])

    def _send(self, event: Event, broken: bool) -> Send:
        before = self.shown
        if before is None or event.id is None:
            return Send(event, None)
        if before.id is None:
            return Send(event, UNLOGGED)
        follows = event.id.n == before.id.n + 1 and not broken
        return Send(event, None if follows else BROKEN)

    @property
    def _is_beside_the_log(self) -> bool:
        """Whether what was shown last is in no log, so that of the log only the newest matters."""
        return self.shown is None or self.shown.id is None or bool(self.unlogged)

    @property
    def _lacks_an_event(self) -> bool:
        """Whether the log has to be given what is shown, though it has not changed."""
        has_no_id = self.shown is not None and self.shown.id is None
        return bool(self.unlogged) or self._log.must_log or has_no_id

    # How it went

    def read(self, ranking: Ranking) -> None:
        """The store was read."""
        if self._stored.take(ranking) and self.role is Role.FOLLOWER:
            self._compared(self._stored.data)

    def _compared(self, data: str) -> None:
        shown, newest = self.shown, self._newest
        if not self._hearing or (self._log.must_locate and shown is None):
            self._outbox.append((Event(None, data), False))
        elif self._heard or self._log.must_locate:
            return  # the store was read before that was published
        elif newest is not None and newest.data == data:
            self._outbox.append((newest, shown is not None))
            self._newest, self._must_compare = None, False
        elif shown is not None and shown.id is not None and shown.data == data:
            self._must_compare, self.ready = False, True
            self._ask_backoff.reset()
        else:
            self._must_ask = True

    def not_found(self) -> None:
        """The store has no such board."""
        self._gone = True
        self._forget = self._forget or self.last is not None

    def read_failed(self, now: float) -> None:
        """The store did not answer."""
        self._stored.fail(now)

    def located(self, events: Sequence[Event], whole: bool) -> None:
        """The log has `events`: all after the id that was asked for if `whole`, else the newest
        one, if any."""
        self._log.answered()
        self._log.must_locate = False
        newest = events[-1] if events else None
        head = newest.id if newest is not None else None
        is_ahead = head is not None and (self.last is None or head > self.last)
        if self._is_beside_the_log:
            self._newest, self._must_compare = newest, True
        elif whole or is_ahead:
            self._outbox.extend((event, not whole) for event in events)
        elif self.role is Role.FOLLOWER:
            self._newest, self._must_compare = newest, True  # the log went back, or was lost
        else:
            self._log.must_log = True  # likewise
        if is_ahead:
            self.last = head
        self._heard = deque(e for e in self._heard if not e.id or not self.last or e.id > self.last)

    def appended(self, event_id: EventId, data: str) -> None:
        """The event `data` is in the log, and has this id."""
        self._log.appended()
        self._outbox.append((Event(event_id, data), bool(self.unlogged)))
        self.last, self.unlogged, self._newest = event_id, 0, None

    def refused(self, now: float, data: str | None = None) -> None:
        """The log answered that it does not do this, for this board: it is full, say. Nothing was
        appended, and other boards may fare better. `data` is what was to be appended."""
        self._log.refuse(now, data)

    def log_failed(self, now: float) -> None:
        """The log did not answer; `log_returned` tells when it may again."""
        self._log.fail(now)

    def fenced(self, now: float) -> None:
        """The log says that another process publishes; nothing was appended."""
        self._log.fence(now)

    def reported(self) -> None:
        """The log leaves a gap for the events without ids."""
        self._log.answered()
        self.unlogged = 0

    def asked(self, now: float, heard: bool) -> None:
        """The publisher was asked for the board; `heard`: there is one."""
        self._answer_by = now + ANSWER if heard else now

    def sent(self, now: float) -> None:
        """The event was sent."""
        event, broken = self._outbox.popleft()
        self.shown, self._sent_at, self.ready = event, now, True
        if event.id is not None and (broken or self.last is None or event.id > self.last):
            self.last = event.id

    # What comes in

    def take_role(self, role: Role, now: float) -> None:
        """This process has `role` now, or has it anew after an interruption."""
        was_following, self.role = self.role is Role.FOLLOWER, role
        self._log.start_anew(now)
        self._heard.clear()
        self._must_ask, self._answer_by, self._ask_after = False, None, now
        if role is Role.FOLLOWER:
            self._hearing, self._hear_by, self._must_compare = False, now + HEARING, True
        if (role is Role.FOLLOWER) is not was_following:
            # A new publisher's feed has yet to be opened; `resync` says when to read.
            self._stored.forget(must_read=self.shown is None)

    def resync(self) -> None:
        """Anything may have happened to the board in the store: read it again."""
        if self.role is not Role.FOLLOWER:
            self._stored.forget()

    def apply(self, change: PlayerChanged) -> None:
        """A player of the board changed, says the feed."""
        if self.role is not Role.FOLLOWER:
            self._stored.apply(change)

    def deleted(self) -> None:
        """The board was deleted from the store."""
        self._gone = self._forget = True

    def following(self) -> None:
        """Everything that is published of the board is heard from now on; what came before may
        have been missed."""
        if self.role is Role.FOLLOWER:
            self._hearing = self._log.must_locate = self._must_compare = True

    def hear(self, event: Event) -> None:
        """The publisher sent `event`."""
        if self.role is not Role.FOLLOWER:
            return
        if len(self._heard) >= HEARD:
            self._heard.clear()
            self._log.must_locate = True
        self._heard.append(event)

    def wanted(self) -> None:
        """Another process asks for the board: see whether the log has what is shown."""
        self._log.must_locate = True

    def log_returned(self) -> None:
        """The log may answer again, or take what it refused."""
        self._log.returned()

    def show_again(self, now: float) -> None:
        """Send the newest event once more, at once: those who were sent it before are gone."""
        self.ready = False
        self._stored.read_after = now
        if self.shown is not None and not self._outbox:
            shown, self.shown = self.shown, None
            self._outbox.append((shown, False))

    def _take_in(self, event: Event) -> bool:
        """Send `event`, which was heard, unless it was sent; ``False`` if the log has to be asked
        first for what lies before it."""
        last = self.last
        if event.id is None:
            if self.shown is None or self.shown.data != event.data:
                self._outbox.append((event, False))
            return True
        if last is not None and event.id <= last:
            # Heard twice, or else the log went back.
            self._log.must_locate = self._log.must_locate or event.id != last
            return True
        follows = last is None or event.id.n == last.n + 1
        has_reset = self.shown is not None and self.shown.id is None
        if not follows and not has_reset and self._asked_before != event.id:
            self._asked_before = event.id
            self._log.must_locate = True
            return False
        self._outbox.append((event, not follows))
        self._newest = None
        self._must_compare, self._must_ask, self._answer_by = False, False, None
        return True
