"""The slices in which the members of an audience are sent to."""

from __future__ import annotations

import asyncio

import pytest

from tornado_board.realtime.audience import Audience, broadcast
from tornado_board.realtime.wires import Message
from tornado_board.realtime.wires.checksum import Joined


class Member:
    """A member of an audience that takes everything, and notes in which turn of the loop."""

    closed = False
    joined: Joined | None = None

    def __init__(self, turns: list[int]) -> None:
        self.audience: Audience | None = None
        self.place = -1
        self.turn = -1
        self._turns = turns

    def send(self, data: Message) -> int:
        self.turn = len(self._turns)
        return len(data)

    def sent(self, data: Message, count: int) -> None: ...

    def refused(self, data: Message, error: OSError) -> None: ...

    def is_dead(self, patience: float) -> bool:
        return False

    def finish(self, end: bytes) -> None: ...

    def close(self) -> None: ...


@pytest.mark.gen_test
async def test_members_who_have_work_with_it_are_sent_to_in_smaller_slices() -> None:
    turns: list[int] = []

    async def count_turns() -> None:
        while True:
            turns.append(1)
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    audience = Audience(lambda *_: b"", slice=2)
    members = [Member(turns) for _ in range(5)]
    for member in members:
        audience.add(member)
    await asyncio.sleep(0)
    await broadcast({audience: Message(b"event")})
    first = members[0].turn
    assert [member.turn - first for member in members] == [0, 0, 1, 1, 2]
    assert audience.send_now(Message(b"event")), "few are sent to at once all the same"
    assert {member.turn for member in members} == {len(turns)}
    counting.cancel()
