"""The index of players: who stands where on each board.

    standing3 = [board, -score, reached_at, player id]

An index function sees one document only, and no document says which order its board has. So there
is one index for both orders. It is that of boards whose highest score is the best, with those of
one score in the order in which they stand. A board whose lowest score is the best reads the scores
from the other end, and those of one score still from the front: see `pages`.

Versions before had ``standing``, in which documents with other ids were ranked too, and
``standing2``, without ``reached_at``; they go on using theirs.
"""

from __future__ import annotations

from typing import Any

from tornado_board.models import ORDERING
from tornado_board.store.rethinkdb.address import r
from tornado_board.store.rethinkdb.documents import KEY_LENGTH, PLAYERS, is_listed_term

STANDING = "standing3"
EARLIER_STANDINGS = ("standing", "standing2")

#: Stands for the score's part where the document is no player. Strings come after all numbers.
UNRANKED = ""


def standing_key(document: Any) -> Any:
    """The key of the index `STANDING`, as a ReQL function of a document of `PLAYERS`.

    Documents that are no players are in it too, at the end of their board, so that all that are to
    go with the board can be found without another index. It has to agree with `player_of`.
    """
    board, score = document["board"], document["score"].default(0)
    reached_at = document["reached_at"].default(0)

    def key_of(player_id: Any) -> Any:
        ranked = r.and_(player_id.ne(""), score.type_of().eq("NUMBER"))
        reached = r.branch(reached_at.type_of().eq("NUMBER"), reached_at, 0)
        merit, *ties = ORDERING.parts(score, reached, player_id)
        return [board, r.branch(ranked, merit, UNRANKED), *ties]

    return _public_id_term(board, document["id"]).do(key_of)


def _public_id_term(board: Any, key: Any) -> Any:
    """`public_id` in ReQL; an empty string for none."""

    def qualified_part(parts: Any) -> Any:
        prefix, player_id = parts.nth(0), parts.nth(1)
        is_whole = prefix.eq(board)
        is_beginning = r.and_(
            key.match(f"^.{{{KEY_LENGTH}}}$").ne(None),
            prefix.ne(""),
            # Split by what it begins with, the board's id gives nothing first.
            board.split(prefix, 1).nth(0).eq(""),
        )
        is_qualified = r.and_(
            parts.count().eq(2), is_listed_term(player_id), r.or_(is_whole, is_beginning)
        )
        return r.branch(is_qualified, player_id, "")

    return r.branch(
        r.or_(key.type_of().ne("STRING"), board.type_of().ne("STRING")),
        "",
        is_listed_term(key),
        key,
        key.split("/", 1).do(qualified_part),
    )


def merit_term(score: Any) -> Any:
    """The score's part of the key, of a ReQL term."""
    return ORDERING.merit(score)


def between(lower: list[Any], upper: list[Any], **options: Any) -> Any:
    """The players whose keys lie between these."""
    return r.table(PLAYERS).between(lower, upper, index=STANDING, **options)


def ranked_players(board_id: Any) -> Any:
    """The ranked players of a board; in order with `order_by` on `STANDING`."""
    return between([board_id, r.minval], [board_id, UNRANKED])


def all_players(board_id: Any) -> Any:
    """All players of a board, ranked or not."""
    return between([board_id, r.minval], [board_id, r.maxval])


def players_higher(board_id: Any, score: Any) -> Any:
    """The players of a board with a higher score than `score`."""
    return between([board_id, r.minval], [board_id, merit_term(score)])


def players_lower(board_id: Any, score: Any) -> Any:
    """The players of a board with a lower score than `score`."""
    return between([board_id, merit_term(score), r.maxval], [board_id, UNRANKED])
