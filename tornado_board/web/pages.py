"""Pages of a board's players, wherever they begin, with ranks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from tornado_board.models import Board, Number, Player, RankedPlayer
from tornado_board.realtime.ranks import Ranks
from tornado_board.store import Place, Store

#: How many players a page has at the most, and unless the request says otherwise; how many can be
#: asked for by their ids.
MOST_PLAYERS = 1000
USUAL_PLAYERS = 100
MOST_IDS = 100

#: Players with the scores at the ends of a page around a player that are read with it.
_MOST_TIES = 100


class Page(msgspec.Struct):
    """Some players of a board, best first."""

    players: Sequence[RankedPlayer]
    #: How many players the board has.
    count: int
    #: Whether others are before the first of these, and behind the last.
    has_previous: bool = False
    has_next: bool = False
    #: Ids that were asked for, and are not there.
    missing: Sequence[str] | None = None


class Pages:
    """Reads pages of one season of a board. Whoever does not move meanwhile is on one of those that
    follow on each other, and once. Each method raises what the store raises."""

    def __init__(self, store: Store, ranks: Ranks, board: Board) -> None:
        """`board` is as of the season."""
        self._store = store
        self._ranks = ranks
        self._board_id = board.id
        self._season = board.number
        self._partition = board.partition

    async def after(self, place: Place | None, limit: int) -> Page:
        """The players behind `place`; ``None`` is before the first."""
        rows = await self._beside(place, limit + 1)
        return await self._page(
            rows[:limit], has_previous=place is not None, has_next=len(rows) > limit
        )

    async def before(self, place: Place, limit: int) -> Page:
        """The players before `place`, those nearest to it."""
        rows = await self._beside(place, limit + 1, backwards=True)
        return await self._page(rows[:limit][::-1], has_previous=len(rows) > limit, has_next=True)

    async def from_rank(self, rank: int, limit: int) -> Page:
        """The players from the first one whose rank is `rank` or greater."""
        if rank == 1:
            return await self.after(None, limit)
        score = await self._ranks.score_at(self._partition, rank)
        if score is None:
            return Page([], await self._ranks.count(self._partition))
        return await self.after(Place(score, -1, ""), limit)

    async def around(self, player: Player, limit: int) -> Page:
        """`limit` players with this one in the middle; nearer to its place at the board's ends,
        where there are fewer on one side."""
        place = Place(player.score, player.reached_at, player.id)
        half = (limit - 1) // 2
        rest = limit - 1 - half
        # One more on either side tells of others beyond.
        both = await self._both_sides(place, half + 1, rest + 1)
        before, behind = both or await asyncio.gather(
            self._beside(place, half + 1, backwards=True), self._beside(place, rest + 1)
        )
        # At an end of the board the other side fills the page.
        if len(behind) < rest and len(before) > half:
            before = await self._beside(place, limit - len(behind), backwards=True)
        elif len(before) < half and len(behind) > rest:
            behind = await self._beside(place, limit - len(before))
        # Who moved between these reads was seen twice.
        seen = {player.id}
        before = [other for other in before if other.id not in seen]
        seen.update(other.id for other in before)
        behind = [other for other in behind if other.id not in seen]
        above = min(len(before), max(half, limit - 1 - len(behind)))
        below = min(len(behind), limit - 1 - above)
        return await self._page(
            [*before[:above][::-1], player, *behind[:below]],
            has_previous=len(before) > above,
            has_next=len(behind) > below,
        )

    async def _both_sides(
        self, place: Place, above: int, below: int
    ) -> tuple[Sequence[Player], Sequence[Player]] | None:
        """So many players before the one at `place` and behind it, nearest first, in one read;
        ``None`` if that does not find as many, or would find many more."""
        index = self._ranks.index(self._partition)
        if index is None:
            return None
        first = index.score_beside(place.score, above, backwards=True)
        until = index.score_beside(place.score, below + 1)
        if first is None or until is None:
            return None
        count = index.better_than(until) - index.better_than(first)
        if not above + below < count <= _MOST_TIES + 2 * (above + below):
            return None
        players = await self._store.players_after(
            self._board_id, Place(first, -1, ""), count, self._season, until=until
        )
        at = next((i for i, player in enumerate(players) if player.id == place.id), 0)
        if at < above or len(players) <= at + below:
            return None
        return players[:at][::-1][:above], players[at + 1 :][:below]

    async def _beside(
        self, place: Place | None, limit: int, *, backwards: bool = False
    ) -> Sequence[Player]:
        until = None
        if (index := self._ranks.index(self._partition)) is not None:
            if place is None:
                until = index.score_at(limit)
            else:
                until = index.score_beside(place.score, limit, backwards=backwards)
        return await self._store.players_after(
            self._board_id, place, limit, self._season, backwards=backwards, until=until
        )

    async def of(self, ids: Sequence[str]) -> Page:
        """Those of `ids` that there are."""
        players = await self._store.players_by_id(self._board_id, ids, self._season)
        scores = list(dict.fromkeys(player.score for player in players))
        standing = await self._ranks.standing(self._partition, *scores)
        better = dict(zip(scores, standing.better, strict=True))
        ranked = [RankedPlayer.of(player, better[player.score] + 1) for player in players]
        ranked.sort(key=lambda player: (player.rank, player.reached_at, player.id))
        there = {player.id for player in players}
        missing = [player_id for player_id in ids if player_id not in there]
        return Page(ranked, max(standing.of, len(ranked)), missing=missing)

    async def _page(self, players: Sequence[Player], *, has_previous: bool, has_next: bool) -> Page:
        if not has_previous:
            count = await self._ranks.count(self._partition) if has_next else 0
            ranked = ranked_from(players)
        else:
            scores = list(dict.fromkeys(player.score for player in players))[:2]
            standing = await self._ranks.standing(self._partition, *scores)
            count = standing.of
            ranked = ranked_from(players, *(better + 1 for better in standing.better))
        # The count may be of another moment than the players.
        least = ranked[-1].rank if ranked else 0
        return Page(ranked, max(count, least, len(ranked)), has_previous, has_next)


def ranked_from(players: Sequence[Player], first: int = 1, second: int = 1) -> list[RankedPlayer]:
    """`players`, best first, with ranks: that of the first is `first`, and that of the next one
    with another score `second`, or greater where there are more of the first score.

    Competition ranks (1, 2, 2, 4): from the second score on, all who have the same are here.
    """
    ranked: list[RankedPlayer] = []
    score: Number | None = None
    rank = first
    #: What a position here and a rank differ by, once it is known.
    offset: int | None = None
    for i, player in enumerate(players):
        if ranked and player.score != score:
            if offset is None:
                offset = max(second, first + i) - i
            rank = i + offset
        score = player.score
        ranked.append(RankedPlayer.of(player, rank))
    return ranked
