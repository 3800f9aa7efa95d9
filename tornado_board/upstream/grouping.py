"""Which boards are followed over which stream.

A stream is of the boards that its request names. To follow another one, a new stream takes the
place of an old one that has room; the old one goes on until the new one has begun.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Set
from typing import Generic, NamedTuple, TypeVar

S = TypeVar("S")


class Opening(NamedTuple, Generic[S]):
    """A stream that has to be opened: its boards, and the streams whose place it takes."""

    boards: tuple[str, ...]
    replaces: tuple[S, ...]


class Plan(NamedTuple, Generic[S]):
    """What has to be done. Streams that nobody replaces end at once."""

    openings: list[Opening[S]]
    ends: list[S]


def plan(
    streams: Mapping[S, Collection[str]], wanted: Set[str], most: int, *, tidy: bool
) -> Plan[S]:
    """How the boards `wanted` come to be followed over streams of `most` boards at the most, as few
    as can be. `streams` are those that there are, each with its boards.

    Boards that nobody wants any more are followed for a while rather than that a stream is opened
    for each that goes; `tidy` says that it is time.
    """
    followed: set[str] = set()
    ends: list[S] = []
    kept: dict[S, list[str]] = {}
    loose: set[str] = set()
    replaced: list[S] = []
    for stream, boards in streams.items():
        still = [board for board in boards if board in wanted and board not in followed]
        followed.update(still)
        if not still:
            ends.append(stream)
        elif tidy and len(still) < len(boards):
            loose.update(still)
            replaced.append(stream)
        else:
            kept[stream] = still
    loose |= wanted - followed
    by_size = sorted(kept, key=lambda stream: (len(kept[stream]), kept[stream]))
    if not loose and tidy and len(by_size) > 1:
        # Two that have room for each other become one.
        first, second = by_size[:2]
        if len(kept[first]) + len(kept[second]) <= most:
            loose.update(kept[first])
            replaced.append(first)
            by_size = by_size[1:]
    if loose:
        for stream in by_size:
            # What is left over after full streams is what the last one has room beside.
            if len(loose) % most + len(kept[stream]) > most or len(loose) % most == 0:
                break
            loose.update(kept[stream])
            replaced.append(stream)
    ordered = sorted(loose)
    openings: list[Opening[S]] = [
        Opening(tuple(ordered[start : start + most]), ()) for start in range(0, len(ordered), most)
    ]
    if openings:
        # All of the old ones' boards may be on any of the new ones.
        openings[-1] = openings[-1]._replace(replaces=tuple(replaced))
    return Plan(openings, ends)
