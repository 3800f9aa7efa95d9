"""What the documents of the tables ``boards`` and ``players`` mean.

An earlier user of the API made ``{id}`` and ``{id, board, name, score}`` with generated ids, and
anybody may write to the tables. So a document can be anything, and nothing in here raises:

* A board without a name goes by its id.
* A player without a score has 0; one whose score is not a number, or whose board is not a string,
  is no player: it is neither ranked nor found.
* A player's id is unique on its board only. A document's primary key is the player's id where
  that was free when the player was made, otherwise ``board/player`` (`qualified`); ids have no
  slash.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tornado_board.models import SCORE_LIMIT, Board, Number, Player
from tornado_board.store.rethinkdb.address import r

Document = Mapping[str, Any]

#: The tables.
BOARDS, PLAYERS = "boards", "players"

#: The index of players: ``[board, -score, player id]``.
STANDING = "standing"

#: The longest primary key, in characters of ASCII.
_KEY_LENGTH = 127

#: Stands for ``-score`` where the score is not a number. Strings come after all numbers.
_UNRANKED = ""


def standing_key(document: Any) -> Any:
    """The key of the index `STANDING`, as a ReQL function of a document of `PLAYERS`.

    Players that are not ranked are in it too, so that a board's players can be found without
    another index. It has to agree with `public_id` and `player_of`.
    """
    board, key = document["board"], document["id"].coerce_to("string")
    score = document["score"].default(0)
    return [
        board,
        # Not a product with -1: that makes -0, which is another key than 0.
        r.branch(score.type_of().eq("NUMBER"), r.expr(0).sub(score), _UNRANKED),
        key.split("/", 1).do(
            lambda parts: r.branch(
                # Split by what it begins with, the board's id gives nothing first.
                r.and_(parts.count().eq(2), board.split(parts.nth(0), 1).nth(0).eq("")),
                parts.nth(1),
                key,
            )
        ),
    ]


def ranked_players(board_id: Any) -> Any:
    """The ranked players of a board; in order with `order_by` on `STANDING`."""
    return r.table(PLAYERS).between([board_id, r.minval], [board_id, _UNRANKED], index=STANDING)


def all_players(board_id: Any) -> Any:
    """All players of a board, ranked or not."""
    return r.table(PLAYERS).between([board_id, r.minval], [board_id, r.maxval], index=STANDING)


def players_above(board_id: Any, score: Any) -> Any:
    """The players of a board with more than `score`."""
    return r.table(PLAYERS).between(
        [board_id, r.minval], [board_id, r.expr(0).sub(score)], index=STANDING
    )


def is_on_board(board_id: Any, document: Any) -> Any:
    """Whether `document`, a ReQL term that may be null, is of this board."""
    return document["board"].default(None).eq(board_id)


def is_player_of(board_id: Any, document: Any) -> Any:
    """Whether `document`, a ReQL term that may be null, is a ranked player of this board."""
    score = document["score"].default(0)
    return r.and_(is_on_board(board_id, document), score.type_of().eq("NUMBER"))


def qualified(board_id: str, player_id: str) -> str:
    """The primary key of a player whose plain id is taken by a player of another board.

    Of a board's id only the beginning is in it where both are too long for a primary key.
    """
    return f"{board_id[: _KEY_LENGTH - 1 - len(player_id)]}/{player_id}"


def public_id(document: Document) -> str:
    """The player's id on its board: a qualified key's part after the slash, or else the key."""
    key = _text(document.get("id"))
    prefix, slash, rest = key.partition("/")
    return rest if slash and prefix and str(document.get("board")).startswith(prefix) else key


def board_of(document: Document | None) -> Board | None:
    """The board that `document` holds, if any."""
    if document is None or not isinstance(document.get("id"), str):
        return None
    key: str = document["id"]
    return Board(key, _text(document.get("name"), key))


def player_of(document: Document | None) -> tuple[str, Player] | None:
    """The id of the board and the player that `document` holds, if any."""
    if document is None or not isinstance(document.get("board"), str):
        return None
    score = score_in(document)
    if score is None:
        return None
    key = public_id(document)
    return document["board"], Player(key, _text(document.get("name"), key), score)


def score_in(document: Document) -> Number | None:
    """The score in `document` as `models.score_of` has it; ``None`` if it is not a number.

    Others may have stored numbers beyond the limit of a score; those are kept as floats.
    """
    score = document.get("score")
    if score is None:
        return 0
    if isinstance(score, bool) or not isinstance(score, int | float):
        return None
    if not -SCORE_LIMIT <= score <= SCORE_LIMIT:
        return float(score)
    return int(score) if isinstance(score, float) and score.is_integer() else score


def _text(value: Any, default: str = "") -> str:
    """`value` as text: strings as they are, nothing as `default`, anything else as JSON."""
    if isinstance(value, str):
        return value
    return default if value is None else json.dumps(value, separators=(",", ":"))
