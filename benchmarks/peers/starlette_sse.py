"""Starlette on uvicorn (with uvloop and httptools), sse-starlette's `EventSourceResponse`."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

from benchmarks import payload
from benchmarks.peers import InProcess, obey


class StarletteSSE(InProcess):
    name = "Starlette on uvicorn, `EventSourceResponse`"
    module = __name__
    needs = ("starlette", "uvicorn", "sse_starlette", "uvloop", "httptools")


async def main() -> None:
    import uvicorn
    from sse_starlette import EventSourceResponse, ServerSentEvent
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.routing import Route

    queues: set[asyncio.Queue[ServerSentEvent]] = set()

    taken = 0

    async def events() -> AsyncIterator[ServerSentEvent]:
        nonlocal taken
        queue: asyncio.Queue[ServerSentEvent] = asyncio.Queue()
        queues.add(queue)
        try:
            while True:
                yield await queue.get()
                taken += 1
        finally:
            queues.discard(queue)

    async def stream(request: Request) -> EventSourceResponse:
        return EventSourceResponse(events(), headers={"Cache-Control": "no-store, no-transform"})

    async def publish_one(seq: int) -> None:
        event = ServerSentEvent(payload.data(seq), event="update", id=f"1795279177639-{seq}")
        goal = taken + len(queues)
        for queue in queues:
            queue.put_nowait(event)
        # Without this, flat out, the queues would grow without end.
        while taken < goal:  # noqa: ASYNC110
            await asyncio.sleep(0)

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(4096)
    app = Starlette(routes=[Route("/events", stream)])
    config = uvicorn.Config(app, log_level="error", access_log=False, backlog=4096)
    serving = asyncio.create_task(uvicorn.Server(config).serve([listener]))
    await obey(listener.getsockname()[1], publish_one)
    await serving


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
