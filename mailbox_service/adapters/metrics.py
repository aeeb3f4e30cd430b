"""Figures for Prometheus (services.metering.Meter), in a registry of their own."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from typing import TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from mailbox_service import __version__
from mailbox_service.services.metering import FIGURES, Figure, FigureKind

PREFIX = "mailbox_service_"
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
# From one database commit to half a day of an IMAP server that was away.
BUCKETS_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400, 43200)

F = TypeVar("F", Counter, Gauge, Histogram)

# A second series for each, saying when counting began; nobody asks.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """All figures, and their text for a scrape (a `Meter`)."""

    def __init__(self, figures: Iterable[Figure] = FIGURES) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        build = Info(f"{PREFIX}build", "What runs here", registry=self._registry)
        build.info({"version": __version__, "python": platform.python_version()})
        self._counters: dict[Figure, Counter] = {}
        self._gauges: dict[Figure, Gauge] = {}
        self._histograms: dict[Figure, Histogram] = {}
        for figure in figures:
            self._add(figure)

    def _add(self, figure: Figure) -> None:
        name, into = PREFIX + figure.name, self._registry
        match figure.kind:
            case FigureKind.COUNTER:
                self._counters[figure] = Counter(name, figure.meaning, figure.labels, registry=into)
            case FigureKind.GAUGE:
                self._gauges[figure] = Gauge(name, figure.meaning, figure.labels, registry=into)
            case FigureKind.HISTOGRAM:
                self._histograms[figure] = Histogram(
                    name, figure.meaning, figure.labels, registry=into, buckets=BUCKETS_SECONDS
                )

    def count(self, figure: Figure, *labels: str, by: float = 1) -> None:
        _of(self._counters[figure], labels).inc(by)

    def set(self, figure: Figure, value: float, *labels: str) -> None:
        _of(self._gauges[figure], labels).set(value)

    def time(self, figure: Figure, seconds: float, *labels: str) -> None:
        # Clocks of servers differ: mail may come from the future.
        _of(self._histograms[figure], labels).observe(max(seconds, 0.0))

    def forget(self, figure: Figure) -> None:
        """Drop all label values of a gauge: a mailbox that is gone must not be shown for ever."""
        self._gauges[figure].clear()

    def text(self) -> bytes:
        """Everything in Prometheus' text format 0.0.4."""
        return generate_latest(self._registry)


def _of(family: F, labels: Sequence[str]) -> F:
    return family.labels(*labels) if labels else family
