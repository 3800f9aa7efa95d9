"""What a feed has told last of players, for a while."""

from __future__ import annotations

#: Players of whom it is remembered, and for how many ticks (seconds).
MOST_REMEMBERED, REMEMBERED = 20_000, 10

#: Changes of one player that are remembered.
_CHANGES = 8


class Told:
    """The merits that the feed told last of players, and at which positions of the feed.

    ``None`` as a merit: it told that there is no such player.
    """

    __slots__ = ("_players",)

    def __init__(self) -> None:
        #: Of each player the last tick, and merits with positions, the newest last. Players of whom
        #: was told longest ago come first.
        self._players: dict[str, tuple[int, list[tuple[float | None, int]]]] = {}

    def add(self, player_id: str, merit: float | None, position: int, tick: int) -> None:
        """The feed told this at `position`."""
        _, changes = self._players.pop(player_id, (0, []))
        if len(changes) >= _CHANGES:
            del changes[0]
        changes.append((merit, position))
        self._players[player_id] = tick, changes
        if len(self._players) > MOST_REMEMBERED:
            del self._players[next(iter(self._players))]

    def last(self, player_id: str) -> tuple[float | None, int] | None:
        """What it told last, and where; ``None`` if that is not remembered."""
        found = self._players.get(player_id)
        return None if found is None else found[1][-1]

    def has_told(self, player_id: str, merit: float | None, since: int) -> bool:
        """Whether it told this of the player behind the position `since`."""
        _, changes = self._players.get(player_id, (0, []))
        return any(told == merit and position > since for told, position in changes)

    def forget(self, tick: int) -> None:
        """It is `tick` now: forget what was told too long ago."""
        forgotten = []
        for player_id, (told_at, _) in self._players.items():
            if tick - told_at < REMEMBERED:
                break
            forgotten.append(player_id)
        for player_id in forgotten:
            del self._players[player_id]
