"""The alerts of deploy/prometheus/alerts.yml, as Prometheus would raise them from these scrapes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import yaml

from tests.day.promql import UNITS, Expression, Samples, Scrapes, parse

ALERTS: Final = Path(__file__).parents[2] / "deploy" / "prometheus" / "alerts.yml"
#: A day in an hour: alerts wait 24 times less long, and look 24 times less far back.
COMPRESSION: Final = 24


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alert that began to fire, or whose figure rose while it fired."""

    name: str
    at: datetime
    value: float


@dataclass
class Rule:
    """One alert: what it watches, how long that must hold, and what is known of it so far."""

    name: str
    expression: Expression
    wait_s: float
    since: datetime | None = None
    highest: float | None = None

    def judge(self, scrapes: Scrapes, now: datetime) -> Iterator[Alarm]:
        """Yield an alarm if it fires anew, or more than before."""
        found = self.expression(scrapes)
        if not found:
            self.since = self.highest = None
            return
        self.since = self.since or now
        value = max(found.values())
        is_due = (now - self.since).total_seconds() >= self.wait_s
        if is_due and (self.highest is None or value > self.highest):
            self.highest = value
            yield Alarm(self.name, now, value)


@dataclass
class Alerts:
    """All of them; what they are shown must come in order."""

    rules: Sequence[Rule]
    scrapes: Scrapes = field(default_factory=lambda: Scrapes(keep_s=3_600 / COMPRESSION))

    def look(self, samples: Samples, now: datetime) -> list[Alarm]:
        """Take a scrape; return what fires anew."""
        self.scrapes.add(now.timestamp(), samples)
        return [alarm for rule in self.rules for alarm in rule.judge(self.scrapes, now)]


def read_alerts(compression: float = COMPRESSION) -> Alerts:
    """Read every alert, with its patience and its windows compressed."""
    groups: list[dict[str, Any]] = yaml.safe_load(ALERTS.read_text())["groups"]
    return Alerts([_read(rule, compression) for group in groups for rule in group["rules"]])


def _read(rule: Mapping[str, Any], compression: float) -> Rule:
    wait = str(rule.get("for", "0s"))
    wait_s = int(wait[:-1]) * UNITS[wait[-1]] / compression
    return Rule(rule["alert"], parse(rule["expr"], compression), wait_s)
