"""Several streams as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from tornado_board.store.rethinkdb.merging import merged


class Source:
    """Streams that say whether they are open, and how far they were read."""

    def __init__(self) -> None:
        self.open = 0
        self.taken = 0

    async def stream(
        self, *elements: int, fails: bool = False, waits: bool = False
    ) -> AsyncGenerator[int, None]:
        self.open += 1
        try:
            for element in elements:
                await asyncio.sleep(0)
                self.taken += 1
                yield element
            if waits:
                await asyncio.Event().wait()
            if fails:
                raise ValueError("it broke off")
        finally:
            await asyncio.sleep(0)
            self.open -= 1


def test_all_that_the_streams_give_comes_each_ones_in_its_order() -> None:
    async def test() -> None:
        source = Source()
        streams = [source.stream(1, 2, 3), source.stream(), source.stream(10, 20)]
        found = [element async for element in merged(streams)]
        assert sorted(found) == [1, 2, 3, 10, 20]
        assert [element for element in found if element < 10] == [1, 2, 3]
        assert [element for element in found if element >= 10] == [10, 20]
        assert source.open == 0

    asyncio.run(test())


def test_one_that_fails_ends_all() -> None:
    async def test() -> None:
        source = Source()
        both = merged([source.stream(1, fails=True), source.stream(waits=True)])
        assert await anext(both) == 1
        with pytest.raises(ValueError, match="it broke off"):
            await anext(both)
        assert source.open == 0

    asyncio.run(test())


def test_closing_it_closes_all_and_nothing_is_read_far_ahead() -> None:
    async def test() -> None:
        source = Source()
        both = merged([source.stream(*range(100)), source.stream(*range(100))])
        await anext(both)
        for _ in range(20):
            await asyncio.sleep(0)
        assert source.taken <= 3
        assert source.open == 2
        await both.aclose()
        assert source.open == 0

    asyncio.run(test())


def test_cancelled_while_it_waits_it_closes_all() -> None:
    async def test() -> None:
        source = Source()

        async def read() -> None:
            async for _ in merged([source.stream(waits=True), source.stream(1, waits=True)]):
                pass

        reading = asyncio.create_task(read())
        while source.taken < 1:
            await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        while source.open:
            await asyncio.sleep(0)

    asyncio.run(test())
