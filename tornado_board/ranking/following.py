"""What a live board does while another process publishes: it sends on what it hears.

What it did not hear it reads from the log. Whether that is what the store has it finds out by
reading the store, and where the two differ it asks the publisher for the board (`Comparison`).
"""

from __future__ import annotations

from tornado_board.cluster import Role
from tornado_board.ranking import actions
from tornado_board.ranking.actions import Locate, State, Wait
from tornado_board.ranking.knowledge import BoardKnowledge, Decision
from tornado_board.replay import Event


class FollowingBoard(BoardKnowledge):
    """The part of a `BoardState` that follows."""

    # What is to be done. The first line that applies decides.

    def _decide_following(self, now: float) -> Decision:
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
            if self._outbox:
                return State.SENDING, self._outbox.next()
            if self._log.must_locate:
                return self._decide_following(now)
        if self._comparison.is_due:
            return self._compare(now)
        return State.QUIET, Wait(None)

    def _do_without(self, now: float) -> Decision:
        """Be live while nobody knows what the log has; how it fits together the log will tell."""
        if self._inbox:
            return self._deliver(Event(None, self._inbox.take_newest().data), heard=True)
        if self.shown is None:
            return self._compare(now)
        if self._comparison.is_due and now >= self._stored.read_after:
            self._comparison.without_log = self._stored.must_read = True
            return self._read(now)
        return self._await_log(now)

    def _compare(self, now: float) -> Decision:
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
                is_newer = self._comparison.read_at > self._outbox.sent_at
                differs = self._stored.known and not self._stored.shows(self.shown)
                if self.in_doubt and is_newer and differs:
                    return self._deliver(Event(None, self._stored.data))
            elif self._newest is not None or self._stored.known:
                newest, self._newest = self._newest, None
                return self._deliver(newest or Event(None, self._stored.data))
        seconds = asking.pause(now)
        if seconds and not self.in_doubt:
            return State.BACKING_OFF, Wait(seconds)
        self._stored.must_read = True
        return self._read(now)

    # How it went

    def _compared(self, data: str) -> None:
        shown, newest = self.shown, self._newest
        if shown is not None and shown.data == data:
            self._comparison.confirm_as_read()
        if not self._inbox.hearing or (self._log.must_locate and shown is None):
            if shown is None or shown.data != data:
                self._outbox.add(Event(None, data))
        elif self._inbox or (self._log.must_locate and not self._comparison.without_log):
            return  # the store was read before that was published
        elif self._comparison.without_log:
            self._comparison.end()
            self.ready = True
            if shown is not None and shown.data != data:
                self._outbox.add(Event(None, data))
        elif newest is not None and newest.data == data:
            self._outbox.add(newest, broken=shown is not None)
            self._newest = None
            self._comparison.end()
        elif shown is not None and shown.id is not None and shown.data == data:
            self._comparison.reconciled()
            self.ready = True
        else:
            self._comparison.asking.is_due = True

    # What comes in

    def following(self) -> None:
        """Everything that is published of the board is heard from now on; what came before may
        have been missed."""
        if self.role is Role.FOLLOWER:
            self._inbox.hearing = self._log.must_locate = True
            self._comparison.demand()
            self._comparison.without_log = False

    def hear(self, event: Event) -> None:
        """The publisher sent `event`."""
        if self.role is Role.FOLLOWER and not self._inbox.hear(event):
            self._log.must_locate = True

    def _take_in(self, event: Event) -> bool:
        """Send `event`, which was heard, unless it was sent; ``False`` if the log has to be asked
        first for what lies before it."""
        last = self.last
        if event.id is None:
            if self.shown is None or self.shown.data != event.data:
                self._outbox.add(event, heard=True)
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
        self._outbox.add(event, broken=not follows, heard=True)
        self._newest = None
        self._comparison.answered()
        return True
