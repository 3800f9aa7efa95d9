"""What a read of players has beside them, and reads of a range of scores whose ends are known.

RethinkDB keeps a table in eight parts and reads each row of an index through the index's function.
The first rows of a range in the index's order come from all parts in several rounds: 20 rows take
four times as long as a range that has 20 rows, without an order.
"""

from __future__ import annotations

from collections.abc import Mapping
from sys import float_info
from typing import Any, NamedTuple

from tornado_board.models import Board, Number, Player
from tornado_board.store import Place
from tornado_board.store.rethinkdb.address import r
from tornado_board.store.rethinkdb.documents import (
    PLAYER_FIELDS,
    PLAYERS,
    is_player_of,
    player_of,
)
from tornado_board.store.rethinkdb.queries import prepared
from tornado_board.store.rethinkdb.reading import parameters, with_board
from tornado_board.store.rethinkdb.standing import between, merit_term

#: Documents that the range of a page may have beyond twice the page: many may have one score.
_MORE = 100

#: A player, and its primary key.
Held = tuple[Player, str]


def with_shadows(p: Any, page: Any) -> Any:
    """The documents `page` of the index, with what else `held_in` and `counting_in` need: what
    `with_board` gives, and of those documents that have a qualified key the plain ones that count
    in their stead."""

    def shadows_of(qualified: Any) -> Any:
        plain = qualified.map(lambda player: player["id"].split("/", 1).nth(1))
        shadows = r.table(PLAYERS).get_all(r.args(plain))
        shadows = shadows.filter(lambda document: is_player_of(p["partition"], document))
        return shadows.map(lambda player: player["id"]).coerce_to("array")

    def found(page: Any) -> Any:
        qualified = page.filter(lambda player: player["id"].match("/").ne(None))
        # Without a look at the table where nobody has such a key, as on most boards.
        ids = qualified.do(lambda some: r.branch(some.is_empty(), [], shadows_of(some)))
        return with_board(p, {"players": page, "shadows": ids})

    return page.do(found)


def held_in(found: Mapping[str, Any], board: Board, backwards: bool) -> list[Held]:
    """The players in the documents of `with_shadows`, each once, in the board's order."""
    rows = {document["id"]: document for document in found["players"]}
    held = [
        (one[1], key) for key, document in rows.items() if (one := player_of(document)) is not None
    ]
    held.sort(key=lambda one: board.ordering.key(one[0]), reverse=backwards)
    return held


def counting_in(held: list[Held], found: Mapping[str, Any]) -> list[Player]:
    """Those of `held` in whose stead no other document counts."""
    shadows = set(found["shadows"])
    return [player for player, key in held if key == player.id or player.id not in shadows]


class Span(NamedTuple):
    """What a page of `limit` players behind `place` needs if they are all up to the score `until`,
    and the board is as it was last seen."""

    board: Board
    season: int | None
    place: Place | None
    until: Number
    limit: int
    backwards: bool

    @property
    def _most(self) -> int:
        return 2 * self.limit + _MORE

    def query(self) -> Any:
        """The query of the documents up to that score."""
        best = float_info.max if self.board.order == "desc" else -float_info.max
        low, high = sorted((best if self.place is None else self.place.score, self.until))
        more = parameters(self.board, self.season)
        return _span(**more, low=low, high=high, limit=self._most)

    def players(self, board: Board, found: Mapping[str, Any]) -> list[Player] | None:
        """The players of the page in what the query has found; ``None`` if there are not as many,
        or more documents than it reads, or the `board` is not what it was taken to be."""
        taken = self.board.partition, self.board.order
        if len(found["players"]) == self._most or (board.partition, board.order) != taken:
            return None
        held = held_in(found, board, self.backwards)
        if self.place is not None:
            key = board.ordering.key
            start = key(Player(self.place.id, "", self.place.score, self.place.reached_at))
            held = [
                one
                for one in held
                if (key(one[0]) < start if self.backwards else key(one[0]) > start)
            ]
        players = counting_in(held, found)
        return players[: self.limit] if len(players) >= self.limit else None


def _in_range(p: Any) -> Any:
    selection = between(
        [p["partition"], merit_term(p["high"]), r.minval],
        [p["partition"], merit_term(p["low"]), r.maxval],
    )
    return with_shadows(p, selection.limit(p["limit"]).pluck(*PLAYER_FIELDS).coerce_to("array"))


#: As `with_shadows`: those of `partition` with scores from `low` to `high`, in any order, at most
#: `limit` of them.
_span = prepared(_in_range)
