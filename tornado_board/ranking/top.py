"""The best players of a board, kept up to date change by change."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence

from tornado_board.models import Key, Player, PlayerChanged, Ranking


class TopK:
    """The best players of one board, from one read and the changes since.

    It holds at most `depth` players, and knows the `floor`: every player of the board whose key
    (`Ordering.key`) does not exceed the floor is held. A change therefore costs O(log depth) and no
    query, however many players the board has. Players who fall below the floor are forgotten;
    when so many have left that fewer than `shown` are held, the board has to be read again
    (`is_short`).
    """

    __slots__ = ("_depth", "_floor", "_key", "_keys", "_players", "_shown", "_version")

    def __init__(self, ranking: Ranking, depth: int, shown: int) -> None:
        """`ranking` is a read of the best `depth` players or more; `shown` of them matter. The
        order is the board's.

        Raises `ValueError` unless 1 <= `shown` <= `depth`.
        """
        if not 1 <= shown <= depth:
            raise ValueError(f"{shown} of {depth} players can't be shown")
        self._depth = depth
        self._shown = shown
        self._version = ranking.version
        self._key = key = ranking.board.ordering.key
        self._keys: list[Key] = [key(player) for player in ranking.players]
        self._players: dict[str, Player] = {player.id: player for player in ranking.players}
        # A read that was not filled has seen the whole board: then there is no floor.
        self._floor: Key | None = None if len(self._keys) < depth else self._keys[-1]

    def apply(self, change: PlayerChanged) -> bool:
        """Take `change` in; whether the players shown may differ from before.

        A change that the read had seen already (by its version) is passed over.
        """
        if change.version and change.version <= self._version:
            return False
        player = change.player
        old = self._players.get(change.player_id)
        if old == player:
            return False
        touched = False
        if old is not None:
            position = bisect_left(self._keys, self._key(old))
            del self._keys[position]
            del self._players[old.id]
            touched = position < self._shown
        if player is None:
            return touched
        key = self._key(player)
        if self._floor is None or key <= self._floor:
            insort(self._keys, key)
            self._players[player.id] = player
            touched = touched or key <= self._keys[: self._shown][-1]
            if len(self._keys) > self._depth:
                del self._players[self._keys.pop()[-1]]
                self._floor = self._keys[-1]
        return touched

    @property
    def is_short(self) -> bool:
        """Whether players are missing who have to be shown: the board must be read again."""
        return self._floor is not None and len(self._keys) < self._shown

    def top(self) -> Sequence[Player]:
        """The players to be shown, best first. Not to be relied on while `is_short`."""
        return [self._players[key[-1]] for key in self._keys[: self._shown]]
