"""What writes ask of one player, step by step. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from msgspec.structs import replace

from tornado_board.inputs import UNSET, PlayerPatch, Submission
from tornado_board.models import Player
from tornado_board.store import AlreadyExists, NotFound, StoreError, Submitted
from tornado_board.store.rethinkdb.documents import is_same
from tornado_board.store.rethinkdb.rules import Rules
from tornado_board.store.scoring import Scoring, check_bounds, check_meta


class Step(Protocol):
    """One change of a player."""

    def apply(self, board_id: str, rules: Rules, player: Player | None, now: int) -> Player:
        """The player after it, at `now` in ms since 1970; ``None`` stands for no player.

        Raises `StoreError` where it is refused.
        """


@dataclass(frozen=True)
class Submit:
    """A submission, or an addition. Without `create` there has to be the player, and whether there
    is the board does not matter."""

    submission: Submission
    create: bool = True

    def apply(self, board_id: str, rules: Rules, player: Player | None, now: int) -> Player:
        if self.create and rules.text is None:
            raise no_board(board_id)
        if player is None and not self.create:
            raise no_player(board_id, self.submission.id)
        return Scoring(rules.board, now).submitted(player, self.submission)


@dataclass(frozen=True)
class Patch:
    """A change of some fields."""

    player_id: str
    patch: PlayerPatch

    def apply(self, board_id: str, rules: Rules, player: Player | None, now: int) -> Player:
        if player is None:
            raise no_player(board_id, self.player_id)
        changed = self.patch.apply(player, rules.board.ordering.reached_at(now))
        if changed.score != player.score:
            check_bounds(rules.board, changed.score)
        if self.patch.meta is not UNSET:
            check_meta(changed)
        return changed


@dataclass(frozen=True)
class Create:
    """A new player, but for `Player.reached_at`."""

    player: Player

    def apply(self, board_id: str, rules: Rules, player: Player | None, now: int) -> Player:
        if rules.text is None:
            raise no_board(board_id)
        if player is not None:
            raise AlreadyExists(
                f"there is a player {player.id!r} on the board {board_id!r} already"
            )
        made = self.player
        check_bounds(rules.board, made.score)
        check_meta(made)
        reached_at = rules.board.ordering.reached_at(now)
        return replace(made, reached_at=reached_at, season=rules.board.number)


def carried_out(
    steps: Sequence[Step], board_id: str, rules: Rules, player: Player | None, now: int
) -> tuple[list[Submitted | StoreError], Player | None]:
    """What each of the steps does to `player`, one after the other, and what becomes of it."""
    results: list[Submitted | StoreError] = []
    for step in steps:
        try:
            after = step.apply(board_id, rules, player, now)
        except StoreError as error:
            results.append(error)
            continue
        changed = not is_same(after, player)
        if player is None:
            results.append(Submitted(after, None, changed))
        else:
            results.append(Submitted(after, player.score, changed, player.hidden))
        player = after
    return results, player


def no_board(board_id: str) -> NotFound:
    return NotFound(f"there is no board {board_id!r}")


def no_player(board_id: str, player_id: str) -> NotFound:
    return NotFound(f"there is no player {player_id!r} on the board {board_id!r}")
