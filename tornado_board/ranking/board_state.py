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
5. Between two boards of different seasons stands the final board of the first of the two, as far as
   it is kept, and only once.
"""

from __future__ import annotations

from collections.abc import Sequence

from tornado_board.cluster import Role
from tornado_board.models import PlayerChanged, Ranking, season_in, shows_end
from tornado_board.ranking import actions
from tornado_board.ranking.actions import Action, Append, Locate, State, Wait
from tornado_board.ranking.comparison import FRESH
from tornado_board.ranking.following import FollowingBoard
from tornado_board.ranking.knowledge import Decision
from tornado_board.replay import Event, EventId


class BoardState(FollowingBoard):
    """What this process knows of one live board, and what it does next; see `BoardKnowledge`."""

    # What is to be done. The first line that applies decides.

    def next(self, now: float) -> Action:
        """What is to be done now. An action that is returned counts as begun."""
        self.state, action = self._decide(now)
        return action

    def _decide(self, now: float) -> Decision:
        if self._gone:
            return State.ENDED, actions.End(self._forget)
        if self._outbox:
            return State.SENDING, self._outbox.next()
        if self.role is Role.FOLLOWER:
            return self._decide_following(now)
        return self._decide_publishing(now)

    def _decide_publishing(self, now: float) -> Decision:
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
        ended = self._ended_season()
        if ended is not None:
            if not stored.has_end(ended):
                return self._read_end(ended, now)
            data = stored.end_of(ended) or data
        is_new = shown is None or shown.data != data
        if not is_new:
            self._comparison.confirm(now)
            self.ready = True
            if not (self._log.must_log or self._is_beside_the_log):
                return State.QUIET, Wait(None)  # nor does the log lack an event
        if newest is not None and newest.data == data and not self.unlogged:
            self._newest = None
            return self._deliver(newest)
        is_between = shown is not None and shows_end(shown.data)
        if now < self._outbox.sent_at + self._coalesce and not is_between:
            return State.COALESCING, Wait(self._outbox.sent_at + self._coalesce - now)
        offers = self.role is Role.PUBLISHER and log.offers(data)
        if (can_log and not log.must_locate) or offers:
            return State.APPENDING, Append(data, self.last, self.unlogged)
        if is_new:
            self.unlogged += 1
            return self._deliver(Event(None, data))
        return self._await_log(now)

    def _ended_season(self) -> int | None:
        """The number of the season that was shown last, if it is over and that was not told.

        Where more than one ended since, it is the one that the subscribers were watching.
        """
        present, before = self._stored.number, self.shown
        is_beside = before is None or before.id is None
        if is_beside and self._newest is not None and not self.unlogged:
            before = self._newest  # who comes back has seen that
        if present == 1 or before is None or shows_end(before.data):
            return None
        number = season_in(before.data)
        return number if number < present else None

    # How it went

    def read(self, ranking: Ranking, now: float) -> None:
        """The store was read."""
        if self._stored.take(ranking) and self.role is Role.FOLLOWER:
            self._comparison.was_read()
            self._compared(self._stored.data)

    def read_end(self, season: int, ranking: Ranking | None) -> None:
        """The final board of a season that is over was read; ``None``: it is no longer kept."""
        self._stored.take_end(season, ranking)

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
            self._newest = newest
            self._comparison.demand()
        elif whole or is_ahead:
            self._outbox.extend(events, broken=not whole)
        elif self.role is Role.FOLLOWER:
            self._newest = newest  # the log went back, or was lost
            self._comparison.demand()
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
        event, broken, heard = self._outbox.sent(now)
        is_end = shows_end(event.data)
        self.ready = self.ready or not is_end
        is_following = self.role is Role.FOLLOWER
        # What was found in the log proves nothing: the publisher may be cut off from it. The end of
        # a season is not what the store has now.
        if is_end:
            pass
        elif heard if is_following else self._stored.shows(event):
            self._comparison.confirm(now)
        elif is_following and self._stored.shows(event):
            self._comparison.confirm_as_read()
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
            self._comparison.demand()
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
        shown = self.shown
        if shown is not None and shows_end(shown.data):
            return False
        is_due = not strictly and now <= self._outbox.sent_at + self._coalesce + FRESH
        return self._comparison.was_confirmed and (is_due or self._stored.shows(self.shown))

    def doubt(self) -> int:
        """Compare with the store what is shown, at once, as it is from now on; until then it is
        `in_doubt`. Returns what `answered_doubts` has to come to."""
        return self._comparison.doubt()

    def show_again(self, now: float) -> None:
        """Send the newest event once more, at once: those who were sent it before are gone."""
        self.ready = False
        self._stored.read_after = now
        self._outbox.send_again()
