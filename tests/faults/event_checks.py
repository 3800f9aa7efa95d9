"""Checks of events: their counters, their order, and the scores in them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from tornado_board.replay import EventId

from .record import (
    ClientLog,
    Opened,
    Outcome,
    Record,
    Reset,
    Update,
    Whose,
    excerpt,
)
from .rules import ALL_RULES, FEEDS_APART, Rules, Violation
from .score_checks import Life, has_sum, lives, score_in

# Events


def counters(record: Record, rules: Rules = ALL_RULES) -> Iterator[Violation]:
    """A client's counters go up by one unless a reset came, and are never given out again."""
    for client in record.clients:
        trail = Trail(client)
        for index in range(len(client.entries)):
            text = trail.step(index, rules)
            if text:
                at = client.entries[index].at
                lines = excerpt(record, client, index)
                yield Violation("counters", client.name, text, at, lines)


class Trail:
    """Goes through what a client saw, and follows its position in the board's history."""

    def __init__(self, client: ClientLog) -> None:
        self.client = client
        self.last: EventId | None = None
        #: Whether any counter may come next: it has no position, or was told of a reset.
        self.fresh = True
        #: Events without an id on this connection since `last`.
        self.without_id = 0
        #: Gaps that it was told of.
        self.explained = 0

    def step(self, index: int, rules: Rules) -> str:
        """What is wrong with the entry at `index`; empty if nothing is."""
        entry = self.client.entries[index]
        if isinstance(entry, Opened):
            self.fresh = self.last is None or entry.since in ("", "0-0")
            self.without_id = 0
        elif isinstance(entry, Reset):
            self.fresh = True
        elif isinstance(entry, Update) and entry.id is None:
            self.without_id += 1
        elif isinstance(entry, Update) and entry.id is not None:
            return self._numbered(entry.id, rules)
        return ""

    def _numbered(self, id: EventId, rules: Rules) -> str:
        last, fresh, without_id = self.last, self.fresh, self.without_id
        self.last, self.fresh, self.without_id = id, False, 0
        if last is None or id.n == last.n + 1:
            return ""
        if fresh:
            self.explained += id.n > last.n
            if id == last or id.n > last.n or rules.counters_reused:
                return ""
            return f"{id} after {last}: the counter was given out before"
        if self.client.slow and id.n > last.n:
            return ""
        if id.n - last.n - 1 == without_id and without_id:
            self.explained += 1
            return ""
        what = "again" if id.n == last.n else "back" if id.n < last.n else "a gap"
        return f"{id} after {last}, {what} without a reset"


def explained_gaps(record: Record) -> int:
    """How often counters jumped and the client was told."""
    trails = []
    for client in record.clients:
        trail = Trail(client)
        for index in range(len(client.entries)):
            trail.step(index, Rules())
        trails.append(trail)
    return sum(trail.explained for trail in trails)


def one_event_an_id(record: Record) -> Iterator[Violation]:
    """An id stands for one event: whoever gets it sees the same board."""
    known: dict[tuple[str, EventId], Mapping[str, int]] = {}
    for client, index, entry in updates(record):
        if entry.id is None:
            continue
        first = known.setdefault((client.board, entry.id), entry.scores)
        if first is not entry.scores and first != entry.scores:
            yield Violation(
                "one event an id",
                client.name,
                f"{entry.id} of {client.board} shows another board than elsewhere: {first}",
                entry.at,
                excerpt(record, client, index),
            )


def updates(record: Record) -> Iterator[tuple[ClientLog, int, Update]]:
    for client in record.clients:
        for index, entry in enumerate(client.entries):
            if isinstance(entry, Update):
                yield client, index, entry


class Apart:
    """How far the feeds of two servers may lie apart, and which score that explains.

    The store tells each server of a change in its own time, which depends on how busy the machine
    is. How long additions took to be answered is taken as the measure of that.
    """

    def __init__(self, record: Record) -> None:
        self._posts = [post for post in record.posts if post.outcome is Outcome.ANSWERED]
        shown: dict[Whose, dict[int, float]] = defaultdict(dict)
        for client, _, entry in updates(record):
            for player, score in entry.scores.items():
                times = shown[client.board, player]
                times[score] = min(entry.at, times.get(score, math.inf))
        self._shown = shown

    def explains(self, whose: Whose, score: int, at: float) -> bool:
        """Whether no client was shown more than `score` until shortly before `at`."""
        above = (time for other, time in self._shown[whose].items() if other > score)
        return at - min(above, default=at) <= self._longest(at)

    def _longest(self, at: float) -> float:
        took = (p.ended - p.began for p in self._posts if p.ended > at - 1 and p.began < at)
        return min(FEEDS_APART, 0.05 + 2 * max(took, default=0))


def growing(record: Record, rules: Rules = ALL_RULES) -> Iterator[Violation]:
    """Scores that only grow never go back for a client, on whatever server, also after a reset;
    unless the store itself was restored, or the feeds of two servers lay apart (`Apart`)."""
    made = makers(record, rules)
    apart = Apart(record)
    for client in record.clients:
        newest: Update | None = None
        for index, entry in enumerate(client.entries):
            if not isinstance(entry, Update):
                continue
            before, newest = newest, entry
            # Who reads slowly may get what was sent before a restore long after it.
            if before is None or any(
                r.at <= entry.at and (before.at <= r.settled or client.slow)
                for r in record.restored
            ):
                continue
            for player, score in before.scores.items():
                now = entry.scores.get(player)
                if now is None or now < score:
                    whose = (client.board, player)
                    hopped = now is not None and entry.server != before.server
                    if hopped and apart.explains(whose, now or 0, entry.at):
                        continue
                    makes = made.get(whose, ())
                    if rules.unanswered_lost and not any(m.sure(score, before.at) for m in makes):
                        continue
                    yield Violation(
                        "growing scores",
                        client.name,
                        f"{player} of {client.board} went back from {score} to {now}",
                        entry.at,
                        excerpt(record, client, index),
                    )
                    break


def scores_made(record: Record, rules: Rules = ALL_RULES) -> Iterator[Violation]:
    """No event shows a score that no addition can have made by then, or that is no more."""
    first: dict[tuple[Whose, int], tuple[ClientLog, int, Update]] = {}
    for client, index, entry in updates(record):
        for player, score in entry.scores.items():
            key = ((client.board, player), score)
            if key not in first or entry.at < first[key][2].at:
                first[key] = (client, index, entry)
    made = makers(record, rules)
    top: Mapping[Whose, int] = {}
    if record.final is not None and not record.restored and not rules.unanswered_lost:
        top = record.final.rows
    for (whose, score), (client, index, entry) in first.items():
        if score > top.get(whose, math.inf):
            text = "more than there ever was"
        elif whose in made and not any(m.can(score, entry.at) for m in made[whose]):
            text = "a score that no addition made"
        else:
            continue
        lines = excerpt(record, client, index)
        text = f"{score} of {'/'.join(whose)} is {text}"
        yield Violation("scores made", client.name, text, entry.at, lines)


class Maker:
    """Tells which scores the additions of one life can have made by some time."""

    def __init__(self, life: Life, rules: Rules) -> None:
        self._unknown = life.unknown
        #: Scores that were answered, with the time when their addition began, and those that an
        #: answered addition was added to. Between two of them, and above the last, there may have
        #: been some of the unknown additions.
        self._answered = {score_in(post): post.began for post in life.answered}
        self._bases = {life.initial, *(score_in(post) - post.amount for post in life.answered)}
        self._floors = sorted({life.initial, *self._answered})
        self._any_floor = rules.unanswered_lost

    def sure(self, score: int, at: float) -> bool:
        """Whether an addition that was answered, before or after, may have made it by then."""
        return self._answered.get(score, math.inf) <= at

    def can(self, score: int, at: float) -> bool:
        """Whether it can have been the score by then."""
        if score in self._bases or self.sure(score, at):
            return True
        possible = [p.amount for p in self._unknown if p.began <= at]
        # Where unknown additions may be lost again, they may have been added to any earlier score.
        below = [f for f in self._floors if f < score]
        floors = below if self._any_floor else below[-1:]
        return any(has_sum(possible, score - floor) for floor in floors)


def makers(record: Record, rules: Rules) -> Mapping[Whose, Sequence[Maker]]:
    made: dict[Whose, list[Maker]] = defaultdict(list)
    for life in lives(record):
        made[life.whose].append(Maker(life, rules))
    return made
