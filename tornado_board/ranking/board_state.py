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

from collections.abc import Sequence

from tornado_board.cluster import Role
from tornado_board.models import PlayerChanged, Ranking
from tornado_board.ranking import actions
from tornado_board.ranking.actions import Action, Append, Locate, State, Wait
from tornado_board.ranking.comparison import FRESH, Comparison
from tornado_board.ranking.inbox import Inbox
from tornado_board.ranking.log_access import LogAccess
from tornado_board.ranking.outbox import Outbox
from tornado_board.ranking.stored import StoredBoard
from tornado_board.replay import Event, EventId

_Decision = tuple[State, Action]


class BoardState:
    """What this process knows of one live board, and what it does next.

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
    def forgets(self) -> bool:
        """Whether the board is gone, and its log has to go too."""
        return self._gone and self._forget

    # What is to be done. The first line that applies decides.

    def next(self, now: float) -> Action:
        """What is to be done now. An action that is returned counts as begun."""
        self.state, action = self._decide(now)
        return action

    def _decide(self, now: float) -> _Decision:
        if self._gone:
            return State.ENDED, actions.End(self._forget)
        if self._outbox:
            return State.SENDING, self._outbox.next()
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
            return State.LOCATING, Locate(None if self._is_beside_the_log else self.last)
        if not stored.known:
            return State.QUIET, Wait(None)  # this process took over; its feed is being opened
        data, shown, newest = stored.data, self.shown, self._newest
        is_new = shown is None or shown.data != data
        if not is_new:
            self._comparison.confirm(now)
            self.ready = True
            if not (self._log.must_log or self._is_beside_the_log):
                return State.QUIET, Wait(None)  # nor does the log lack an event
        if newest is not None and newest.data == data and not self.unlogged:
            self._newest = None
            return self._deliver(newest)
        if now < self._outbox.sent_at + self._coalesce:
            return State.COALESCING, Wait(self._outbox.sent_at + self._coalesce - now)
        offers = self.role is Role.PUBLISHER and log.offers(data)
        if (can_log and not log.must_locate) or offers:
            return State.APPENDING, Append(data, self.last, self.unlogged)
        if is_new:
            self.unlogged += 1
            return self._deliver(Event(None, data))
        return self._await_log(now)

    def _decide_following(self, now: float) -> _Decision:
        can_log = self._log.is_usable(now)
        must_report = bool(self.unlogged) and self.last is not None
        if must_report and can_log and self.last is not None:
            return State.REPORTING, actions.Report(self.last, self.unlogged)
        if not self._inbox.hearing:
            if self.shown is not None and not self.in_doubt:
                return self._await_log(now) if must_report else (State.QUIET, Wait(None))
            if now < self._inbox.hear_by:
                return State.BACKING_OFF, Wait(self._inbox.hear_by - now)
            return self._compare(now)
        if self._log.must_locate and can_log:
            return State.LOCATING, Locate(None if self._is_beside_the_log else self.last)
        if self._log.must_locate or must_report:
            return self._do_without(now)
        while self._inbox:
            if self._take_in(self._inbox.first):
                self._inbox.drop_first()
            if self._outbox or self._log.must_locate:
                return self._decide(now)
        if self._comparison.is_due:
            return self._compare(now)
        return State.QUIET, Wait(None)

    def _do_without(self, now: float) -> _Decision:
        """Be live while nobody knows what the log has; how it fits together the log will tell."""
        if self._inbox:
            return self._deliver(Event(None, self._inbox.take_newest().data))
        if self.shown is None:
            return self._compare(now)
        if self._comparison.is_due and now >= self._stored.read_after:
            self._comparison.without_log = self._stored.must_read = True
            return self._read(now)
        return self._await_log(now)

    def _compare(self, now: float) -> _Decision:
        """See whether what is shown is what the store has; have it published if not."""
        asking = self._comparison.asking
        if asking.is_due:
            asking.is_due = False
            return State.ASKING, actions.Ask()
        if seconds := asking.answer_in(now):
            return State.ASKING, Wait(seconds)
        if asking.gave_up(now):
            # Nobody publishes at present; until somebody does, show what the others show.
            if self.shown is not None:
                self.ready = True
                if self.in_doubt and self._comparison.began_at < self._outbox.sent_at:
                    asking.hurry(now)  # what was read is older than what was heard since
                elif self.in_doubt and self._stored.known and not self._stored.shows(self.shown):
                    return self._deliver(Event(None, self._stored.data))
                else:
                    self._comparison.give_up()
            elif self._newest is not None or self._stored.known:
                newest, self._newest = self._newest, None
                return self._deliver(newest or Event(None, self._stored.data))
        if seconds := asking.pause(now):
            return State.BACKING_OFF, Wait(seconds)
        self._stored.must_read = True
        return self._read(now)

    def _read(self, now: float) -> _Decision:
        if now < self._stored.read_after:
            return State.BACKING_OFF, Wait(self._stored.read_after - now)
        self._stored.begin()
        self._comparison.began_at = now
        return State.READING, actions.Read()

    def _await_log(self, now: float) -> _Decision:
        seconds = None if self.role is Role.ISOLATED else self._log.wait(now)
        return State.QUIET if seconds is None else State.BACKING_OFF, Wait(seconds)

    def _deliver(self, event: Event) -> _Decision:
        self._outbox.add(event)
        return State.SENDING, self._outbox.next()

    @property
    def _is_beside_the_log(self) -> bool:
        """Whether what was shown last is in no log, so that of the log only the newest matters."""
        return self.shown is None or self.shown.id is None or bool(self.unlogged)

    # How it went

    def read(self, ranking: Ranking, now: float) -> None:
        """The store was read."""
        if self._stored.take(ranking) and self.role is Role.FOLLOWER:
            self._compared(self._stored.data, now)

    def _compared(self, data: str, now: float) -> None:
        shown, newest = self.shown, self._newest
        if shown is not None and shown.data == data:
            self._comparison.confirm(now)
        if not self._inbox.hearing or (self._log.must_locate and shown is None):
            if shown is None or shown.data != data:
                self._outbox.add(Event(None, data))
        elif self._inbox or (self._log.must_locate and not self._comparison.without_log):
            return  # the store was read before that was published
        elif self._comparison.without_log:
            self._comparison.is_due, self.ready = False, True
            if shown is not None and shown.data != data:
                self._outbox.add(Event(None, data))
        elif newest is not None and newest.data == data:
            self._outbox.add(newest, broken=shown is not None)
            self._newest, self._comparison.is_due = None, False
        elif shown is not None and shown.id is not None and shown.data == data:
            self._comparison.settle()
            self.ready = True
        else:
            self._comparison.asking.is_due = True

    def not_found(self) -> None:
        """The store has no such board."""
        self._gone, self._forget = True, self._forget or self.last is not None

    def read_failed(self, now: float) -> None:
        """The store did not answer."""
        self._stored.fail(now)
        self._comparison.give_up()

    def located(self, events: Sequence[Event], whole: bool) -> None:
        """The log has `events`: all after the id that was asked for if `whole`, else the newest
        one, if any."""
        self._log.answered()
        self._log.must_locate = False
        newest = events[-1] if events else None
        head = newest.id if newest is not None else None
        self._comparison.begin_with_log()
        is_ahead = head is not None and (self.last is None or head > self.last)
        if self._is_beside_the_log:
            self._newest, self._comparison.is_due = newest, True
        elif whole or is_ahead:
            self._outbox.extend(events, broken=not whole)
        elif self.role is Role.FOLLOWER:
            self._newest, self._comparison.is_due = newest, True  # the log went back, or was lost
        else:
            self._log.must_log = True  # likewise
        if is_ahead:
            self.last = head
        self._inbox.drop_known(self.last)

    def appended(self, event_id: EventId, data: str) -> None:
        """The event `data` is in the log, and has this id."""
        self._log.appended()
        self._outbox.add(Event(event_id, data), broken=bool(self.unlogged))
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
        self._comparison.begin_with_log()
        self.unlogged, self._log.must_locate = 0, True

    def asked(self, now: float, heard: bool) -> None:
        """The publisher was asked for the board; `heard`: there is one."""
        self._comparison.asking.asked(now, heard)

    def sent(self, now: float) -> None:
        """The event was sent."""
        event, broken = self._outbox.sent(now)
        self.ready = True
        if self.role is Role.FOLLOWER or self._stored.shows(event):
            self._comparison.confirm(now)
        if event.id is None:
            return
        self._newest = None  # or an older event could be sent later
        if self.last is None:
            self.unlogged = 0  # nobody has an id that lies before them
        if broken or self.last is None or event.id > self.last:
            self.last = event.id

    # What comes in

    def take_role(self, role: Role, now: float) -> None:
        """This process has `role` now, or has it anew after an interruption."""
        was_following, self.role = self.role is Role.FOLLOWER, role
        self._log.start_anew(now)
        self._inbox.start_anew(now)
        self._comparison.start_anew(now)
        if role is Role.FOLLOWER:
            self._comparison.is_due = True
        if (role is Role.FOLLOWER) is not was_following:
            # A new publisher's feed has yet to be opened; `resync` says when to read.
            self._stored.forget(must_read=self.shown is None)

    def resync(self) -> None:
        """Anything may have happened to the board in the store: read it again."""
        if self.role is not Role.FOLLOWER:
            self._stored.forget()
            self._comparison.forget()

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
            self._inbox.hearing = self._log.must_locate = self._comparison.is_due = True
            self._comparison.without_log = False

    def hear(self, event: Event) -> None:
        """The publisher sent `event`."""
        if self.role is Role.FOLLOWER and not self._inbox.hear(event):
            self._log.must_locate = True

    def wanted(self) -> None:
        """Another process asks for the board: see whether the log has what is shown."""
        self._log.must_locate = True

    def log_returned(self) -> None:
        """The log may answer again, or take what it refused."""
        self._log.returned()

    def is_confirmed(self, now: float, *, strictly: bool = False) -> bool:
        """Whether what is shown is what the store had a moment ago (`strictly`: has) as far as
        anybody can tell."""
        if self.role is Role.FOLLOWER:
            return not strictly and self._comparison.is_fresh(now)
        is_due = not strictly and now <= self._outbox.sent_at + self._coalesce + FRESH
        return self._comparison.was_confirmed and (is_due or self._stored.shows(self.shown))

    def doubt(self, now: float) -> None:
        """Compare with the store what is shown, at once; until then it is `in_doubt`."""
        self._comparison.doubt(now)

    def show_again(self, now: float) -> None:
        """Send the newest event once more, at once: those who were sent it before are gone."""
        self.ready = False
        self._stored.read_after = now
        self._outbox.send_again()

    def _take_in(self, event: Event) -> bool:
        """Send `event`, which was heard, unless it was sent; ``False`` if the log has to be asked
        first for what lies before it."""
        last = self.last
        if event.id is None:
            if self.shown is None or self.shown.data != event.data:
                self._outbox.add(event)
            return True
        if last is not None and event.id <= last:
            # Heard twice, or else the log went back.
            self._log.must_locate = self._log.must_locate or event.id != last
            return True
        follows = last is None or event.id.n == last.n + 1
        has_reset = self.shown is not None and self.shown.id is None
        if not follows and not has_reset and self._inbox.must_ask_before(event.id):
            self._log.must_locate = True
            return False
        self._outbox.add(event, broken=not follows)
        self._newest = None
        self._comparison.answered()
        return True
