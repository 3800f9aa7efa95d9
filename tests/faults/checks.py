"""Judges the record of a run. Pure functions: a `Record` goes in, what is wrong comes out.

Each check raises no false alarm: what it names cannot have come about by rules that hold. What it
can't prove with the additions of unknown outcome it lets pass, but with amounts of 1 the checks
of the answers are exact.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tornado_board.replay import EventId

from .record import (
    ClientLog,
    Malformed,
    Opened,
    Outcome,
    Post,
    Record,
    Reset,
    Update,
    Whose,
    excerpt,
)


@dataclass(slots=True)
class Violation:
    """A rule that was broken: which, by whom, how; and the part of the record that shows it."""

    check: str
    who: str
    text: str
    at: float = 0.0
    excerpt: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Rules:
    """What a scenario can't ask for, since nothing in this system can give it; see
    docs/promises.md."""

    #: Counters may be given out twice: the log itself forgot some that were seen.
    counters_reused: bool = False
    #: What was shown, and not answered yet, may be lost with the store, which tells of changes
    #: before they are on disk or on other nodes.
    unanswered_lost: bool = False


_ALL_RULES = Rules()

#: Seconds by which the feeds of two servers lie apart at the most; see docs/promises.md.
FEEDS_APART = 0.5


# Additions


@dataclass(slots=True)
class Life:
    """The additions to one player while the store was whole, and the score before them.

    `unknown` are those that may have been carried out or not.
    """

    whose: Whose
    initial: int
    answered: list[Post] = field(default_factory=list)
    unknown: list[Post] = field(default_factory=list)
    last: bool = True


def lives(record: Record) -> Iterator[Life]:
    """Each player's additions; apart for the times before and after the store was restored."""
    by_player: dict[Whose, list[Post]] = {whose: [] for whose in record.initial}
    for post in record.posts:
        if post.outcome is not Outcome.REFUSED:
            by_player.setdefault(post.whose, []).append(post)
    starts: list[tuple[float, float, Mapping[Whose, int]]] = [
        (-math.inf, -math.inf, record.initial)
    ]
    starts += [(r.at, r.settled, r.scores) for r in record.restored]
    for index, (restored, settled, scores) in enumerate(starts):
        last = index + 1 == len(starts)
        until, forgotten = (math.inf, math.inf) if last else starts[index + 1][:2]
        for whose, posts in by_player.items():
            life = Life(whose, scores.get(whose, 0), last=last)
            for post in posts:
                # Around a restore they may have gone to the old store or to the new one.
                if post.began >= forgotten or post.ended < restored:
                    continue
                sure = post.began >= settled and post.ended < until
                if post.outcome is Outcome.ANSWERED and sure:
                    life.answered.append(post)
                else:
                    life.unknown.append(post)
            yield life


def sums(amounts: Iterable[int], limit: int) -> int:
    """The sums up to `limit` that some of `amounts` have, as the bits of a number."""
    reached, mask = 1, (1 << (limit + 1)) - 1
    for amount in amounts:
        reached |= reached << amount & mask
    return reached


def has_sum(amounts: Sequence[int], total: int) -> bool:
    """Whether some of `amounts` add up to `total`."""
    if total < 0:
        return False
    if all(amount == 1 for amount in amounts):
        return total <= len(amounts)
    return total <= sum(amounts) and sums(amounts, total) >> total & 1 == 1


def final_scores(record: Record) -> Iterator[Violation]:
    """The store's score is the answered sum plus that of some of the unknown."""
    if record.final is None:
        return
    for life in lives(record):
        if not life.last:
            continue
        score = record.final.rows.get(life.whose)
        who = "/".join(life.whose)
        if score is None:
            yield Violation("final score", who, "the player is gone")
            continue
        answered = life.initial + sum(post.amount for post in life.answered)
        if not has_sum([post.amount for post in life.unknown], score - answered):
            yield Violation(
                "final score",
                who,
                f"{score} is not {answered} answered and some of {len(life.unknown)} unknown",
            )


def answers(record: Record) -> Iterator[Violation]:
    """The answers of each player's additions are those of some order in which they were carried
    out one by one, each between its request and its answer."""
    for life in lives(record):
        yield from _answers(record, life)


def _answers(record: Record, life: Life) -> Iterator[Violation]:
    posts = sorted(life.answered, key=_score)
    unknown = sorted(life.unknown, key=lambda post: post.began)
    who = "/".join(life.whose)

    def wrong(post: Post, text: str, *others: Post) -> Violation:
        lines = [_describe(record, p) for p in (*others, post)]
        return Violation("answer", who, text, post.ended, lines)

    # Whatever comes after a value was carried out before the earliest answer that is above it.
    deadlines = [math.inf] * (len(posts) + 1)
    for index in range(len(posts) - 1, -1, -1):
        deadlines[index] = min(deadlines[index + 1], posts[index].ended)
    before, below = life.initial, None
    used = 0
    for index, post in enumerate(posts):
        others = () if below is None else (below,)
        gap = _score(post) - post.amount - before
        if gap < 0:
            yield wrong(post, f"{post.score} after adding {post.amount} to {before}", *others)
        elif gap:
            # The unknown ones that can have come in between.
            possible = [p for p in unknown if p.began <= deadlines[index]]
            used = used + gap if all(p.amount == 1 for p in unknown) else used
            if not has_sum([p.amount for p in possible], gap) or used > len(possible):
                yield wrong(
                    post,
                    f"nobody can have added the {gap} between {before} and {post.score}",
                    *others,
                )
        if deadlines[index + 1] < post.began:
            later = min(posts[index + 1 :], key=lambda p: p.ended)
            yield wrong(post, f"{post.score} after {later.score} was answered", later)
        before, below = _score(post), post


def _score(post: Post) -> int:
    assert post.score is not None
    return post.score


def _describe(record: Record, post: Post) -> str:
    began, ended = post.began - record.began, post.ended - record.began
    return (
        f"{began:8.3f} to {ended:8.3f} server {post.server} adds {post.amount} to"
        f" {post.board}/{post.player}: {post.outcome.value}, {post.score}"
    )


# Events


def counters(record: Record, rules: Rules = _ALL_RULES) -> Iterator[Violation]:
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


def growing(record: Record, rules: Rules = _ALL_RULES) -> Iterator[Violation]:
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


def scores_made(record: Record, rules: Rules = _ALL_RULES) -> Iterator[Violation]:
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
        self._answered = {_score(post): post.began for post in life.answered}
        self._bases = {life.initial, *(_score(post) - post.amount for post in life.answered)}
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


# What everybody shows at the end


def settled(record: Record) -> Iterator[Violation]:
    """After a quiet spell every client and every GET shows what the store has."""
    final = record.final
    if final is None:
        yield Violation("quiet", "", "the run did not come to its end")
        return
    rows: dict[str, dict[str, int]] = defaultdict(dict)
    for (board, player), score in final.rows.items():
        rows[board][player] = score
    for server, boards in final.answers.items():
        for board, scores in boards.items():
            if scores != rows[board]:
                text = f"{board} is {scores}, in the store {rows[board]}"
                yield Violation("quiet", f"GET of server {server}", text)
    for client in record.clients:
        if client.name in final.shown and final.shown[client.name] != rows[client.board]:
            yield Violation(
                "quiet",
                client.name,
                f"{client.board} is {final.shown[client.name]}, in the store {rows[client.board]}",
                excerpt=excerpt(record, client, len(client.entries) - 1, 8),
            )


def well_formed(record: Record) -> Iterator[Violation]:
    """Nobody got what the protocol does not have."""
    for client in record.clients:
        for index, entry in enumerate(client.entries):
            if isinstance(entry, Malformed):
                lines = excerpt(record, client, index)
                yield Violation("well-formed", client.name, entry.what, entry.at, lines)


#: What a server prints only if something went wrong in it that nobody foresaw.
_TROUBLE = ("Traceback", "was never retrieved", "was never awaited")


def clean_output(record: Record) -> Iterator[Violation]:
    """No server printed a traceback."""
    for name, text in record.output.items():
        lines = text.splitlines()
        for index, line in enumerate(lines):
            if any(word in line for word in _TROUBLE):
                # The line that says what it was is the next one that is not indented.
                end = index + 1
                while end < len(lines) and lines[end].startswith(" "):
                    end += 1
                lines = [*lines[max(0, index - 2) : index + 1], *lines[index + 1 : end + 1][-8:]]
                yield Violation("output", name, lines[-1], excerpt=lines)
                break


def found(record: Record) -> Iterator[Violation]:
    """What the scenario itself found wrong."""
    for text in record.found:
        yield Violation("scenario", "", text)


def judge(record: Record, rules: Rules = _ALL_RULES) -> list[Violation]:
    """Everything that is wrong with a run; within each check in the order of time."""
    everything = [
        *well_formed(record),
        *final_scores(record),
        *answers(record),
        *scores_made(record, rules),
        *one_event_an_id(record),
        *counters(record, rules),
        *growing(record, rules),
        *settled(record),
        *clean_output(record),
        *found(record),
    ]
    order = {v.check: index for index, v in reversed(list(enumerate(everything)))}
    return sorted(everything, key=lambda v: (order[v.check], v.at))
