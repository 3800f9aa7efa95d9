"""Judges the record of a run. Pure functions: a `Record` goes in, what is wrong comes out.

Each check raises no false alarm: what it names cannot have come about by rules that hold. What it
can't prove with the additions of unknown outcome it lets pass, but with amounts of 1 the checks
of the answers are exact.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from .event_checks import counters, growing, one_event_an_id, scores_made
from .record import (
    Malformed,
    Record,
    excerpt,
)
from .rules import ALL_RULES, Rules, Violation
from .score_checks import answers, final_scores

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


def judge(record: Record, rules: Rules = ALL_RULES) -> list[Violation]:
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
