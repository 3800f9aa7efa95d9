"""A Tornado handler that does nothing but answer a few bytes: what any request costs there."""

from __future__ import annotations

import asyncio
import sys

import tornado.web


class Bare(tornado.web.RequestHandler):
    def get(self) -> None:
        self.finish(b'{"status":"ok"}')


async def main(port: int) -> None:
    """Serve on `port` until the process ends."""
    application = tornado.web.Application([(r"/.*", Bare)], log_function=lambda _: None)
    application.listen(port, "127.0.0.1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
