"""What is known of which boards are private."""

from __future__ import annotations

from typing import Any, cast

import pytest

from tornado_board.models import Board, board_json
from tornado_board.realtime.hub import Hub
from tornado_board.replay import Event
from tornado_board.store import NotFound, Store
from tornado_board.web import privacy as privacy_module
from tornado_board.web.privacy import LASTING, Privacy


class Boards:
    """A store and a hub, as far as this asks them."""

    def __init__(self) -> None:
        self.stored: dict[str, bool] = {}
        self.live: dict[str, bool] = {}
        self.is_confirmed = True
        self.asked = 0
        self.now = 0.0

    async def get_board(self, board_id: str) -> Board:
        self.asked += 1
        if board_id not in self.stored:
            raise NotFound
        return Board(board_id, board_id, private=self.stored[board_id])

    def current(self, board_id: str) -> Event | None:
        if board_id not in self.live:
            return None
        return Event(None, board_json(Board(board_id, "B", private=self.live[board_id]), ()))

    def confirmed(self, board_id: str) -> Event | None:
        return self.current(board_id) if self.is_confirmed else None

    def privacy(self) -> Privacy:
        both: Any = self
        return Privacy(cast(Hub, both), cast(Store, both), clock=lambda: self.now)


def test_a_live_board_is_what_its_event_says() -> None:
    boards = Boards()
    privacy = boards.privacy()
    assert privacy.known("a") is None
    boards.live["a"] = False
    assert privacy.known("a") is False
    boards.live["a"] = True
    assert privacy.known("a") is True
    assert boards.asked == 0


def test_where_the_event_may_be_old_the_store_is_to_be_asked() -> None:
    boards = Boards()
    privacy = boards.privacy()
    boards.live["a"], boards.is_confirmed = False, False
    assert privacy.known("a") is None
    assert privacy.last_known("a") is False
    boards.live["a"] = True
    assert privacy.known("a") is None
    assert privacy.last_known("a") is True, "who waits for it is not sent it"
    assert privacy.last_known("b") is False


def test_what_was_just_written_weighs_more_than_the_event_that_is_to_come() -> None:
    boards = Boards()
    privacy = boards.privacy()
    boards.live["a"] = False
    privacy.note("a", True)
    assert privacy.known("a") is True
    assert privacy.last_known("a") is True
    boards.now = LASTING
    assert privacy.known("a") is False


@pytest.mark.gen_test
async def test_the_store_is_asked_once_a_while() -> None:
    boards = Boards()
    privacy = boards.privacy()
    boards.stored["a"] = True
    assert await privacy.find("a")
    assert privacy.known("a") is True
    boards.stored["a"] = False
    assert privacy.known("a") is True
    boards.now = LASTING
    assert privacy.known("a") is None
    assert not await privacy.find("a")
    assert boards.asked == 2
    assert not await privacy.find("none"), "there is nothing to be kept from anybody"
    assert privacy.known("none") is None


def test_no_more_is_remembered_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privacy_module, "MOST_REMEMBERED", 2)
    privacy = Boards().privacy()
    for name in "abac":
        privacy.note(name, True)
    assert [privacy.known(name) for name in "abc"] == [True, None, True]


@pytest.mark.parametrize("name", ['{"private":true,', "\\", '"', "private"])
def test_a_name_is_not_taken_for_the_setting(name: str) -> None:
    boards = Boards()
    privacy = boards.privacy()
    both: Any = boards
    both.current = lambda board_id: Event(None, board_json(Board(board_id, name), ()))
    assert privacy.known("a") is False
    meta = Board("a", name, meta={"private": True}, show=("meta",))
    both.current = lambda board_id: Event(None, board_json(meta, (), {"meta": meta.meta}))
    assert privacy.known("a") is False
