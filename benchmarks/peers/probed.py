"""``tornado_board`` with a probe in its event loop: how long its thread works between two looks at
what has arrived, from when it serves. While it does, everybody else waits.

Counted is the thread's own time of the processor, so that other programs are not in it. The
figures are in ``slices.json`` when the server has stopped. (`sliced_server` has single steps.)
"""

from __future__ import annotations

import asyncio
import json
import selectors
import time
from array import array
from pathlib import Path
from typing import Any

from tornado_board import server, serving


class _Selector(selectors.DefaultSelector):
    """Notes the time from each look to the next one."""

    def __init__(self) -> None:
        super().__init__()
        self.begin()

    def begin(self) -> None:
        """Note the times from now on."""
        self.slices = array("d")
        self._since = time.thread_time()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.slices.append(time.thread_time() - self._since)
        found = super().select(timeout)
        self._since = time.thread_time()
        return found


class _Policy(asyncio.DefaultEventLoopPolicy):
    def __init__(self, selector: _Selector) -> None:
        super().__init__()
        self._selector = selector

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.SelectorEventLoop(self._selector)


def main() -> int:
    selector = _Selector()
    asyncio.set_event_loop_policy(_Policy(selector))
    began = serving.begin

    def begin(*arguments: Any, **named: Any) -> None:
        selector.begin()
        began(*arguments, **named)

    server.begin = begin  # type: ignore[attr-defined]
    code = server.main()
    in_order = sorted(selector.slices)
    figures = {
        "count": len(in_order),
        "p999_ms": 1000 * in_order[int(0.999 * (len(in_order) - 1))],
        "longest_ms": 1000 * in_order[-1],
    }
    Path("slices.json").write_text(json.dumps(figures))
    return code


if __name__ == "__main__":
    raise SystemExit(main())
