"""The queries, built once: building one anew takes the driver longer than all the rest.

Each is a function of one object of parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from rethinkdb.ast import RqlQuery

from tornado_board.store import StoreUnavailable
from tornado_board.store.rethinkdb.address import r
from tornado_board.store.rethinkdb.documents import (
    BOARD_FIELDS,
    BOARDS,
    PLAYER_FIELDS,
    PLAYERS,
    is_board,
    is_listed_term,
)
from tornado_board.store.rethinkdb.standing import ENDING, hidden_players, ranked_players

#: Stands for the parameters while a query is built; nothing else in a query looks like it.
_PARAMETERS = "\N{OBJECT REPLACEMENT CHARACTER}"

_encode = msgspec.json.Encoder(enc_hook=lambda term: term.build()).encode


class _Built(RqlQuery):  # type: ignore[misc]
    """A term in its JSON form."""

    def __init__(self, text: bytes) -> None:
        super().__init__()
        self._text = text

    def build(self) -> msgspec.Raw:
        return msgspec.Raw(self._text)

    def compose(self, args: Any, optargs: Any) -> list[str]:
        """How the driver shows it in an error."""
        return ["(a query)"]


def prepared(function: Callable[[Any], Any]) -> Callable[..., Any]:
    """Build `function`, which takes the ReQL term of the parameters, into a query that takes them
    by keyword: whatever JSON has.

    They go as JSON within a string. So nothing in them can be taken for a term, and the server
    makes no term of each value.
    """
    text = _encode(r.json(_PARAMETERS).do(function))
    before, parameters, after = text.partition(_encode(_PARAMETERS))
    assert parameters

    def build(**values: Any) -> _Built:
        return _Built(before + _encode(_encode(values).decode()) + after)

    return build


def _committed_reads() -> list[Any]:
    """A read of each table that no replica answers alone.

    A primary that a partition cut off answers other reads for some ten seconds, from what it last
    knew, and its changefeeds stay open. This one gets an error or, meanwhile, no answer.
    """
    return [r.table(name, read_mode="majority").get("").eq(None) for name in (BOARDS, PLAYERS)]


#: Fails, or gets no answer, unless both tables have a primary that is in touch with a majority of
#: the replicas. No parameters.
heartbeat = prepared(lambda p: _committed_reads())


def _database_id(p: Any) -> Any:
    return r.branch(p["database"].eq(None), None, r.db(p["database"]).info()["id"])


#: Like `heartbeat`, and fails unless the index can be read. Gives the id of `database`, or of null
#: null.
ping = prepared(
    lambda p: [
        _database_id(p),
        *_committed_reads(),
        ranked_players("").is_empty(),
    ]
)

#: Like `heartbeat`. Gives what a feed must be opened anew for when it changes: the ids of
#: `database` (of null null) and of its tables, and which servers are their primaries.
layout = prepared(
    lambda p: r.expr(_committed_reads()).do(
        lambda reads: [
            _database_id(p),
            [
                r.table(name).status().pluck("id", {"shards": "primary_replicas"})
                for name in (BOARDS, PLAYERS)
            ],
        ]
    )
)

#: The id of `database`.
database_id = prepared(_database_id)

#: At most `limit` boards after the id `after`.
list_boards = prepared(
    lambda p: (
        r.table(BOARDS)
        .between(p["after"], r.maxval, left_bound="open")
        .order_by(index="id")
        .filter(lambda board: r.and_(is_listed_term(board["id"]), is_board(board)))
        .limit(p["limit"])
        .pluck(*BOARD_FIELDS)
        .coerce_to("array")
    )
)

#: At most `limit` boards whose season ends by the calendar, those that end first, first.
ending_seasons = prepared(
    lambda p: (
        r.table(BOARDS)
        .between(0, r.maxval, index=ENDING)
        .order_by(index=ENDING)
        .limit(p["limit"])
        .pluck(*BOARD_FIELDS)
        .coerce_to("array")
    )
)

#: Insert `document`. Where there is one of its key the change in the result holds that.
create_board = prepared(lambda p: r.table(BOARDS).insert(p["document"], return_changes="always"))

#: The document of `board`, or null.
get_board = prepared(lambda p: r.table(BOARDS).get(p["board"]))

#: Put `new` in the place of the board's document `old`, if that is still there as it was; what is
#: ``replaced`` in the result tells whether it was.
swap_board = prepared(
    lambda p: (
        r.table(BOARDS)
        .get(p["old"]["id"])
        .replace(lambda document: r.branch(document.eq(p["old"]), p["new"], document))
    )
)

#: Whether `board` has no players, hidden ones neither.
has_no_players = prepared(
    lambda p: r.and_(
        ranked_players(p["board"]).is_empty(), hidden_players(p["board"], "").is_empty()
    )
)

#: The documents with the primary keys `keys`.
get_documents = prepared(
    lambda p: r.table(PLAYERS).get_all(r.args(p["keys"])).pluck(*PLAYER_FIELDS).coerce_to("array")
)


#: The same, with all that is in them.
get_whole = prepared(lambda p: r.table(PLAYERS).get_all(r.args(p["keys"])).coerce_to("array"))

#: Delete `document` from the players, unless another has its key by now.
delete_document = prepared(
    lambda p: (
        r.table(PLAYERS)
        .get(p["document"]["id"])
        .replace(lambda document: r.branch(document.eq(p["document"]), None, document))
    )
)


def raise_first_error(result: Any) -> None:
    """Raise what a write says of its first document that failed, if any did."""
    if result["errors"]:
        raise StoreUnavailable(f"RethinkDB did not write: {result['first_error']}")
