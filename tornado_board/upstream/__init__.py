"""What a server does that follows another one instead of having a store: an edge.

It hears of each board that somebody here watches over streams of several boards (`followed`),
keeps what it hears in its own replay log (`edge_log`), and has the upstream answer the rest
(`upstreams`). HTTP to the upstream is in here only.
"""

from __future__ import annotations


class UpstreamError(Exception):
    """The upstream did not give what it was asked for. `str(error)` says which upstream and why,
    without credentials, and is fit to be shown to a client."""


class UpstreamUnreachable(UpstreamError):
    """No connection could be made: nothing was asked."""


class UpstreamBroke(UpstreamError):
    """The connection ended, or was no HTTP any more, before the answer was whole. What was asked
    may have been carried out or not."""


class UpstreamLate(UpstreamError):
    """There was no answer in time. What was asked may have been carried out or not."""


class UpstreamRefused(UpstreamError):
    """The upstream answered, but not with what was asked for: `status` says how."""

    def __init__(self, message: str, status: int, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        #: Seconds that it asked to wait.
        self.retry_after = retry_after


class UpstreamBusy(UpstreamError):
    """As much is under way to the upstream as there may be, or it says so itself: nothing was
    done."""


class LoopFound(UpstreamError):
    """What was asked for would come back to this server: it follows itself, through others."""


class NotPublic(Exception):
    """The upstream wants a token for this board: only it can tell who may read it."""
