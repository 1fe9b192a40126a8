"""The gauges of push_blaster for Prometheus.

The values come from the database and the data folder, so every process answers the same.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

from chassis.clock import utc_now
from chassis.health import Questions
from chassis.metrics import Gauge, expected_gauge, read_upkeep_from
from chassis.postgres import Database
from chassis.schema_changes import find_lock_waits
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.cadence.cadence_client import CadenceClient
from push_blaster.adapters.cadence.cadence_http import CadenceUnauthorizedError
from push_blaster.adapters.engagement.event_inbox import find_waits
from push_blaster.adapters.funnels import sum_funnels
from push_blaster.adapters.operations.destination_table import count_given_up
from push_blaster.adapters.operations.operation_view import (
    count_ended_phases,
    count_open_violations,
    count_repeated_steps,
    count_running_phases,
    select_backlog,
    select_lateness,
)
from push_blaster.adapters.operations.shortages import free_bytes
from push_blaster.domain.executions.phase import ENDED, RUNNING
from push_blaster.domain.executions.safeguards import Severity
from push_blaster.use_cases.context import LOCK_WAIT
from push_blaster.use_cases.schedule.watch_clock import ClockWatch

#: How far back the gauges about ended executions go.
LATELY: Final = timedelta(hours=24)
#: How far back the gauge about live sends that began late goes.
LATE_LATELY: Final = timedelta(minutes=15)
#: The parts whose gauges come as they are, in their order.
_PARTS: Final = (
    *("space", "files", "clock", "locks", "executions", "alerts", "reports", "upkeep"),
)
_NOTHING_EXPECTED: Final[Mapping[str, int | None]] = {"engines": None, "webs": None}


def read_gauges_from(
    database: Database,
    files: AutomationFiles,
    cadence: CadenceClient,
    watch: ClockWatch,
    data_folder: Path,
    expected: Mapping[str, int | None] = _NOTHING_EXPECTED,
) -> Callable[[], Iterator[Gauge]]:
    """Return the function that reads all gauges, but those of a part that does not answer.

    Shape: `expected` says of engines and webs how many should run, if a setting says so.
    """
    parts = Questions(
        {
            "database": database.ping,
            "cadence": lambda: _accepts_us(cadence),
            "space": lambda: list(_read_space(data_folder)),
            "files": lambda: list(_read_files(files)),
            "clock": lambda: list(_read_clock(watch)),
            "locks": lambda: list(_read_locks(database)),
            "executions": lambda: list(_read_database(database)),
            "alerts": lambda: list(_read_alerts(database)),
            "reports": lambda: list(_read_reports(database)),
            "upkeep": read_upkeep_from(database, "push", ("backup", "prune")),
        }
    )

    def read() -> Iterator[Gauge]:
        answers = parts.ask()
        is_up = "database" in answers.values
        yield _one("push_database_up", "Whether the database answers.", is_up)
        yield from _describe_cadence(answers.values.get("cadence"))
        for kind, number in expected.items():
            yield expected_gauge(f"push_{kind}_expected", number)
        for name in _PARTS:
            yield from answers.values.get(name, ())

    return read


def _accepts_us(cadence: CadenceClient) -> bool:
    """Return whether the cadence service accepts our token; an error if it is away."""
    try:
        cadence.ping()
    except CadenceUnauthorizedError:
        return False
    return True


def _describe_cadence(accepts_us: bool | None) -> Iterator[Gauge]:
    """Yield the gauges of the cadence service; None means that it did not answer."""
    up = "Whether the cadence service is well, and accepts our token."
    yield _one("push_cadence_up", up, bool(accepts_us))
    known = {} if accepts_us is None else {"": float(accepts_us)}
    yield Gauge("push_cadence_authorized", "Whether the service accepts our token.", known)


def _read_space(data_folder: Path) -> Iterator[Gauge]:
    free = free_bytes(data_folder)
    yield _one("push_data_free_bytes", "Room on the disk of the data folder.", free)


def _read_files(files: AutomationFiles) -> Iterator[Gauge]:
    broken = len(files.list_all().broken)
    yield _one("push_broken_automations", "Files that are no automation.", broken)


def _read_clock(watch: ClockWatch) -> Iterator[Gauge]:
    report = watch.look(utc_now())
    yield _one("push_engines_alive", "Engines at work.", len(report.engines))
    yield _one("push_automations_scheduled", "Automations with a schedule.", len(report.jobs))
    holding = sum(engine.clock_jump is not None for engine in report.engines)
    yield _one("push_engines_holding", "Engines that hold, because their clocks part.", holding)
    ahead = {e.id: e.clock_ahead.total_seconds() for e in report.engines if e.clock_ahead}
    off = "How far the clock of an engine's machine is ahead of the database's."
    yield Gauge("push_engine_clock_ahead_seconds", off, ahead, "engine")
    late = "Automations that should have begun, or been taken up, and were not."
    yield _one("push_slots_late", late, len(report.divergent))


def _read_locks(database: Database) -> Iterator[Gauge]:
    with database.transaction(waits_for_locks=LOCK_WAIT) as connection:
        waits = find_lock_waits(connection)
    longest = "For how long a statement has stood still, since another transaction holds a lock."
    yield _one("push_lock_wait_seconds", longest, waits.seconds if waits else 0)


def _read_reports(database: Database) -> Iterator[Gauge]:
    with database.transaction(waits_for_locks=LOCK_WAIT) as connection:
        waits = find_waits(connection)
    oldest = "For how long the oldest report has waited to be counted."
    yield Gauge("push_reports_waiting_seconds", oldest, waits, "kind")


def _read_database(database: Database) -> Iterator[Gauge]:
    now = utc_now()
    since = now - LATELY
    with database.transaction(waits_for_locks=LOCK_WAIT) as connection:
        running = dict.fromkeys(RUNNING, 0) | count_running_phases(connection)
        ended = dict.fromkeys(ENDED, 0) | count_ended_phases(connection, since)
        backlog = select_backlog(connection, now, since)
        lateness = select_lateness(connection, now, now - LATE_LATELY)
        funnel = {"sent": 0, "failed": 0} | sum_funnels(connection, since)
        uncapped = sum_funnels(connection, since, ["sent"], only_uncapped=True)["sent"]
        repeated = count_repeated_steps(connection, since)
        violations = dict.fromkeys(Severity, 0) | count_open_violations(connection)
    yield Gauge("push_executions_running", "Executions that have not ended.", running, "phase")
    yield Gauge("push_executions_ended", "Live executions, of 24 hours.", ended, "phase")
    yield Gauge("push_funnel_users", "Users of live pushes, now and of 24 hours.", funnel, "stage")
    queue = {"steps": backlog.steps, "batches": backlog.batches}
    yield Gauge("push_queue_depth", "Work that is due and not done.", queue, "kind")
    oldest = "For how long the oldest step has been due, or nobody has worked on a live send."
    yield _one("push_queue_oldest_seconds", oldest, backlog.oldest)
    late = "How late the latest live push of the last 15 minutes began, or is now."
    yield _one("push_lateness_seconds", late, lateness)
    waiting = "Executions that wait because their engines are short of something."
    yield _one("push_executions_waiting", waiting, backlog.waiting)
    unchecked = "Live executions that went out without their cap check, of 24 hours."
    yield _one("push_executions_uncapped", unchecked, backlog.uncapped)
    yield _one("push_sends_uncapped", "Messages that they sent.", uncapped)
    again = "Steps that began again, since their engine was gone, of executions of 24 hours."
    yield _one("push_step_second_attempts", again, repeated)
    untracked = "Batches that the cadence service has not recorded."
    yield _one("push_batches_untracked", untracked, backlog.untracked)
    yield Gauge("push_violations_open", "Findings that are not resolved.", violations, "severity")


def _read_alerts(database: Database) -> Iterator[Gauge]:
    with database.transaction(waits_for_locks=LOCK_WAIT) as connection:
        given_up = count_given_up(connection)
    lost = "Alerts that were given up, of destinations that have taken none since then."
    yield _one("push_alerts_given_up", lost, given_up)


def _one(name: str, text: str, figure: float) -> Gauge:
    return Gauge(name, text, {"": figure})
