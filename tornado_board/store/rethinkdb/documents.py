"""What the documents of the tables ``boards`` and ``players`` mean.

An earlier user of the API made ``{id}`` and ``{id, board, name, score}`` with generated ids, and
anybody may write to the tables. So a document can be anything, and nothing in here raises:

* What the API's paths can't name, a board or a player whose id is not `is_listed`, is none.
* A board without a name goes by its id. One that is being deleted is none.
* A player without a score has 0; one whose score is not a number, or whose board is not a board's
  id, is no player: it is neither ranked nor found.
* A player's id is unique on its board only. A document's primary key is the player's id where
  that was free when the player was made, otherwise ``board/player`` (`qualified`); ids have no
  slash.
* Where others have written both of them, the player is the document with the plain key as long
  as that is a player of the board, and the other one is none: `counting` and, of documents that
  were read already, `counting_among`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

from msgspec.structs import asdict

from tornado_board.inputs import NewBoard
from tornado_board.models import ORDERING, SCORE_LIMIT, Board, Number, Player, is_id
from tornado_board.store.rethinkdb.address import r

Document = Mapping[str, Any]

#: The tables.
BOARDS, PLAYERS = "boards", "players"

#: The fields that documents of boards and of players have.
BOARD_FIELDS = Board.__struct_fields__
PLAYER_FIELDS = ("board", *Player.__struct_fields__)

#: The index of players: the board, and then `Ordering.parts`, ``[board, -score, player id]``.
#: Versions before had one of the name ``standing``, in which documents with other ids were ranked
#: too; they go on using theirs.
STANDING = "standing2"
EARLIER_STANDING = "standing"

#: The field of a board that is being deleted: a list of those who delete its players, as
#: ``{by, at}``, `at` in seconds since 1970. See `deletion`.
DELETED_BY = "being_deleted_by"

#: The longest primary key, in characters of ASCII.
_KEY_LENGTH = 127

#: Stands for the score's part where the document is no player. Strings come after all numbers.
_UNRANKED = ""


def is_listed(key: Any) -> TypeGuard[str]:
    """Whether `key` is an id that the API's paths can name."""
    return isinstance(key, str) and is_id(key) and key not in (".", "..")


def is_listed_term(key: Any) -> Any:
    """`is_listed` in ReQL, of a string."""
    pattern = "^[A-Za-z0-9._~-]{1,64}$"  # RE2's $ is the end of the text
    return r.and_(key.match(pattern).ne(None), key.ne("."), key.ne(".."))


def standing_key(document: Any) -> Any:
    """The key of the index `STANDING`, as a ReQL function of a document of `PLAYERS`.

    Documents that are no players are in it too, at the end of their board, so that all that are to
    go with the board can be found without another index. It has to agree with `player_of`.
    """
    board, score = document["board"], document["score"].default(0)

    def key_of(player_id: Any) -> Any:
        ranked = r.and_(player_id.ne(""), score.type_of().eq("NUMBER"))
        merit, *ties = ORDERING.parts(score, player_id)
        return [board, r.branch(ranked, merit, _UNRANKED), *ties]

    return _public_id_term(board, document["id"]).do(key_of)


def _public_id_term(board: Any, key: Any) -> Any:
    """`public_id` in ReQL; an empty string for none."""

    def qualified_part(parts: Any) -> Any:
        prefix, player_id = parts.nth(0), parts.nth(1)
        is_whole = prefix.eq(board)
        is_beginning = r.and_(
            key.match(f"^.{{{_KEY_LENGTH}}}$").ne(None),
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


def ranked_players(board_id: Any) -> Any:
    """The ranked players of a board; in order with `order_by` on `STANDING`."""
    return r.table(PLAYERS).between([board_id, r.minval], [board_id, _UNRANKED], index=STANDING)


def all_players(board_id: Any) -> Any:
    """All players of a board, ranked or not."""
    return r.table(PLAYERS).between([board_id, r.minval], [board_id, r.maxval], index=STANDING)


def players_above(board_id: Any, score: Any) -> Any:
    """The players of a board with a better score than `score`."""
    return r.table(PLAYERS).between(
        [board_id, r.minval], [board_id, ORDERING.merit(score)], index=STANDING
    )


def is_on_board(board_id: Any, document: Any) -> Any:
    """Whether `document`, a ReQL term that may be null, is of this board."""
    return document["board"].default(None).eq(board_id)


def is_player_of(board_id: Any, document: Any) -> Any:
    """Whether `document`, a ReQL term that may be null, is a ranked player of this board."""
    score = document["score"].default(0)
    return r.and_(is_on_board(board_id, document), score.type_of().eq("NUMBER"))


def is_board(document: Any) -> Any:
    """Whether `document`, a ReQL term that may be null, is a board that is not being deleted."""
    return r.and_(document.ne(None), r.not_(is_being_deleted(document)))


def is_being_deleted(document: Any) -> Any:
    """Whether `document`, a ReQL term that may be null, is a board that is being deleted."""
    return document[DELETED_BY].default(None).type_of().eq("ARRAY")


def counting(board_id: Any, plain: Any, other: Any) -> Any:
    """The document that is the player, or null, as a ReQL term; `plain` and `other` are its
    possible primary keys."""
    return _first_of(is_player_of, board_id, plain, other)


def removable(board_id: Any, plain: Any, other: Any) -> Any:
    """The document that is the player; or else one of its board, with whatever score; or null."""
    return counting(board_id, plain, other).do(
        lambda found: r.branch(
            found.ne(None), found, _first_of(is_on_board, board_id, plain, other)
        )
    )


def _first_of(holds: Any, board_id: Any, plain: Any, other: Any) -> Any:
    players = r.table(PLAYERS)
    return players.get(plain).do(
        lambda first: r.branch(
            holds(board_id, first),
            first,
            players.get(other).do(lambda second: r.branch(holds(board_id, second), second, None)),
        )
    )


def counting_among(board_id: str, player_id: str, documents: Iterable[Document]) -> Document | None:
    """`counting` of `documents`, which hold all that may be the player."""
    found = None
    for document in documents:
        held = player_of(document)
        if held is not None and held[0] == board_id and held[1].id == player_id:
            if document["id"] == player_id:
                return document
            found = document
    return found


def qualified(board_id: str, player_id: str) -> str:
    """The primary key of a player whose plain id is taken by a player of another board.

    Of a board's id only the beginning is in it where both are too long for a primary key.
    """
    return f"{board_id[: _KEY_LENGTH - 1 - len(player_id)]}/{player_id}"


def public_id(document: Document) -> str | None:
    """The player's id on its board: the primary key, or what follows the slash of one that is
    `qualified`; ``None`` if it is no id."""
    key, board = document.get("id"), document.get("board")
    if is_listed(key):
        return key
    if not isinstance(key, str) or not is_listed(board):
        return None
    player_id = key.partition("/")[2]
    return player_id if is_listed(player_id) and key == qualified(board, player_id) else None


def new_board(board: Board, new: NewBoard) -> Document:
    """The document of `board`, which is to be made for `new`. One without a name goes by its id."""
    document = asdict(board)
    if new.name is None:
        del document["name"]
    return document


def document_of(board_id: str, player: Player, key: str) -> Document:
    """The document of `player` with the primary key `key`."""
    return {**asdict(player), "id": key, "board": board_id}


def board_of(document: Document | None) -> Board | None:
    """The board that `document` holds, if any."""
    if document is None or not is_listed(document.get("id")):
        return None
    if isinstance(document.get(DELETED_BY), list):
        return None
    key: str = document["id"]
    return Board(key, _text(document.get("name"), key))


def player_of(document: Document | None) -> tuple[str, Player] | None:
    """The id of the board and the player that `document` holds, if any."""
    if document is None or not is_listed(document.get("board")):
        return None
    score, key = score_in(document), public_id(document)
    if score is None or key is None:
        return None
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
