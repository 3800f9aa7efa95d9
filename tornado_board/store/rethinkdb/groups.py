"""The queries that write players, many documents in one."""

from __future__ import annotations

from typing import Any

from tornado_board.store.rethinkdb.address import r
from tornado_board.store.rethinkdb.documents import ONCE, PLAYERS, is_on_board, is_player_of
from tornado_board.store.rethinkdb.once import entries_term, has_entry_term
from tornado_board.store.rethinkdb.queries import prepared
from tornado_board.store.rethinkdb.rules import rules_term


def _changed(document: Any, run: Any, plain: Any) -> Any:
    """What `run` makes of `document`, which may be any."""
    score = document["score"].default(0)
    holds = r.and_(
        is_on_board(run["board"], document),
        # Nothing is between two numbers that is not one.
        score.ge(run["low"]),
        score.le(run["high"]),
        r.or_(r.not_(run["whole"]), score.floor().eq(score)),
        r.or_(run["plain"].eq(""), plain[run["plain"]].default(None).ne(run["board"])),
        r.or_(r.not_(run.has_fields("more")), _holds_more(document, run["more"])),
    )

    def written(new: Any) -> Any:
        reached_at = r.branch(
            r.or_(new.eq(score), document["reached_at"].default(0).eq(run["reached_at"])),
            {},
            {"reached_at": run["reached_at"]},
        )
        changed = document.merge({"score": new}, reached_at)
        return r.branch(
            r.or_(new.lt(run["least"]), new.gt(run["most"])),
            document,
            run.has_fields("more"),
            _with_more(changed, document, run["more"]),
            changed,
        )

    return r.branch(holds, _clamped(score.add(run["add"]), run).do(written), document)


def _clamped(score: Any, run: Any) -> Any:
    return score.do(
        lambda s: r.branch(
            s.lt(run["floor"]), run["floor"], s.gt(run["ceiling"]), run["ceiling"], s
        )
    )


def _holds_more(document: Any, more: Any) -> Any:
    """Whether the rarer conditions of a run hold."""
    return r.and_(
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


def _update_players(p: Any) -> Any:
    players = r.table(PLAYERS)

    def updated(plain: Any) -> Any:
        # `plain` is data by now, so that the update of each document is one atomic step.
        return {
            "plain": plain,
            "result": players.get_all(r.args(p["runs"].keys())).replace(
                # Another process may delete a document between its finding and its update.
                lambda document: r.branch(
                    document.eq(None),
                    None,
                    _changed(document, p["runs"][document["id"]], plain),
                ),
                return_changes="always",
            ),
        }

    boards_of_plain = (
        players.get_all(r.args(p["plain"]))
        .filter(lambda document: is_player_of(document["board"], document))
        .map(lambda document: [document["id"], document["board"]])
        .coerce_to("object")
    )
    return rules_term(p["boards"]).do(
        lambda rules: r.branch(rules.ne(p["rules"]), {"rules": rules}, boards_of_plain.do(updated))
    )


#: Change the documents that are the keys of `runs`, each as its run says (`runs.Run.parameters`).
#: `boards` lists the boards, and `rules` has what their rules are taken to be; if they are others,
#: nothing is done, and ``rules`` in the result has them. `plain` lists the plain keys of those with
#: a qualified one, and each of those has its own in ``plain``, the others "": nothing is done to a
#: document in whose stead that with the plain key counts. Gives the ``result`` of the update, and
#: in ``plain`` the board of each player with such a key.
update_players = prepared(_update_players)


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
