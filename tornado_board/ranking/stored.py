"""What the store has of one board, as far as it was read and the feed has told since."""

from __future__ import annotations

from tornado_board.backoff import Backoff
from tornado_board.models import Board, PlayerChanged, Ranking, board_json
from tornado_board.ranking.top import TopK
from tornado_board.replay import Event

#: Changes that a board may gather while it is read; with more it is read again.
GATHERED = 1_000

#: Bounds of the waits, in seconds, after the store failed.
_BACKOFF = (0.5, 8.0)


class StoredBoard:
    """The board and its best players. Changes that come in while it is read are gathered."""

    def __init__(self, now: float, depth: int) -> None:
        """`depth` players are held (`TopK`), or more where the board shows many (`Board.depth`)."""
        #: Whether the board has to be read, which makes no sense before `read_after`.
        self.must_read = True
        self.read_after = now
        self._depth = depth
        self._board: Board | None = None
        self._top: TopK | None = None
        self._data: str | None = None  # what both show, once that was asked
        self._end: tuple[int, str | None] | None = None  # `end_of` the season that ended last
        self._gathered: list[PlayerChanged] = []
        self._is_old = False  # something came in that the read under way may not have seen
        self._backoff = Backoff(*_BACKOFF)

    @property
    def number(self) -> int:
        """The number of the season. It has to be `known`."""
        return 1 if self._board is None else self._board.number

    def has_end(self, season: int) -> bool:
        """Whether `end_of` was read."""
        return self._end is not None and self._end[0] == season

    def end_of(self, season: int) -> str | None:
        """The final board of a season that is over, as JSON; ``None`` if it is no longer kept. It
        has to be there (`has_end`)."""
        assert self._end is not None
        return self._end[1]

    def take_end(self, season: int, ranking: Ranking | None) -> None:
        """A read of a season that is over has ended."""
        self._backoff.reset()
        data = None
        if ranking is not None:
            data = board_json(ranking.board, ranking.players[: ranking.board.top])
        self._end = season, data

    @property
    def known(self) -> bool:
        """Whether `data` can be had."""
        return self._top is not None

    @property
    def data(self) -> str:
        """The board as JSON. It has to be `known`."""
        assert self._board is not None
        assert self._top is not None
        if self._data is None:
            self._data = board_json(self._board, self._top.top())
        return self._data

    def shows(self, event: Event | None) -> bool:
        """Whether it is known to be what `event` shows."""
        return event is not None and self.known and self.data == event.data

    def begin(self) -> None:
        """A read begins: it sees everything that has come in so far."""
        self._is_old = False
        self._gathered.clear()

    def take(self, ranking: Ranking) -> bool:
        """A read has ended with `ranking`; ``False`` if that is of no use any more."""
        self._backoff.reset()
        if self._is_old or not self.must_read:
            return False
        self.must_read = False
        board = self._board = ranking.board
        self._top = TopK(ranking, board.depth(self._depth), board.top)
        self._data = None
        for change in self._gathered:
            if change.season == board.number:
                self._top.apply(change)
        self._gathered.clear()
        if self._top.is_short:
            self.forget()
        return self._top is not None

    def fail(self, now: float) -> None:
        """A read has failed."""
        self.read_after = now + self._backoff.next()

    def apply(self, change: PlayerChanged) -> None:
        """Take in what the feed tells."""
        if self._top is None:
            if len(self._gathered) < GATHERED:
                self._gathered.append(change)
            else:
                self._is_old = True
            return
        if change.season != self.number:
            return  # of a season that is over; or of the next one, with which the board is read
        if self._top.apply(change):
            self._data = None
        if self._top.is_short:
            self.forget()

    def forget(self, *, must_read: bool = True) -> None:
        """What is known is of no use any more, nor is the read under way."""
        self._top = self._data = None
        self.must_read, self._is_old = must_read, True
