"""What is counted, as Prometheus reads it.

Counts are plain numbers, put into Prometheus's form when somebody asks: its own counters take a
lock and cost a hundred times as much. All of them are changed on the event loop's thread only.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client import GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.utils import floatToGoString

from tornado_board import __version__
from tornado_board.metrics import Behind, Clients, Read

logger = logging.getLogger(__name__)

#: What the names of this server's own metrics begin with.
PREFIX = "tornado_board_"

#: The upper ends, in seconds, of what times are counted in.
_TIMES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

#: The methods that are told by name. Clients may send any.
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})

#: Values of a label that are told apart; the rest are "other". More than there are, so that a
#: mistake costs a label and not the memory.
_MOST_VALUES = 64


class _Times:
    """How long something took, by bucket."""

    __slots__ = ("_counts", "_sum")

    def __init__(self) -> None:
        self._counts = [0] * (len(_TIMES) + 1)
        self._sum = 0.0

    def add(self, seconds: float) -> None:
        self._counts[bisect_left(_TIMES, seconds)] += 1
        self._sum += seconds

    def buckets(self) -> tuple[Sequence[tuple[str, float]], float]:
        """What Prometheus wants of them: how many were no greater than each end, and the sum."""
        ends = (*map(floatToGoString, _TIMES), "+Inf")
        total, found = 0, []
        for end, count in zip(ends, self._counts, strict=True):
            total += count
            found.append((end, float(total)))
        return found, self._sum


class PrometheusMetrics:
    """The `Metrics` of one server, with a registry of its own."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, str, str]] = Counter()
        self._durations: dict[tuple[str, str], _Times] = {}
        self._refused: Counter[str] = Counter()
        self._scored: Counter[str] = Counter({"add": 0, "submit": 0, "bulk": 0})
        self._events = 0
        self._seasons_ended = 0
        self._clients: dict[tuple[str, str], Clients] = {}
        self._behind = Behind()
        self._resets: Counter[str] = Counter()
        self._appends = _Times()
        self._not_appended: Counter[str] = Counter(
            {"unavailable": 0, "refused": 0, "fenced": 0},
        )
        self._observed: dict[str, tuple[str, Read, str]] = {}
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Own(self._collect))
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    # What is counted

    def requested(self, method: str, route: str, status: int, seconds: float) -> None:
        if method not in _METHODS:
            method = "other"
        self._requests[method, route, f"{status // 100}xx"] += 1
        times = self._durations.get((method, route))
        if times is None:
            times = self._durations[method, route] = _Times()
        times.add(seconds)

    def refused(self, status: int) -> None:
        self._refused[str(status)] += 1

    def scored(self, how: str, count: int = 1) -> None:
        self._scored[how] += count

    def published(self) -> None:
        self._events += 1

    def seasons_ended(self, count: int = 1) -> None:
        self._seasons_ended += count

    def clients(self, of: str, transport: str) -> Clients:
        found = self._clients.get((of, transport))
        if found is None:
            found = self._clients[of, transport] = Clients()
        return found

    def behind(self) -> Behind:
        return self._behind

    def reset(self, reason: str, clients: int = 1) -> None:
        if len(self._resets) >= _MOST_VALUES and reason not in self._resets:
            reason = "other"
        self._resets[reason] += clients

    def appended(self, seconds: float) -> None:
        self._appends.add(seconds)

    def not_appended(self, why: str) -> None:
        self._not_appended[why] += 1

    # What is told

    def observe(self, name: str, text: str, read: Read, label: str = "") -> None:
        self._observed[name] = (text, read, label)

    def told(self, accept: str) -> tuple[str, bytes] | None:
        encode, content_type = choose_encoder(accept)
        return content_type, encode(self._registry)

    def _collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily(
            f"{PREFIX}build", "The version of this server.", {"version": __version__}
        )
        yield _counts(
            "requests",
            "Requests that were answered, and streams that were opened.",
            ("method", "route", "status"),
            self._requests,
        )
        durations = HistogramMetricFamily(
            f"{PREFIX}request_duration_seconds",
            "Seconds from a request to its answer; of a long-poll with the wait.",
            labels=("method", "route"),
        )
        for labels, times in self._durations.items():
            durations.add_metric(labels, *times.buckets())
        yield durations
        yield _counts(
            "refused",
            "Requests and connections that were refused before a route was looked for.",
            ("status",),
            self._refused,
        )
        yield _counts(
            "scores",
            "Scores that were stored: by score-add, score or scores.",
            ("how",),
            self._scored,
        )
        yield _count("events", "Events of boards that went out.", self._events)
        yield _count("seasons_ended", "Seasons that have ended.", self._seasons_ended)
        yield from self._collect_clients()
        behind = self._behind
        for name, text, value in (
            (
                "not_taken",
                "Messages that a client's socket did not take at once.",
                behind.not_taken,
            ),
            ("skipped", "Events that a client which was behind was spared.", behind.skipped),
            ("cut_off", "Clients that were too far behind, and cut off.", behind.cut_off),
        ):
            yield _count(f"sends_{name}", text, value)
        yield _counts(
            "resets",
            "Clients that were told that their history is gone, by the reason that they are given.",
            ("reason",),
            self._resets,
        )
        appends = HistogramMetricFamily(
            f"{PREFIX}log_append_duration_seconds", "Seconds that the replay log took for an event."
        )
        appends.add_metric((), *self._appends.buckets())
        yield appends
        yield _counts(
            "log_append_failures",
            "Events that the replay log did not take.",
            ("why",),
            self._not_appended,
        )
        for name, (text, read, label) in self._observed.items():
            yield from _observed(name, text, read, label)

    def _collect_clients(self) -> Iterator[Metric]:
        labels = ("of", "transport")
        streams = GaugeMetricFamily(
            f"{PREFIX}streams", "Open streams and waiting long-polls.", labels=labels
        )
        sent = CounterMetricFamily(
            f"{PREFIX}messages_sent", "Messages of events to clients.", labels=labels
        )
        for key, clients in self._clients.items():
            streams.add_metric(key, clients.open)
            sent.add_metric(key, clients.sent)
        yield streams
        yield sent


class _Own(Collector):
    """The server's own metrics, for a registry."""

    def __init__(self, collect: Callable[[], Iterator[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterator[Metric]:
        return self._collect()


def _count(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(PREFIX + name, text, value=value)


def _counts(
    name: str,
    text: str,
    labels: Sequence[str],
    values: Mapping[str, int] | Mapping[tuple[str, ...], int] | Mapping[tuple[str, str, str], int],
) -> Metric:
    family = CounterMetricFamily(PREFIX + name, text, labels=labels)
    for key, value in values.items():
        family.add_metric((key,) if isinstance(key, str) else key, value)
    return family


def _observed(name: str, text: str, read: Read, label: str) -> Iterator[Metric]:
    try:
        value = read()
    except Exception:
        # One that can't be told must not hide the others.
        logger.exception("the metric %s can't be told", name)
        return
    family = GaugeMetricFamily(PREFIX + name, text, labels=(label,) if label else ())
    if isinstance(value, Mapping):
        for key, one in value.items():
            family.add_metric((key,), one)
    else:
        family.add_metric((), value)
    yield family
