"""What is counted while the server runs, for whoever watches it.

The rooms that count are given a `Metrics`. What there is anyway (open connections, live boards) is
not counted there: `observe` names a function that reads it when somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

#: Reads what there is now: a number, or one for each value of a label.
Read = Callable[[], float | Mapping[str, float]]


class Clients:
    """Those who are sent events over one transport. Who changes them counts here: an attribute
    costs a fan-out less than a call."""

    __slots__ = ("open", "sent")

    def __init__(self) -> None:
        #: Open streams, or waiting long-polls.
        self.open = 0
        #: Messages that they were sent: of one event, one for each client.
        self.sent = 0


class Behind:
    """What became of what clients did not take at once: counted as `Clients` are."""

    __slots__ = ("cut_off", "not_taken", "skipped")

    def __init__(self) -> None:
        #: Messages that a client's socket did not take at once.
        self.not_taken = 0
        #: Events that such a client is not sent, since there is a newer one.
        self.skipped = 0
        #: Clients that were so far behind that their connection was closed.
        self.cut_off = 0


class Metrics(Protocol):
    """Counts what happens. Nothing here waits, raises, or keeps anything that a client chose."""

    def requested(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered. `route` is the template of its path, empty where none fits."""

    def refused(self, status: int) -> None:
        """A request, or a connection, was refused before a route was looked for."""

    def scored(self, how: str, count: int = 1) -> None:
        """Scores were stored: by ``add``, ``submit`` or ``bulk``."""

    def published(self) -> None:
        """An event of a board went out."""

    def seasons_ended(self, count: int = 1) -> None:
        """Seasons of boards have ended, while this process sees to that."""

    def clients(self, of: str, transport: str) -> Clients:
        """Those who listen to ``board``, ``boards`` or ``place`` over `transport`. The same object
        each time."""

    def behind(self) -> Behind:
        """What clients that are behind are counted in. The same object each time."""

    def reset(self, reason: str, clients: int = 1) -> None:
        """Clients were told that their history is gone. `reason` is one of this server's texts."""

    def appended(self, seconds: float) -> None:
        """The replay log took an event."""

    def not_appended(self, why: str) -> None:
        """It did not: it was ``unavailable``, ``refused`` it, or another process is the publisher
        (``fenced``)."""

    def observe(self, name: str, text: str, read: Read, label: str = "") -> None:
        """Tell what `read` returns, whenever somebody asks, as the gauge `name` that `text`
        describes; where it returns several, `label` is what tells them apart."""

    def told(self, accept: str) -> tuple[str, bytes] | None:
        """Everything, for a client that takes what the ``Accept`` header says: the content type and
        the bytes. ``None`` where nothing is counted."""


def open_metrics(*, wanted: bool) -> Metrics:
    """The `Metrics` of a server that counts only if that is `wanted`."""
    if not wanted:
        return NoMetrics()
    from tornado_board.metrics.prometheus import PrometheusMetrics

    return PrometheusMetrics()


class NoMetrics:
    """The `Metrics` that counts nothing."""

    def requested(self, method: str, route: str, status: int, seconds: float) -> None:
        pass

    def refused(self, status: int) -> None:
        pass

    def scored(self, how: str, count: int = 1) -> None:
        pass

    def published(self) -> None:
        pass

    def seasons_ended(self, count: int = 1) -> None:
        pass

    def clients(self, of: str, transport: str) -> Clients:
        return Clients()

    def behind(self) -> Behind:
        return Behind()

    def reset(self, reason: str, clients: int = 1) -> None:
        pass

    def appended(self, seconds: float) -> None:
        pass

    def not_appended(self, why: str) -> None:
        pass

    def observe(self, name: str, text: str, read: Read, label: str = "") -> None:
        pass

    def told(self, accept: str) -> tuple[str, bytes] | None:
        return None
