"""This server, with the time taken that each step of its event loop takes the processor.

It is driven by lines on stdin: ``slices`` is answered with those since the last time, and sets them
back. While a step runs no request is looked at, whatever else the machine does meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from typing import IO, Any

#: A step that takes this many milliseconds is a long one.
LONG = 5.0


class Slices:
    """What the steps of this thread's event loop took."""

    def __init__(self) -> None:
        self._longest, self._long = 0.0, 0
        run: Any = asyncio.Handle._run

        def timed(handle: asyncio.Handle) -> None:
            began = time.thread_time()
            run(handle)
            took = 1000 * (time.thread_time() - began)
            if took > self._longest:
                self._longest = took
            self._long += took >= LONG

        setattr(asyncio.Handle, "_run", timed)  # noqa: B010

    def answer(self, commands: IO[str], answers: IO[str]) -> None:
        """Answer each of `commands`."""
        for _ in commands:
            found = {"longest_ms": self._longest, "long": self._long}
            self._longest, self._long = 0.0, 0
            print(json.dumps(found), file=answers, flush=True)


def main() -> int:
    """Serve as ``python -m tornado_board`` does."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the server says is no answer
    slices = Slices()
    threading.Thread(target=slices.answer, args=(sys.stdin, answers), daemon=True).start()
    from tornado_board.server import main as serve

    return serve()


if __name__ == "__main__":
    raise SystemExit(main())
