"""The index of players: who stands where on each board.

    standing4 = [board, -score, reached_at, player id]
                [board, "hidden", player id]    of those who are hidden

An index function sees one document only, and no document says which order its board has. So there
is one index for both orders. It is that of boards whose highest score is the best, with those of
one score in the order in which they stand. A board whose lowest score is the best reads the scores
from the other end, and those of one score still from the front: see `pages`.

Versions before had ``standing``, in which documents with other ids were ranked too, ``standing2``,
without ``reached_at``, and ``standing3``, in which nobody is hidden; they go on using theirs.
"""

from __future__ import annotations

from typing import Any

from tornado_board.models import ORDERING
from tornado_board.store.rethinkdb.address import r
from tornado_board.store.rethinkdb.documents import (
    KEY_LENGTH,
    PLAYERS,
    is_hidden_term,
    is_listed_term,
    or_zero,
)

STANDING = "standing4"
EARLIER_STANDINGS = ("standing", "standing2", "standing3")

#: The index of boards: when their season ends, of those that have one that does by the calendar.
ENDING = "ending_season"

#: Stands for the score's part where the document is no player. Strings come after all numbers.
UNRANKED = ""

#: The same of those who are hidden.
HIDDEN = "hidden"


def standing_key(document: Any) -> Any:
    """The key of the index `STANDING`, as a ReQL function of a document of `PLAYERS`.

    Documents that are no players are in it too, at the end of their board, so that all that are to
    go with the board can be found without another index. It has to agree with `player_of`.

    RethinkDB reads its definition anew for each document that is written, and carries it out twice:
    each term costs, whether it is reached or not, and what `or_zero` spares costs most.
    """
    board, key = document["board"], document["id"]

    def key_of(parts: Any, score: Any, reached_at: Any) -> Any:
        prefix, player_id = parts.nth(0), parts.nth(-1)
        types = key.type_of().add(score.type_of(), reached_at.type_of())
        is_qualified = r.or_(
            parts.count().eq(1),
            prefix.eq(board),
            # Of a board's id only the beginning is in it where both are too long. Split by what it
            # begins with, the board's id gives nothing first.
            r.and_(
                key.coerce_to("binary").count().eq(KEY_LENGTH),
                board.split(prefix, 1).nth(0).eq(""),
            ),
        )
        is_ranked = r.and_(types.eq("STRINGNUMBERNUMBER"), is_listed_term(player_id), is_qualified)
        merit, *ties = ORDERING.parts(score, reached_at, player_id)
        return r.branch(
            is_hidden_term(document),
            [board, HIDDEN, player_id],
            [board, r.branch(is_ranked, merit, UNRANKED), *ties],
        )

    return r.do(
        key.coerce_to("string").split("/", 1),
        or_zero(document, "score"),
        or_zero(document, "reached_at"),
        key_of,
    )


def ending_key(document: Any) -> Any:
    """The key of the index `ENDING`, as a ReQL function of a document of `BOARDS`; where there is
    none, or null, the document is not in it."""
    return document["season"]["ends"]


def merit_term(score: Any) -> Any:
    """The score's part of the key, of a ReQL term."""
    return ORDERING.merit(score)


def between(lower: list[Any], upper: list[Any], **options: Any) -> Any:
    """The players whose keys lie between these."""
    return r.table(PLAYERS).between(lower, upper, index=STANDING, **options)


def ranked_players(board_id: Any) -> Any:
    """The ranked players of a board; in order with `order_by` on `STANDING`."""
    return between([board_id, r.minval], [board_id, UNRANKED])


def hidden_players(board_id: Any, after: Any) -> Any:
    """The hidden players of a board with ids after `after`; in order with `order_by` on
    `STANDING`. Documents that are no players may be among them."""
    return between([board_id, HIDDEN, after], [board_id, HIDDEN, r.maxval], left_bound="open")


def all_players(board_id: Any) -> Any:
    """All players of a board, ranked or not, and hidden ones."""
    return between([board_id, r.minval], [board_id, r.maxval])


def players_higher(board_id: Any, score: Any) -> Any:
    """The players of a board with a higher score than `score`."""
    return between([board_id, r.minval], [board_id, merit_term(score)])


def players_lower(board_id: Any, score: Any) -> Any:
    """The players of a board with a lower score than `score`."""
    return between([board_id, merit_term(score), r.maxval], [board_id, UNRANKED])
