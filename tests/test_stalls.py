"""Answers that came in time while the event loop was busy with something else."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tornado_board.store.rethinkdb import driver
from tornado_board.tasks import time_limit
from tornado_board.upstream import UpstreamLate
from tornado_board.upstream.address import Address
from tornado_board.upstream.connection import Connection

#: Seconds that an answer may take here.
_LIMIT = 0.2


def later(hops: int, call: Callable[[], object]) -> None:
    """`call` after so many turns of the loop: what has arrived takes several to be told of."""
    loop = asyncio.get_running_loop()
    loop.call_soon(later, hops - 1, call) if hops else call()


def stall(begin: Callable[[], object]) -> None:
    """Let the loop be busy until the limit is long over; `begin` is called before that."""
    begin()
    time.sleep(3 * _LIMIT)


@pytest.mark.gen_test
async def test_what_has_arrived_is_not_late() -> None:
    answer = asyncio.get_running_loop().create_future()

    asyncio.get_running_loop().call_soon(stall, lambda: later(4, lambda: answer.set_result(1)))
    async with time_limit(_LIMIT):
        assert await answer == 1
    with pytest.raises(TimeoutError):
        async with time_limit(_LIMIT):
            await asyncio.get_running_loop().create_future()


@pytest.mark.gen_test
async def test_an_answer_of_rethinkdb_is_not_late() -> None:
    loop = asyncio.get_running_loop()

    class Term:
        """What is run, and answered at the time that the test says."""

        def run(self, _: object) -> Any:
            self.answer = loop.create_future()
            return self.answer

    term = Term()
    loop.call_soon(stall, lambda: later(4, lambda: term.answer.set_result(1)))
    assert await driver.run(None, term, _LIMIT) == 1
    with pytest.raises(TimeoutError, match=f"within {_LIMIT} s"):
        await driver.run(None, term, _LIMIT)


@pytest.mark.gen_test
async def test_what_an_upstream_has_sent_is_not_late() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        goes_on = threading.Event()
        sent = threading.Event()

        def serve() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(65_536)
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n")
                goes_on.wait()
                client.sendall(b"here")
                sent.set()
                client.recv(1)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        port = listener.getsockname()[1]
        connection = await Connection.open(Address.parse(f"http://127.0.0.1:{port}"), None, 10)
        await connection.ask("GET", "/", [], b"", 10)

        def send() -> None:
            goes_on.set()
            sent.wait()

        asyncio.get_running_loop().call_soon(stall, send)
        assert await connection.read(_LIMIT) == b"here"
        with pytest.raises(UpstreamLate):
            await connection.read(_LIMIT)
        await asyncio.to_thread(thread.join)
