"""The queries, built once: building one anew takes the driver longer than all the rest.

Each is a function of one object of parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from rethinkdb.ast import RqlQuery

from tornado_board.store.rethinkdb.address import r
from tornado_board.store.rethinkdb.documents import (
    BOARDS,
    PLAYERS,
    STANDING,
    all_players,
    is_on_board,
    is_player_of,
    players_above,
    ranked_players,
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


def prepared(function: Callable[[Any], Any]) -> Callable[..., Any]:
    """Build `function`, which takes the ReQL term of the parameters, into a query that takes them
    by keyword."""
    text = _encode(r.expr(_PARAMETERS).do(function))
    before, parameters, after = text.partition(_encode(_PARAMETERS))
    assert parameters

    def build(**values: Any) -> _Built:
        return _Built(before + _encode(values) + after)

    return build


def _both(p: Any) -> Any:
    """The documents that may be the player; whether one is, its field ``board`` says."""
    return r.table(PLAYERS).get_all(p["plain"], p["qualified"])


#: Fails unless the tables and the index can be read. No parameters.
ping = prepared(
    lambda p: [
        r.table(BOARDS).get("").eq(None),
        r.table(PLAYERS).get("").eq(None),
        ranked_players("").is_empty(),
    ]
)

#: At most `limit` boards after the id `after`.
list_boards = prepared(
    lambda p: (
        r.table(BOARDS)
        .between(p["after"], r.maxval, left_bound="open")
        .order_by(index="id")
        .limit(p["limit"])
        .pluck("id", "name")
        .coerce_to("array")
    )
)

#: Insert `document`.
create_board = prepared(lambda p: r.table(BOARDS).insert(p["document"]))

#: The document of `board`, or null.
get_board = prepared(lambda p: r.table(BOARDS).get(p["board"]))

#: Delete `board`, but not its players.
delete_board = prepared(lambda p: r.table(BOARDS).get(p["board"]).delete())

#: Delete `limit` players of `board`.
delete_players = prepared(lambda p: all_players(p["board"]).limit(p["limit"]).delete())

#: The document of `board`, or null, and the best `limit` of its players.
ranking = prepared(
    lambda p: {
        "board": r.table(BOARDS).get(p["board"]),
        "players": ranked_players(p["board"])
        .order_by(index=STANDING)
        .limit(p["limit"])
        .pluck("id", "board", "name", "score")
        .coerce_to("array"),
    }
)

#: The documents that may be the player, each with the number of players above it on `board`.
get_player = prepared(
    lambda p: (
        _both(p)
        .map(
            lambda document: {
                "player": document.pluck("id", "board", "name", "score"),
                "above": r.branch(
                    is_player_of(p["board"], document),
                    players_above(p["board"], document["score"].default(0)).count(),
                    0,
                ),
            }
        )
        .coerce_to("array")
    )
)

#: Make `changes` to the player if it is on `board` and has a score.
update_player = prepared(
    lambda p: _both(p).update(
        lambda document: r.branch(is_player_of(p["board"], document), p["changes"], {}),
        return_changes="always",
    )
)

#: Make `changes`, among them a score, to the player if it is on `board`.
update_score = prepared(
    lambda p: _both(p).update(
        lambda document: r.branch(is_on_board(p["board"], document), p["changes"], {}),
        return_changes="always",
    )
)

#: Delete the player if it is on `board`.
delete_player = prepared(
    lambda p: _both(p).replace(
        lambda document: r.branch(is_on_board(p["board"], document), None, document)
    )
)


#: Delete the document with the primary key `key` from the players.
delete_document = prepared(lambda p: r.table(PLAYERS).get(p["key"]).delete())


def _insert_player(p: Any) -> Any:
    players = r.table(PLAYERS)
    there = r.table(BOARDS).get(p["board"]).ne(None)
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
    def changed(document: Any, run: Any) -> Any:
        score = document["score"].default(0)
        return r.branch(
            r.and_(
                is_on_board(run["board"], document),
                score.ge(run["low"]),
                score.le(run["high"]),
                r.or_(r.not_(run["many"]), score.floor().eq(score)),
            ),
            {"score": score.add(run["total"])},
            {},
        )

    return (
        r.table(PLAYERS)
        .get_all(r.args(p["runs"].keys()))
        .update(
            lambda document: changed(document, p["runs"][document["id"]]), return_changes="always"
        )
    )


#: Add to the scores of the documents that are the keys of `runs`. Each run is an object: the
#: ``total`` is added if the document is of its ``board`` and has a score from ``low`` to ``high``,
#: which nothing is that is not a number; if it is a sum of ``many``, only to a whole score.
add_scores = prepared(_add_scores)
