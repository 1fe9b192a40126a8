"""Whoever watches from outside: scrapes every process, raises alarms, measures memory."""

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

import psutil
import requests
from prometheus_client.parser import text_string_to_metric_families

from chassis.clock import utc_now
from tests.day.alarms import Alarm, Alerts, read_alerts
from tests.day.promql import Samples, Vector
from tests.torture.schedule import Blow
from tests.torture.world import World

#: How often it looks.
EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class Weighed:
    """What a process and its workers held at an instant; it has one `life` until it is killed.

    Units: `rss_mb` is the resident memory of all its processes added up; PostgreSQL's without the
    memory that its processes share.
    """

    part: str
    life: int
    at: datetime
    rss_mb: float


@dataclass
class Observer:
    """Looks every few seconds, in a thread of its own, from `start` to `stop`."""

    world: World
    alerts: Alerts = field(default_factory=read_alerts)
    alarms: list[Alarm] = field(default_factory=list)
    weights: list[Weighed] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to look."""
        self._thread = threading.Thread(target=self._look_on)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        if self._thread:
            self._thread.join()

    def _look_on(self) -> None:
        while not self._stopping.is_set():
            begun = time.monotonic()
            self.alarms += self.alerts.look(self._scrape(), utc_now())
            self.weights += self._weigh(utc_now())
            self._stopping.wait(max(0.1, EVERY_S - (time.monotonic() - begun)))

    def _scrape(self) -> Samples:
        stack = self.world.stack
        targets = [("push-web", stack.push_url)]
        for job, ports in (
            ("push-engine", stack.engine_ports.values()),
            ("cadence", stack.cadence_ports),
        ):
            targets += [(job, f"http://127.0.0.1:{port}") for port in ports]
        samples: dict[str, Vector] = {}
        for job, url in targets:
            for name, labels, value in _read(url):
                of = frozenset({**labels, "job": job, "instance": url}.items())
                samples.setdefault(name, {})[of] = value
        return samples

    def _weigh(self, now: datetime) -> Iterator[Weighed]:
        for blow, number in [*self.world.parts(), (Blow.KILL_POSTGRES, 0)]:
            pid = self.world.pid(blow, number)
            weight = _weigh(pid, is_shared=blow is Blow.KILL_POSTGRES)
            if weight is not None:
                yield Weighed(f"{blow} {number + 1}", pid, now, weight)


def _read(url: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """Yield what a process tells of itself; nothing of one that is away."""
    try:
        answer = requests.get(f"{url}/metrics", timeout=10)
        answer.raise_for_status()
    except requests.RequestException:
        return
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            yield sample.name, sample.labels, sample.value


def _weigh(pid: int, *, is_shared: bool) -> float | None:
    """Return the megabytes of a process and its workers, but of no script; None if it is gone."""
    total = 0
    try:
        leader = psutil.Process(pid)
        for process in [leader, *leader.children(recursive=True)]:
            memory = process.memory_info()
            if is_shared:
                total += memory.rss - memory.shared
            elif os.getpgid(process.pid) == pid:
                total += memory.rss
    except (psutil.Error, ProcessLookupError):
        return None
    return total / 1e6 if total else None
