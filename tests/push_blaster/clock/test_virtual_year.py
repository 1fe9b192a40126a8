"""A year of random automations through the real clock and the real database, against an oracle.

Three years in which zones did odd things: Apia lost a day in 2011, Brazil's clocks changed at
midnight in 2018, and 2026 is an ordinary one. In each of them 80 automations (`make stories`: 167)
are created, edited, renamed, paused and resumed at random instants, executions take minutes or
days, and the engine is away for stretches from minutes to days. The virtual clock goes from instant
of interest to instant of interest, and now and then another engine's clock does the work.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from random import Random

import pytest

from chassis.postgres import Database
from push_blaster.adapters.automations.automation_document import read_automation
from push_blaster.adapters.automations.automation_files import StoredAutomation
from push_blaster.adapters.operations.execution_stops import end_execution
from push_blaster.domain.executions.phase import RUNNING, Phase
from push_blaster.use_cases.executions.stop_execution import cancel_pending
from push_blaster.use_cases.schedule.open_executions import Clock
from tests.push_blaster.clock.oracle import (
    Outage,
    Outcome,
    duration_of,
    expect,
    instants_of_interest,
)
from tests.push_blaster.clock.random_automations import Change, Version, random_life


@dataclass
class World:
    """Automations as they stand, engines that look at them, and executions that come to an end."""

    database: Database
    dice: Random
    clocks: list[Clock] = field(default_factory=list)
    automations: dict[str, StoredAutomation] = field(default_factory=dict)
    running: list[tuple[datetime, str]] = field(default_factory=list)

    def change(self, version: Version) -> None:
        automation = read_automation(version.document)
        stored = StoredAutomation(automation, version.document)
        self.automations = {**self.automations, automation.id: stored}
        if version.change is Change.PAUSED:
            cancel_pending(self.database, automation.id, "Paused.", version.at)

    def start_engines(self) -> None:
        self.clocks = [Clock(self.database), Clock(self.database)]

    def tick(self, now: datetime) -> None:
        clock = self.clocks[self.dice.random() < 0.03]
        for execution_id in clock.tick(self.automations, now):
            slot = datetime.strptime(execution_id.split("@")[1], "%Y%m%dT%H%M%S%z")
            ends_at = max(slot, now) + duration_of(execution_id)
            heappush(self.running, (ends_at, execution_id))

    def end_executions(self, now: datetime) -> None:
        while self.running and self.running[0][0] <= now:
            ends_at, execution_id = heappop(self.running)
            with self.database.transaction() as connection:
                end = (Phase.COMPLETED, "Done.")
                end_execution(connection, execution_id, RUNNING, end, ends_at)

    def outcomes(self) -> dict[str, Outcome]:
        with self.database.transaction() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT id, slot, created_at, phase, ended_at FROM executions")
            return {
                row[0]: Outcome(row[1], row[2], Phase(row[3]), row[4]) for row in cursor.fetchall()
            }


@pytest.mark.parametrize("year", [2011, 2018, 2026])
def test_every_slot_of_a_year_becomes_what_it_ought_to(
    database: Database, year: int, seed: int, automations: int
) -> None:
    dice = Random(f"{seed}/{year}")  # noqa: S311 - chances, no secrets
    begin, end = datetime(year, 1, 3, tzinfo=UTC), datetime(year, 12, 28, tzinfo=UTC)
    lives = [random_life(dice, number, begin, end) for number in range(automations)]
    outages = list(random_outages(dice, begin, end))
    expected: dict[str, Outcome] = {}
    for life in lives:
        expected |= expect(life, outages, end)

    actual = live_through(World(database, dice), lives, outages, end)

    wrong = {
        name: {"ought to be": expected.get(name), "is": actual.get(name)}
        for name in expected.keys() | actual.keys()
        if expected.get(name) != actual.get(name)
    }
    assert not wrong, f"CLOCK_SEED={seed}: {len(wrong)} of {len(expected)}, such as {first(wrong)}"
    assert {outcome.phase for outcome in expected.values()} >= {
        Phase.COMPLETED,
        Phase.CANCELLED,
        Phase.MISSED,
        Phase.SKIPPED,
    }


def live_through(
    world: World, lives: Sequence[list[Version]], outages: Sequence[Outage], end: datetime
) -> dict[str, Outcome]:
    """Let the year pass; at each instant executions end, people change things, the clock looks."""
    ticks = set().union(*(instants_of_interest(life, outages, end) for life in lives))
    changes: dict[datetime, list[Version]] = {}
    for version in (version for life in lives for version in life):
        changes.setdefault(version.at, []).append(version)
    starts = {outage.end for outage in outages}
    world.start_engines()
    for now in sorted(ticks | changes.keys() | starts | {end}):
        if now in starts:
            world.start_engines()
        world.end_executions(now)
        for version in changes.get(now, ()):
            world.change(version)
        if now in ticks:
            world.tick(now)
    longest = timedelta(days=30)
    world.end_executions(end + longest)
    return world.outcomes()


def random_outages(dice: Random, begin: datetime, end: datetime) -> list[Outage]:
    """Return stretches without an engine, from a minute to a week; they do not overlap."""
    found: list[Outage] = []
    at = begin
    while at < end - timedelta(days=40):
        at += timedelta(minutes=dice.randrange(60 * 24 * 40))
        length = timedelta(minutes=dice.choice((1, 20, 50, 300, 60 * 24 * 2, 60 * 24 * 7)))
        found.append(Outage(at, at + length))
        at += length
    return found


def first(wrong: dict[str, dict[str, Outcome | None]]) -> object:
    return min(wrong.items())
