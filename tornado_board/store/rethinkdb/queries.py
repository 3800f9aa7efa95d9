"""The queries, built once: building one anew takes the driver longer than all the rest.

Each is a function of one object of parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from rethinkdb.ast import RqlQuery
from rethinkdb.ql2_pb2 import Term

from tornado_board.store.rethinkdb.address import r
from tornado_board.store.rethinkdb.documents import (
    BOARD_FIELDS,
    BOARDS,
    PLAYER_FIELDS,
    PLAYERS,
    STANDING,
    counting,
    is_board,
    is_listed_term,
    is_on_board,
    is_player_of,
    players_above,
    ranked_players,
    removable,
)

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


def _term(value: Any) -> Any:
    """`value` as a term: in those a list is an operation, MAKE_ARRAY among them."""
    return [Term.TermType.MAKE_ARRAY, value] if isinstance(value, list) else value


def prepared(function: Callable[[Any], Any]) -> Callable[..., Any]:
    """Build `function`, which takes the ReQL term of the parameters, into a query that takes them
    by keyword: objects, lists of strings and single values."""
    text = _encode(r.expr(_PARAMETERS).do(function))
    before, parameters, after = text.partition(_encode(_PARAMETERS))
    assert parameters

    def build(**values: Any) -> _Built:
        return _Built(
            before + _encode({name: _term(item) for name, item in values.items()}) + after
        )

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

#: Insert `document`. Where there is one of its key the change in the result holds that.
create_board = prepared(lambda p: r.table(BOARDS).insert(p["document"], return_changes="always"))

#: The document of `board`, or null.
get_board = prepared(lambda p: r.table(BOARDS).get(p["board"]))


def _ranking(p: Any) -> Any:
    players = r.table(PLAYERS)
    page = (
        ranked_players(p["board"])
        .order_by(index=STANDING)
        .limit(p["limit"])
        .pluck(*PLAYER_FIELDS)
        .coerce_to("array")
    )

    def with_shadows(page: Any) -> Any:
        qualified = page.filter(lambda player: player["id"].match("/").ne(None))
        plain = qualified.map(lambda player: player["id"].split("/", 1).nth(1))
        shadows = players.get_all(r.args(plain)).filter(lambda d: is_player_of(p["board"], d))
        return {
            "board": r.table(BOARDS).get(p["board"]),
            "players": page,
            "shadows": shadows.map(lambda player: player["id"]).coerce_to("array"),
        }

    return page.do(with_shadows)


#: The document of `board`, or null; the first `limit` of its ranked documents; and of those of
#: them that have a qualified key the plain ones that count in their stead.
ranking = prepared(_ranking)

#: Of the document that is the player, and the number of players above it on `board`; or null.
get_player = prepared(
    lambda p: counting(p["board"], p["plain"], p["qualified"]).do(
        lambda document: r.branch(
            document.eq(None),
            None,
            {
                "player": document.pluck(*PLAYER_FIELDS),
                "above": players_above(p["board"], document["score"].default(0)).count(),
            },
        )
    )
)

#: The documents with the primary keys `keys`.
get_documents = prepared(
    lambda p: r.table(PLAYERS).get_all(r.args(p["keys"])).pluck(*PLAYER_FIELDS).coerce_to("array")
)


def _update(p: Any, find: Any, holds: Any) -> Any:
    return find(p["board"], p["plain"], p["qualified"]).do(
        lambda found: (
            r.table(PLAYERS)
            .get(found["id"].default(p["plain"]))
            .update(
                lambda document: r.branch(holds(p["board"], document), p["changes"], {}),
                return_changes="always",
            )
        )
    )


#: Make `changes` to the player if it is on `board` and has a score.
update_player = prepared(lambda p: _update(p, counting, is_player_of))

#: Make `changes`, among them a score, to the player if it is on `board`.
update_score = prepared(lambda p: _update(p, removable, is_on_board))

#: Delete the player if it is on `board`.
delete_player = prepared(
    lambda p: removable(p["board"], p["plain"], p["qualified"]).do(
        lambda found: (
            r.table(PLAYERS)
            .get(found["id"].default(p["plain"]))
            .replace(lambda document: r.branch(is_on_board(p["board"], document), None, document))
        )
    )
)

#: Delete `document` from the players, unless another has its key by now.
delete_document = prepared(
    lambda p: (
        r.table(PLAYERS)
        .get(p["document"]["id"])
        .replace(lambda document: r.branch(document.eq(p["document"]), None, document))
    )
)


def _insert_player(p: Any) -> Any:
    players = r.table(PLAYERS)
    there = is_board(r.table(BOARDS).get(p["board"]))
    under_key = is_on_board(p["board"], players.get(p["document"]["id"]))
    under_other = is_on_board(p["board"], players.get(p["other"]))

    def state(inserted: Any) -> dict[str, Any]:
        taken = r.or_(under_other, r.and_(r.not_(inserted), under_key))
        return {"inserted": inserted, "board": there, "taken": taken}

    return r.branch(
        r.or_(r.not_(there), under_key, under_other),
        state(False),
        players.insert(p["document"]).do(
            lambda result: r.branch(
                r.or_(
                    result["errors"].eq(0),
                    result["first_error"].match("^Duplicate primary key").ne(None),
                ),
                state(result["inserted"].eq(1)),
                {"error": result["first_error"]},
            )
        ),
    )


#: Insert `document` unless its `board` is not there, or has the player under this key or the key
#: `other`. The result says whether it was ``inserted``, and, as it is after that, whether the
#: ``board`` is there and whether another document has ``taken`` the player's id on it. It is an
#: ``error`` where the document was not written for another reason than its key.
insert_player = prepared(_insert_player)


def _add_scores(p: Any) -> Any:
    players = r.table(PLAYERS)

    def changed(document: Any, run: Any, plain: Any) -> Any:
        score = document["score"].default(0)
        return r.branch(
            r.and_(
                is_on_board(run["board"], document),
                score.ge(run["low"]),
                score.le(run["high"]),
                r.or_(r.not_(run["many"]), score.floor().eq(score)),
                plain[run["plain"]].default(None).ne(run["board"]),
            ),
            {"score": score.add(run["total"])},
            {},
        )

    def added(plain: Any) -> Any:
        # `plain` is data by now, so that the update of each document is one atomic step.
        return {
            "plain": plain,
            "result": players.get_all(r.args(p["runs"].keys())).update(
                lambda document: changed(document, p["runs"][document["id"]], plain),
                return_changes="always",
            ),
        }

    boards_of_plain = (
        players.get_all(r.args(p["plain"]))
        .filter(lambda document: is_player_of(document["board"], document))
        .map(lambda document: [document["id"], document["board"]])
        .coerce_to("object")
    )
    return boards_of_plain.do(added)


#: Add to the scores of the documents that are the keys of `runs`. Each run is an object: the
#: ``total`` is added if the document is of its ``board`` and has a score from ``low`` to ``high``,
#: which nothing is that is not a number; if it is a sum of ``many``, only to a whole score. `plain`
#: lists the plain keys of those with a qualified one, and each of those has its own in ``plain``,
#: the others "": nothing is added to a document in whose stead that with the plain key counts.
#: Gives the ``result`` of the update, and in ``plain`` the board of each player with such a key.
add_scores = prepared(_add_scores)
