"""What a check says of a broken rule, and what a scenario can't ask for."""

from __future__ import annotations

from dataclasses import dataclass, field


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


ALL_RULES = Rules()

#: Seconds by which the feeds of two servers lie apart at the most; see docs/promises.md.
FEEDS_APART = 0.5
