"""Whoever watches from outside: scrapes every process, raises alarms, measures memory."""

import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

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
    _seen: dict[str, Samples] = field(default_factory=dict)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Begin to look; a process that hangs keeps nobody from looking at the others."""
        stack = self.world.stack
        targets = [("push-web", stack.push_url)]
        targets += [("push-engine", _local(port)) for port in stack.engine_ports.values()]
        targets += [("cadence", _local(port)) for port in stack.cadence_ports]
        self._threads = [
            threading.Thread(target=self._repeat, args=(partial(self._scrape, job, url),))
            for job, url in targets
        ]
        self._threads.append(threading.Thread(target=self._repeat, args=(self._look,)))
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, duty: Callable[[], None]) -> None:
        while not self._stopping.is_set():
            begun = time.monotonic()
            duty()
            self._stopping.wait(max(0.1, EVERY_S - (time.monotonic() - begun)))

    def _scrape(self, job: str, url: str) -> None:
        found: dict[str, Vector] = {}
        for name, labels, value in _read(url):
            of = frozenset({**labels, "job": job, "instance": url}.items())
            found.setdefault(name, {})[of] = value
        self._seen[url] = found

    def _look(self) -> None:
        together: dict[str, Vector] = defaultdict(dict)
        for samples in list(self._seen.values()):
            for name, vector in samples.items():
                together[name] |= vector
        self.alarms += self.alerts.look(together, utc_now())
        self.weights += self._weigh(utc_now())

    def _weigh(self, now: datetime) -> Iterator[Weighed]:
        for blow, number in [*self.world.parts(), (Blow.KILL_POSTGRES, 0)]:
            pid = self.world.pid(blow, number)
            weight = _weigh(pid, is_shared=blow is Blow.KILL_POSTGRES)
            if weight is not None:
                yield Weighed(f"{blow} {number + 1}", pid, now, weight)


def _local(port: int) -> str:
    return f"http://127.0.0.1:{port}"


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
