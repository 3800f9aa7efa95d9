"""What the documents of the tables ``boards`` and ``players`` mean.

An earlier user of the API made ``{id}`` and ``{id, board, name, score}`` with generated ids, and
anybody may write to the tables. So a document can be anything, and nothing in here raises:

* What the API's paths can't name, a board or a player whose id is not `is_listed`, is none.
* A board without a name goes by its id. One that is being deleted is none.
* A player without a score has 0, and so has one without ``reached_at``; one in whom either is not a
  number, or whose board is not a board's id, is no player: it is neither ranked nor found.
* Hidden is one whose ``hidden`` is true.
* ``board`` of a player is a partition (`seasons.partition_of`): the board's id for its first
  season, and ``2:cup`` for the second of ``cup``. Whatever is said here of the board of a player is
  said of that. What of a board's ``season`` is none that there can be is none.
* A player's id is unique in its partition only. A document's primary key is the player's id where
  that was free when the player was made, otherwise ``partition/player`` (`qualified`); ids have no
  slash.
* Where others have written both of them, the player is the document with the plain key as long
  as that is a player of the board, and the other one is none: `counting` and, of documents that
  were read already, `counting_among`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from sys import float_info
from typing import Any, TypeGuard

import msgspec
from msgspec.structs import asdict

from tornado_board.inputs import NewBoard
from tornado_board.models import SCORE_LIMIT, Board, Meta, Number, Player, is_id
from tornado_board.seasons import MOST_NUMBER, PastSeason, divided, past_seasons
from tornado_board.store import Invalid, no_season
from tornado_board.store.rethinkdb.address import r

Document = Mapping[str, Any]

#: The tables.
BOARDS, PLAYERS = "boards", "players"

#: The fields that documents of boards and of players have.
BOARD_FIELDS = Board.__struct_fields__
PLAYER_FIELDS = ("board", *[name for name in Player.__struct_fields__ if name != "season"])

#: The fields of a board with its seasons that are over and kept, and with the numbers of those that
#: are not kept, and are being deleted. See `ending`, `dropping`.
PAST, DROPPED = "past_seasons", "dropped_seasons"

#: The field of a board that is being deleted: a list of those who delete its players, as
#: ``{by, at}``, `at` in seconds since 1970. See `deletion`.
DELETED_BY = "being_deleted_by"

#: The field of a board that is being deleted with the numbers of its seasons.
NUMBERS = "seasons_to_delete"

#: The field of a board that is about to change its order: whose process does that. See `boards`.
REORDERED_BY = "being_reordered_by"

#: The field of boards and players with the idempotency keys of their newest writes. See `once`.
ONCE = "idempotency"

#: What of a board the writes of its players depend on.
RULES = (
    *("order", "ties", "operator", "min", "max", REORDERED_BY),
    {"season": ["number", "started", "ends"]},
)

#: The longest primary key, in characters of ASCII.
KEY_LENGTH = 127

#: How deep a ``meta`` may be nested, so that nobody stores what a reader can't decode.
META_DEPTH = 64

#: RethinkDB's name for the type of a value that JSON does not have, like a time.
_TYPE_NAME = "$reql_type$"


def is_listed(key: Any) -> TypeGuard[str]:
    """Whether `key` is an id that the API's paths can name."""
    return isinstance(key, str) and is_id(key)


def is_partition(key: Any) -> TypeGuard[str]:
    """Whether `key` is where players of a board that the API's paths can name are."""
    return isinstance(key, str) and is_id(divided(key)[0])


def is_listed_term(key: Any) -> Any:
    """`is_listed` in ReQL, of a string."""
    # To find what must not be there is much cheaper than to match all of it, and so is to count.
    # RE2's $ is the end of the text.
    return r.and_(
        key.match("[^-.0-9A-Z_a-z~]|^[.]{0,2}$").eq(None),
        key.coerce_to("binary").count().le(64),
    )


def is_on_board(board_id: Any, document: Any) -> Any:
    """Whether `document`, a ReQL term that may be null, is of this board."""
    return document["board"].default(None).eq(board_id)


def is_player_of(board_id: Any, document: Any) -> Any:
    """Whether `document`, a ReQL term that may be null, is a ranked player of this board."""
    types = or_zero(document, "score").type_of().add(or_zero(document, "reached_at").type_of())
    return r.and_(is_on_board(board_id, document), types.eq("NUMBERNUMBER"))


def or_zero(document: Any, field: str) -> Any:
    """The `field` of a `document`, 0 where it is missing or null, in ReQL. ``default`` would throw
    and catch an exception in the server, which takes it longer than some ten terms."""
    return r.branch(document.has_fields(field), document[field], 0)


def is_hidden_term(document: Any) -> Any:
    """Whether `document`, a ReQL term, is hidden. In as few terms as can be, for `standing`."""
    return document.pluck("hidden").eq({"hidden": True})


def is_board(document: Any) -> Any:
    """Whether `document`, a ReQL term that may be null, is a board that is not being deleted."""
    return r.and_(document.ne(None), r.not_(is_being_deleted(document)))


def is_being_deleted(document: Any) -> Any:
    """Whether `document`, a ReQL term that may be null, is a board that is being deleted."""
    return document[DELETED_BY].default(None).type_of().eq("ARRAY")


def counting(board_id: Any, plain: Any, other: Any) -> Any:
    """The document that is the player, or null, as a ReQL term; `plain` and `other` are its
    possible primary keys."""
    players = r.table(PLAYERS)
    return players.get(plain).do(
        lambda first: r.branch(
            is_player_of(board_id, first),
            first,
            players.get(other).do(
                lambda second: r.branch(is_player_of(board_id, second), second, None)
            ),
        )
    )


def removable(board_id: Any, plain: Any, other: Any) -> Any:
    """The document that is the player; or else one of its board, with whatever score; or null."""
    players = r.table(PLAYERS)
    return r.do(
        players.get(plain),
        players.get(other),
        lambda first, second: r.branch(
            is_player_of(board_id, first),
            first,
            is_player_of(board_id, second),
            second,
            is_on_board(board_id, first),
            first,
            is_on_board(board_id, second),
            second,
            None,
        ),
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
    return f"{board_id[: KEY_LENGTH - 1 - len(player_id)]}/{player_id}"


def public_id(document: Document) -> str | None:
    """The player's id on its board: the primary key, or what follows the slash of one that is
    `qualified`; ``None`` if it is no id."""
    key, board = document.get("id"), document.get("board")
    if is_listed(key):
        return key
    if not isinstance(key, str) or not is_partition(board):
        return None
    player_id = key.partition("/")[2]
    return player_id if is_listed(player_id) and key == qualified(board, player_id) else None


def new_board(board: Board, new: NewBoard) -> Document:
    """The document of `board`, which is to be made for `new`: what is not the default. One without
    a name goes by its id."""
    document = {"id": board.id, **settings_of(board)}
    if new.name is not None:
        document["name"] = board.name
    return document


def settings_of(board: Board) -> dict[str, Any]:
    """Those of the board's settings that are not the defaults, as a document has them."""
    stored, defaults = stored_board(board), stored_board(Board(board.id, board.name))
    return {name: value for name, value in stored.items() if value != defaults[name]}


def stored_board(board: Board) -> dict[str, Any]:
    """The fields of a board's document."""
    season = None if board.season is None else board.season.stored()
    return {**asdict(board), "show": list(board.show), "season": season}


def document_of(partition: str, player: Player, key: str) -> Document:
    """The document of `player` with the primary key `key`; without what is empty."""
    fields = {name: value for name, value in asdict(player).items() if value not in (0, {})}
    del fields["season"]  # the partition says it
    return {"score": 0, **fields, "id": key, "board": partition}


def board_of(document: Document | None) -> Board | None:
    """The board that `document` holds, if any."""
    if document is None or not is_listed(document.get("id")):
        return None
    if isinstance(document.get(DELETED_BY), list):
        return None
    key: str = document["id"]
    return Board.of(key, _text(document.get("name"), key), document)


def past_of(document: Document) -> list[PastSeason]:
    """The seasons of the board in `document` that are over and kept, by their numbers."""
    return past_seasons(document.get(PAST))


def numbers_in(document: Document, field: str) -> list[int]:
    """The numbers of seasons in a list that is a `field` of `document`."""
    stored = document.get(field)
    found = stored if isinstance(stored, list) else []
    return [one for one in found if type(one) is int and 1 <= one <= MOST_NUMBER]


def board_of_season(document: Document, board: Board, number: int | None) -> Board:
    """The `board` in `document` as of the season with this number; ``None``: of the present one.
    Raises `NotFound` or `SeasonGone`."""
    if number is None or number == board.number:
        return board
    for past in past_of(document) if number < board.number else ():
        if past.number == number:
            return board.of_season(past)
    raise no_season(board, number)


def player_of(document: Document | None) -> tuple[str, Player] | None:
    """The partition and the player that `document` holds, if any."""
    if document is None or not is_partition(document.get("board")):
        return None
    score, key = score_in(document), public_id(document)
    if score is None or key is None:
        return None
    name, stored = _text(document.get("name"), key), document.get("reached_at")
    reached_at = 0 if stored is None else _number(stored)
    if reached_at is None:
        return None
    meta, hidden = meta_of(document.get("meta")), document.get("hidden") is True
    partition = document["board"]
    _, number = divided(partition)
    return partition, Player(key, name, score, reached_at, meta, hidden, number)


def is_same(one: Any, other: Any) -> bool:
    """Whether two boards, players or values of JSON are the same; as JSON, in which 1 and true are
    two things."""
    return bool(one == other) and (one is other or _encode(one) == _encode(other))


_encode = msgspec.json.Encoder(order="sorted").encode


def meta_of(meta: Any) -> Meta:
    """`meta` as a document has it; empty if it is no object."""
    return meta if isinstance(meta, dict) and _TYPE_NAME not in meta else {}


def check_meta(meta: Meta) -> None:
    """Raises `Invalid` if RethinkDB can't keep `meta`, a JSON object, as it is."""
    level: list[Any] = [meta]
    for _ in range(META_DEPTH):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                if _TYPE_NAME in value:
                    raise Invalid(f"meta has a field {_TYPE_NAME!r}, a name that RethinkDB keeps")
                inner.extend(value.values())
            elif isinstance(value, list):
                inner.extend(value)
            elif type(value) is int and abs(value) > _GREATEST:
                raise Invalid("meta has a number that is too great for a double")
        if not inner:
            return
        level = inner
    raise Invalid(f"meta is nested more than {META_DEPTH} levels deep")


#: The greatest double, as an integer.
_GREATEST = int(float_info.max)


def score_in(document: Document) -> Number | None:
    """The score in `document` as `models.score_of` has it; ``None`` if it is not a number.

    Others may have stored numbers beyond the limit of a score; those are kept as floats.
    """
    score = document.get("score")
    return 0 if score is None else _number(score)


def _number(value: Any) -> Any:
    """`value` as `score_in` has it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not -SCORE_LIMIT <= value <= SCORE_LIMIT:
        return float(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _text(value: Any, default: str = "") -> str:
    """`value` as text: strings as they are, nothing as `default`, anything else as JSON."""
    if isinstance(value, str):
        return value
    return default if value is None else json.dumps(value, separators=(",", ":"))
