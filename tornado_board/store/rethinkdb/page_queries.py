"""The queries of `pages`, which all read ranges of one index.

The index has the highest scores first, and those of one score in the order in which they stand. A
board whose highest score is the best reads it from the front for what comes behind a place, and
from the end for what comes before it.

A board whose lowest score is the best reads the scores the other way round, but those of one score
must not be turned with them. So there a page has three parts: the ``rest`` of those with the score
of the place, ``more`` in the other direction, and ``last``: those with the last score of these, of
whom there may be any number, from their own beginning. What these three have is sorted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tornado_board.models import Order
from tornado_board.store.rethinkdb.address import r
from tornado_board.store.rethinkdb.documents import (
    PLAYER_FIELDS,
    PLAYERS,
    counting,
    or_zero,
)
from tornado_board.store.rethinkdb.queries import prepared
from tornado_board.store.rethinkdb.reading import with_board
from tornado_board.store.rethinkdb.spans import with_shadows
from tornado_board.store.rethinkdb.standing import (
    STANDING,
    UNRANKED,
    between,
    hidden_players,
    merit_term,
    players_higher,
    players_lower,
    ranked_players,
)


def _straight(p: Any, backwards: bool) -> Any:
    """The page of a board whose highest score is best."""
    board, place = p["partition"], p["place"]
    index = r.desc(STANDING) if backwards else STANDING

    def page(selection: Any) -> Any:
        return _rows(selection.order_by(index=index).limit(p["limit"]))

    key = [board, merit_term(place.nth(0)), place.nth(1), place.nth(2)]
    behind = (
        between([board, r.minval], key)
        if backwards
        else between(key, [board, UNRANKED], left_bound="open")
    )
    return r.branch(place.eq(None), page(ranked_players(board)), page(behind))


def _crossed(p: Any, backwards: bool) -> Any:
    """The page of a board whose lowest score is best: see above."""
    board, place, limit = p["partition"], p["place"], p["limit"]
    scores = STANDING if backwards else r.desc(STANDING)
    ties = r.desc(STANDING) if backwards else STANDING

    def of_one_score(merit: Any, start: Any) -> Any:
        """Those with one score from `start` on, or all."""
        lowest, highest = [board, merit, r.minval], [board, merit, r.maxval]
        if start is None:
            selection = between(lowest, highest)
        elif backwards:
            selection = between(lowest, [board, merit, *start])
        else:
            selection = between([board, merit, *start], highest, left_bound="open")
        return _rows(selection.order_by(index=ties).limit(limit))

    def others(merit: Any) -> Any:
        """Those with worse scores, or with better ones if backwards."""
        selection = (
            between([board, merit, r.maxval], [board, UNRANKED])
            if backwards
            else between([board, r.minval], [board, merit])
        )
        return _rows(selection.order_by(index=scores).limit(limit)).do(with_last)

    def with_last(more: Any) -> Any:
        last = of_one_score(merit_term(or_zero(more.nth(-1), "score")), None)
        return r.branch(more.is_empty(), [], more.add(last))

    first = _rows(ranked_players(board).order_by(index=scores).limit(limit)).do(with_last)

    def behind(merit: Any) -> Any:
        rest = of_one_score(merit, [place.nth(1), place.nth(2)])
        return rest.do(lambda rest: r.branch(rest.count().ge(limit), rest, rest.add(others(merit))))

    return r.branch(place.eq(None), first, merit_term(place.nth(0)).do(behind))


def _rows(selection: Any) -> Any:
    return selection.pluck(*PLAYER_FIELDS).coerce_to("array")


def _page(p: Any, read: Callable[[Any, bool], Any], backwards: bool) -> Any:
    return with_shadows(p, read(p, backwards))


#: By the board's order, and whether it goes backwards: the first `limit` of the ranked documents of
#: `partition` behind `place` (a list of score, time and id), or of all; `with_board`; and of those
#: of the documents that have a qualified key the plain ones that count in their stead
#: (``shadows``). More documents may be in there, in any order.
PAGES: Mapping[tuple[Order, bool], Callable[..., Any]] = {
    ("desc", False): prepared(lambda p: _page(p, _straight, False)),
    ("desc", True): prepared(lambda p: _page(p, _straight, True)),
    ("asc", False): prepared(lambda p: _page(p, _crossed, False)),
    ("asc", True): prepared(lambda p: _page(p, _crossed, True)),
}


def _first_page(one: Any) -> Any:
    ranked = ranked_players(one["partition"]).order_by(index=STANDING)
    return with_shadows(one, _rows(ranked.limit(one["limit"])))


#: The first page of each of the `boards`, objects of what the query for one takes, as the query
#: for boards whose highest score is the best gives it.
first_pages = prepared(lambda p: p["boards"].map(_first_page).coerce_to("array"))

#: The document that is the ``player``, or null, `with_board`.
get_player = prepared(
    lambda p: counting(p["partition"], p["plain"], p["qualified"]).do(
        lambda document: with_board(
            p,
            {"player": r.branch(document.eq(None), None, document.pluck(*PLAYER_FIELDS))},
        )
    )
)

#: The ``players`` that have any of the primary keys `keys`, `with_board`.
by_keys = prepared(
    lambda p: with_board(
        p,
        {
            "players": r.table(PLAYERS)
            .get_all(r.args(p["keys"]))
            .pluck(*PLAYER_FIELDS)
            .coerce_to("array")
        },
    )
)


#: The ``ids``, as the index has them, of at most `limit` hidden documents of `partition` after the
#: id `after`, `with_board`.
hidden = prepared(
    lambda p: with_board(
        p,
        {
            "ids": hidden_players(p["partition"], p["after"])
            .order_by(index=STANDING)
            .limit(p["limit"])
            .map(lambda document: document["id"].coerce_to("string").split("/", 1).nth(-1))
            .coerce_to("array")
        },
    )
)


def _scores_behind(p: Any) -> Any:
    def two(index: Any) -> Any:
        ranked = ranked_players(p["partition"]).order_by(index=index)
        return ranked.skip(p["skip"]).limit(2).pluck("score").coerce_to("array")

    return r.branch(p["ascending"], two(r.desc(STANDING)), two(STANDING))


#: The scores of the two ranked documents behind the best `skip`, `with_board`.
scores_at = prepared(lambda p: with_board(p, {"players": _scores_behind(p)}))

#: How many players there are, `with_board`.
count = prepared(lambda p: with_board(p, {"count": ranked_players(p["partition"]).count()}))

#: How many players have a better score than `score`, `with_board`.
count_better = prepared(
    lambda p: with_board(
        p,
        {
            "count": r.branch(
                p["ascending"],
                players_lower(p["partition"], p["score"]).count(),
                players_higher(p["partition"], p["score"]).count(),
            )
        },
    )
)

#: Nothing but `with_board`.
get_board = prepared(lambda p: with_board(p, {}))

#: The documents of all players of `partition`, a stream; of those with a higher score than
#: `middle`; and of all others.
all_players = prepared(lambda p: ranked_players(p["partition"]))
higher_players = prepared(lambda p: players_higher(p["partition"], p["middle"]))
other_players = prepared(
    lambda p: between([p["partition"], merit_term(p["middle"])], [p["partition"], UNRANKED])
)
