"""The queries that write players, many documents in one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tornado_board.store.rethinkdb.address import r
from tornado_board.store.rethinkdb.documents import (
    ONCE,
    PLAYERS,
    is_on_board,
    is_player_of,
    or_zero,
)
from tornado_board.store.rethinkdb.once import entries_term, has_entry_term
from tornado_board.store.rethinkdb.queries import prepared
from tornado_board.store.rethinkdb.rules import rules_term


class _Run:
    """The terms of a run's parameters (`runs.Run.parameters`), and of what it has besides."""

    def __init__(self, run: Any) -> None:
        self.board, self.plain, self.low, self.high = (run.nth(place) for place in range(4))
        self.add, self.floor, self.ceiling, self.reached_at = (
            run.nth(place) for place in range(4, 8)
        )
        self.more = run.nth(8)


def _holds(document: Any, score: Any, run: _Run, plain: Any) -> Any:
    """Whether `run` may be made of `document`, which may be any and has that for a score."""
    return r.and_(
        is_on_board(run.board, document),
        # Nothing is between two numbers that is not one.
        score.ge(run.low),
        score.le(run.high),
        r.or_(run.plain.eq(""), plain[run.plain].default(None).ne(run.board)),
    )


def _new_score(score: Any, run: _Run) -> Any:
    return score.add(run.add).do(
        lambda s: r.branch(s.lt(run.floor), run.floor, s.gt(run.ceiling), run.ceiling, s)
    )


def _scored(document: Any, score: Any, new: Any, run: _Run) -> Any:
    """The fields of a new score: with its time if that is another than before."""
    return r.branch(
        r.or_(new.eq(score), or_zero(document, "reached_at").eq(run.reached_at)),
        {"score": new},
        {"score": new, "reached_at": run.reached_at},
    )


def _changed(document: Any, score: Any, run: _Run, plain: Any) -> Any:
    """What `run`, which may have more, makes of `document`."""

    def written(new: Any) -> Any:
        changed = document.merge(_scored(document, score, new, run))
        return r.branch(
            _holds_more(document, score, new, run.more),
            _with_more(changed, document, run.more),
            document,
        )

    return r.branch(
        _holds(document, score, run, plain), _new_score(score, run).do(written), document
    )


def _changes(document: Any, score: Any, run: _Run, plain: Any) -> Any:
    """The fields that `run`, which has no more, changes of `document`."""
    return r.branch(
        _holds(document, score, run, plain),
        _new_score(score, run).do(lambda new: _scored(document, score, new, run)),
        {},
    )


def _holds_more(document: Any, score: Any, new: Any, more: Any) -> Any:
    """Whether the rarer conditions of a run hold."""
    return r.and_(
        r.or_(r.not_(more.has_fields("whole")), score.floor().eq(score)),
        r.or_(
            r.not_(more.has_fields("within")),
            r.and_(new.ge(more["within"].nth(0)), new.le(more["within"].nth(1))),
        ),
        r.or_(
            r.not_(more.has_fields("meta")),
            document["meta"].default(None).eq(more["meta"].nth(0)),
        ),
        r.or_(
            r.not_(more.has_fields("once")),
            r.not_(has_entry_term(document, more["once"]["key"])),
        ),
    )


def _with_more(changed: Any, document: Any, more: Any) -> Any:
    """`changed` with the rarer fields that a run sets."""
    with_meta = r.branch(
        more.has_fields("meta"),
        # Merged it would keep what is not in there any more.
        changed.without("meta").merge({"meta": more["meta"].nth(1)}),
        changed,
    )
    entries = r.branch(
        more.has_fields("once"),
        {ONCE: entries_term(document, more["once"], more["oldest"])},
        {},
    )
    return with_meta.merge(more["put"].default({}), entries)


def _updated(p: Any, update: Callable[[Any, Any], Any]) -> Any:
    """What `update` makes of the documents; it takes these, and the boards of players by key."""
    players = r.table(PLAYERS)
    boards_of_plain = (
        players.get_all(r.args(p["plain"]))
        .filter(lambda document: is_player_of(document["board"], document))
        .map(lambda document: [document["id"], document["board"]])
        .coerce_to("object")
    )
    documents = players.get_all(r.args(p["runs"].keys()))
    return rules_term(p["boards"]).do(
        lambda rules: r.branch(
            rules.ne(p["rules"]),
            {"rules": rules},
            # `plain` is data by now, so that the update of each document is one atomic step.
            boards_of_plain.do(lambda plain: {"plain": plain, "result": update(documents, plain)}),
        )
    )


def _each(p: Any, document: Any, plain: Any, function: Callable[[Any, Any, _Run, Any], Any]) -> Any:
    return r.do(
        p["runs"][document["id"]],
        or_zero(document, "score"),
        lambda run, score: function(document, score, _Run(run), plain),
    )


#: Change the documents that are the keys of `runs`, each as its run says (`runs.Run.parameters`,
#: and then `runs.Run.more`).
#: `boards` lists the boards, and `rules` has what their rules are taken to be; if they are others,
#: nothing is done, and ``rules`` in the result has them. `plain` lists the plain keys of those with
#: a qualified one, and each of those has its own in its run, the others "": nothing is done to a
#: document in whose stead that with the plain key counts. Gives the ``result`` of the update, and
#: in ``plain`` the board of each player with such a key.
update_players = prepared(
    lambda p: _updated(
        p,
        lambda documents, plain: documents.replace(
            # Another process may delete a document between its finding and its update.
            lambda document: r.branch(document.eq(None), None, _each(p, document, plain, _changed)),
            return_changes="always",
        ),
    )
)

#: The same where no run has more: each term costs, for each document.
update_scores = prepared(
    lambda p: _updated(
        p,
        lambda documents, plain: documents.update(
            lambda document: _each(p, document, plain, _changes), return_changes="always"
        ),
    )
)


def _insert_players(p: Any) -> Any:
    players = r.table(PLAYERS)
    # Where the documents under the other keys are; read anew wherever it stands.
    others = (
        players.get_all(r.args(p["others"]))
        .map(lambda document: [document["id"], document["board"].default(None)])
        .coerce_to("array")
    )

    def inserted(taken: Any) -> Any:
        free = p["documents"].filter(
            lambda each: r.not_(taken.contains([each["other"], each["document"]["board"]]))
        )
        return players.insert(free.map(lambda each: each["document"]), return_changes="always").do(
            lambda result: {
                "result": result,
                "taken": taken,
                "after": {"rules": rules_term(p["boards"]), "taken": others},
            }
        )

    return rules_term(p["boards"]).do(
        lambda rules: r.branch(rules.ne(p["rules"]), {"rules": rules}, others.do(inserted))
    )


#: Insert `documents`, each an object of a ``document`` and the ``other`` key of its player, but
#: those whose board has a document under the other key. `boards` and `rules`: as in
#: `update_players`. Gives the ``result``; where documents with the keys `others` were (``taken``,
#: pairs of key and board); and ``after``, what these and the rules are after that.
insert_players = prepared(_insert_players)
