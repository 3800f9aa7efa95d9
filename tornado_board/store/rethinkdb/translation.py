"""From the rows of the changefeeds to changes of boards and players.

A row tells of one document. Where two documents have one public id on a board only one of them is
the player (`documents.counting`), and a row does not say which: a document with a qualified key may
be hidden by one with the plain key, and where that goes the other shows. So in these cases both
documents are read, and the change tells of what counts by then. What is read may be newer than the
row; then the row of that follows.

A document with the plain key always counts, and of qualified keys it is remembered that there is no
other document; so hardly any change costs a read but the deletion of a player.

`PlayerChanged.before` is the score before as the row has it, as long as rows are all that was told
of. Where documents were read, what was told is remembered (`_told`), since it may be newer than the
next row's beginning. Where there are two documents of one player it is not known.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from msgspec import UNSET, UnsetType

from tornado_board.models import BoardChanged, Change, Number, Player, PlayerChanged
from tornado_board.seasons import divided
from tornado_board.store.rethinkdb.documents import (
    BOARDS,
    Document,
    board_of,
    counting_among,
    is_same,
    player_of,
    qualified,
)

Row = Mapping[str, Any]
#: A partition and the id of a player in it.
_Place = tuple[str, str]

#: Players with a qualified key of whom it is remembered that no document has the plain one.
UNSHADOWED = 100_000

#: Players of whom it is remembered what was told of them. That counts for as long as rows are under
#: way that are older than what was read.
REMEMBERED = 100_000

#: Players whose documents one query reads.
_LOOK_UP = 500

#: Boards of which it is remembered that they are gone.
BOARDS_GONE = 1_000

#: Seconds after which no row of a player comes any more that is older than one of a board. The two
#: tables have a feed each.
LATE = 60.0

_K = TypeVar("_K")

#: A score, ``None`` for no player, or that it is not known.
_Score = Number | UnsetType | None


class Translation:
    """Translates rows, a batch at a time.

    Args:
        look_up: gives the documents that have any of some primary keys.
        clock: the time in seconds.
    """

    def __init__(
        self,
        look_up: Callable[[Sequence[str]], Awaitable[Sequence[Document]]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        #: Rows that are to be translated, with their tables.
        self.pending: list[tuple[str, Row]] = []
        self._look_up = look_up
        self._unshadowed: dict[_Place, None] = {}
        #: The score that was told last of players whose documents were read.
        self._told: dict[_Place, _Score] = {}
        #: Boards that were told to be gone, and until when rows of their players may come that are
        #: older than that.
        self._gone: dict[str, float] = {}
        self._clock = clock

    async def changes(self) -> list[Change]:
        """Translate what is pending. Where it fails or is cancelled, that stays."""
        doubtful: dict[_Place, None] = {}
        for table, row in self.pending:
            if table != BOARDS:
                doubtful.update(dict.fromkeys(self._doubtful(row)))
        read: dict[_Place, Document | None] = {}
        places = list(doubtful)
        for start in range(0, len(places), _LOOK_UP):
            await self._read(places[start : start + _LOOK_UP], read)
        changes: list[Change] = []
        for table, row in self.pending:
            if table == BOARDS:
                for change in _board_changes(row):
                    self._note(change)
                    changes.append(change)
            else:
                changes.extend(self._player_changes(row, read))
        self.pending.clear()
        return changes

    def _doubtful(self, row: Row) -> Iterator[_Place]:
        """The places of which `row` does not say who is the player there."""
        for place, player, _ in _told(row):
            is_plain = _key(row) == place[1]
            if is_plain and player is not None:
                self._unshadowed.pop(place, None)
            elif is_plain or place not in self._unshadowed:
                yield place

    async def _read(self, places: list[_Place], read: dict[_Place, Document | None]) -> None:
        keys = {key for place in places for key in (place[1], qualified(*place))}
        documents = {document["id"]: document for document in await self._look_up(sorted(keys))}
        for place in places:
            plain, other = documents.get(place[1]), documents.get(qualified(*place))
            both = [document for document in (plain, other) if document is not None]
            document = read[place] = counting_among(*place, both)
            if document is not None and document is other:
                _keep(self._unshadowed, place, None, UNSHADOWED)

    def _player_changes(
        self, row: Row, read: Mapping[_Place, Document | None]
    ) -> Iterator[PlayerChanged]:
        key = _key(row)
        for place, of_row, score in _told(row):
            player, before, is_plain = of_row, score, key == place[1]
            if place in read and not (is_plain and player is not None):
                document = read[place]
                held = player_of(document)
                player = None if held is None else held[1]
                if not is_plain and document is not None and document["id"] != key:
                    before = UNSET  # the other document may have counted before
            board_id, number = divided(place[0])
            is_gone = self._is_gone(board_id)
            if place in self._told:
                before = self._told[place]
            elif is_gone:
                before = None  # it went with its board
            if player is not None and player.hidden:
                player = None
            if place in self._told or place in read or is_gone:
                _keep(self._told, place, None if player is None else player.score, REMEMBERED)
            if player is not None or before is not None:
                yield PlayerChanged(board_id, place[1], player, before=before, season=number)

    def _note(self, change: BoardChanged) -> None:
        """With a board its players are gone, though their own rows are still to come."""
        board_id = change.board_id
        if change.board is None:
            _keep(self._gone, board_id, math.inf, BOARDS_GONE)
            for place in [place for place in self._told if divided(place[0])[0] == board_id]:
                del self._told[place]
        elif self._gone.get(board_id) == math.inf:
            self._gone[board_id] = self._clock() + LATE

    def _is_gone(self, board_id: str) -> bool:
        """Whether rows of the board's players may be older than its end."""
        until = self._gone.get(board_id)
        if until is not None and until < self._clock():
            del self._gone[board_id]
            until = None
        return until is not None


def _keep(kept: dict[_K, Any], key: _K, value: Any, most: int) -> None:
    """Keep `value` of `key`, and those of the newest `most` keys."""
    kept.pop(key, None)
    kept[key] = value
    if len(kept) > most:
        del kept[next(iter(kept))]


def _key(row: Row) -> Any:
    return (row.get("new_val") or row.get("old_val") or {}).get("id")


def _told(row: Row) -> Iterator[tuple[_Place, Player | None, _Score]]:
    """Where the document of `row` was or is a player, what it is there now, and the score that it
    was told to have there before: none while it was hidden."""
    old, new = player_of(row.get("old_val")), player_of(row.get("new_val"))
    if is_same(old, new):  # something changed that is not ours
        return
    before: _Score = None
    if old is not None:
        before = None if old[1].hidden else old[1].score
        if new is None or (old[0], old[1].id) != (new[0], new[1].id):
            yield (old[0], old[1].id), None, before
            before = None
    if new is not None:
        yield (new[0], new[1].id), new[1], before


def _board_changes(row: Row) -> Iterator[BoardChanged]:
    old, new = board_of(row.get("old_val")), board_of(row.get("new_val"))
    if old is not None and new is None:
        yield BoardChanged(old.id, None)
    elif new is not None and not is_same(new, old):
        yield BoardChanged(new.id, new)
