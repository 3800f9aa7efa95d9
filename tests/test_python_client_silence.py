"""How long the Python client lets a stream bring nothing."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tornado_board.client import AsyncClient, Client, Update

STREAM = b'event: update\ndata: {"id":"demo","name":"Demo","players":[]}\nid: 1-1\n\n'


class Transport(httpx.MockTransport):
    """Answers with a stream, and notes what it is asked for."""

    def __init__(self) -> None:
        self.timeouts: list[Any] = []
        super().__init__(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.timeouts.append(request.extensions["timeout"])
        return httpx.Response(200, content=STREAM, headers={"Content-Type": "text/event-stream"})


@pytest.mark.gen_test
async def test_it_is_a_keepalive_or_what_the_program_says() -> None:
    transport = Transport()
    both: list[dict[str, Any]] = [{}, {"silence": 700.0}]
    for options in both:
        with Client("http://a", http=httpx.Client(transport=transport), **options) as boards:
            assert isinstance(next(boards.watch("demo")), Update)
        http = httpx.AsyncClient(transport=transport)
        async with AsyncClient("http://a", http=http, **options) as watching:
            assert isinstance(await anext(watching.watch("demo")), Update)
        await http.aclose()
    assert [timeout["read"] for timeout in transport.timeouts] == [45, 45, 700, 700]
    assert {timeout["connect"] for timeout in transport.timeouts} == {10}
