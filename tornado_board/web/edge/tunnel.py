"""A client's WebSocket that the upstream serves: bytes are passed on both ways, as they come."""

from __future__ import annotations

import asyncio
import logging

from tornado.iostream import IOStream, StreamClosedError

from tornado_board.tasks import Tasks
from tornado_board.upstream import UpstreamError
from tornado_board.upstream.reply import Reply
from tornado_board.web import websocket
from tornado_board.web.access_log import log_stream_started
from tornado_board.web.handler import Handler

logger = logging.getLogger(__name__)

#: What asks the upstream for it.
FIELDS = (("Connection", "Upgrade"), ("Upgrade", "websocket"))

#: Bytes of the client's that are read at a time: it has little to say but that it is there.
_PIECE = 4_096

#: Seconds that either side may take nothing of what is sent to it.
_STALL = 30.0


async def carry(handler: Handler, reply: Reply, silence: float) -> None:
    """Have the client of `handler` talk to the upstream, which has agreed to it in `reply`, until
    one of them ends, or the upstream says nothing for `silence` seconds: it pings more often."""
    request = handler.request
    head = websocket.handshake_answer(handler)
    client = handler.detach()
    handler.count(101)
    log_stream_started(request.path, request.remote_ip, "websocket")
    tasks = Tasks()
    tasks.start(_to_upstream(client, reply))
    try:
        await _written(client, head)
        while piece := await reply.read(silence):
            await _written(client, piece)
    except (StreamClosedError, TimeoutError):
        pass
    except UpstreamError as error:
        # In the middle of a frame, maybe: no frame that says so would be understood.
        logger.info("a WebSocket broke off: %s", error)
    finally:
        client.close()
        await tasks.cancel()


async def _written(client: IOStream, data: bytes) -> None:
    """Wait until the client has taken `data`, so that no more than that is kept for it."""
    async with asyncio.timeout(_STALL):
        await client.write(data)


async def _to_upstream(client: IOStream, reply: Reply) -> None:
    try:
        while True:
            await reply.send(await client.read_bytes(_PIECE, partial=True), _STALL)
    except StreamClosedError:
        reply.abort()
    except UpstreamError:
        client.close()
