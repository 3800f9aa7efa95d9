"""Checks of scores: those of players at the end, and those that answers said."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from .record import (
    Outcome,
    Post,
    Record,
    Whose,
)
from .rules import Violation

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
    posts = sorted(life.answered, key=score_in)
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
        gap = score_in(post) - post.amount - before
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
        before, below = score_in(post), post


def score_in(post: Post) -> int:
    assert post.score is not None
    return post.score


def _describe(record: Record, post: Post) -> str:
    began, ended = post.began - record.began, post.ended - record.began
    return (
        f"{began:8.3f} to {ended:8.3f} server {post.server} adds {post.amount} to"
        f" {post.board}/{post.player}: {post.outcome.value}, {post.score}"
    )
