"""The ranks that players had: from a board as it was, and from a list of places of some day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

import msgspec

from tornado_board.models import Board, Number, Player
from tornado_board.seasons import ShownSeason, shown


class _Row(msgspec.Struct):
    id: str
    score: Number


class _Board(msgspec.Struct):
    players: list[_Row]


class _Places(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Ids of players, best first, those who share a rank together. What is before them is written
    as `models.board_json` has it, and read as from there."""

    private: bool = False
    season: ShownSeason | None = None
    places: list[list[str]]


_boards = msgspec.json.Decoder(_Board)
_places = msgspec.json.Decoder(_Places)


def places_json(board: Board, players: Sequence[Player]) -> str:
    """The places of `players`, the best ones of a season of `board`, best first, on one line, which
    `ranks_of_places` reads. Whether the board is private, and the season, show as in
    `models.board_json`."""
    groups = [[p.id for p in group] for _, group in groupby(players, key=lambda p: p.score)]
    season = None if board.season is None else shown(board.season)
    return msgspec.json.encode(
        _Places(private=board.private, season=season, places=groups)
    ).decode()


def ranks_of_places(data: str) -> Mapping[str, int]:
    """The ranks in `data`, which `places_json` made, by player.

    Raises `msgspec.DecodeError` for anything else.
    """
    return _ranks(_places.decode(data).places)


def ranks_of_board(data: str) -> Mapping[str, int]:
    """The ranks of the players in `data`, a board as an event has it (`models.board_json`).

    Raises `msgspec.DecodeError` for anything else.
    """
    players = _boards.decode(data).players
    return _ranks([p.id for p in group] for _, group in groupby(players, key=lambda p: p.score))


def _ranks(groups: Iterable[Sequence[str]]) -> dict[str, int]:
    """Competition ranks (1, 2, 2, 4)."""
    ranks: dict[str, int] = {}
    rank = 1
    for group in groups:
        for player_id in group:
            ranks[player_id] = rank
        rank += len(group)
    return ranks
