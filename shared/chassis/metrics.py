"""Metrics in the text format of Prometheus: counters of each process, gauges of a service."""

import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from flask import Flask, Response, g, request
from prometheus_client import REGISTRY, CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from chassis.postgres import Pool
from chassis.rows import fetch_all

#: The folder of the counters of all workers of one service; `serve` sets it.
FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
_LATENCIES: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

#: The label of every route and every method that the service does not have.
OTHER: Final = "other"
_METHODS: Final = {"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"}

REQUESTS: Final = Histogram(
    "http_request_seconds",
    "How long requests took, by the route's pattern.",
    ("method", "route", "status"),
    buckets=_LATENCIES,
)


@dataclass(frozen=True, slots=True)
class Gauge:
    """A figure at the time of the request.

    Shape: `values` by the value of `label`; the key of a figure without a label is "".
    """

    name: str
    help: str
    values: Mapping[str, float]
    label: str | None = None


def expected_gauge(name: str, expected: int | None) -> Gauge:
    """Return the gauge of a number that a setting expects; it has no value if none is set."""
    return Gauge(name, "How many should run.", {} if expected is None else {"": expected})


def read_upkeep_from(
    database: Pool[Any], service: str, tasks: Collection[str]
) -> Callable[[], list[Gauge]]:
    """Return the function that reads how old the last good run of each of `tasks` is."""

    def read() -> list[Gauge]:
        sql = "SELECT task, extract(epoch FROM clock_timestamp() - good_at)::float8 FROM upkeep"
        with database.transaction() as connection:
            ages: dict[str, float] = dict(fetch_all(connection, sql))
        return [describe(task, {"": ages[task]} if task in ages else {}) for task in tasks]

    def describe(task: str, known: Mapping[str, float]) -> Gauge:
        return Gauge(f"{service}_{task}_age_seconds", f"Since the last good {task}.", known)

    return read


def time_requests(app: Flask) -> None:
    """Time every request of `app`, from the beginning that `trace_requests` notes."""

    @app.after_request
    def end(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else OTHER
        method = request.method if request.method in _METHODS else OTHER
        took = time.monotonic() - g.begun_at
        REQUESTS.labels(method, route, str(response.status_code)).observe(took)
        return response


def write_metrics(gauges: Iterable[Gauge]) -> bytes:
    """Return the counters of all processes of this service, then `gauges`."""
    known = CollectorRegistry()
    known.register(_Known(gauges))
    return generate_latest(_counted()) + generate_latest(known)


def _counted() -> CollectorRegistry:
    if not os.environ.get(FOLDER):  # noqa: TID251 - the library's own setting, made by `serve`
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # missing in its types
    return registry


class _Known(Collector):
    def __init__(self, gauges: Iterable[Gauge]) -> None:
        self._gauges = list(gauges)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        for gauge in self._gauges:
            labels = [gauge.label] if gauge.label else []
            family = GaugeMetricFamily(gauge.name, gauge.help, labels=labels)
            for value, figure in gauge.values.items():
                family.add_metric([value] if gauge.label else [], figure)
            yield family
