"""The health of push_blaster: its database, engines and clock, and the cadence service."""

import resource
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from flask import Response

from chassis.bearer_auth import answer_in_a_word, tells_callers_more
from chassis.clock import utc_now
from chassis.health import Questions
from chassis.postgres import Database
from chassis.schema_changes import find_lock_waits
from chassis.service import Routes
from push_blaster.adapters.automations.document_files import BrokenFile
from push_blaster.adapters.cadence.cadence_http import NOT_ACCEPTED
from push_blaster.adapters.executions.execution_table import count_running, select_waiting
from push_blaster.adapters.operations.alert_webhook import NotTakenError
from push_blaster.adapters.operations.destination_table import select_destinations
from push_blaster.adapters.operations.engine_table import EngineRecord
from push_blaster.adapters.operations.operation_view import select_lateness
from push_blaster.adapters.operations.shortages import ShortageError, check_room
from push_blaster.domain.executions.limits import Limits
from push_blaster.use_cases.context import LOCK_WAIT, WebContext
from push_blaster.use_cases.schedule.watch_clock import ClockReport, ClockWatch
from push_blaster.web.operations.metrics import LATE_LATELY
from push_blaster.web.operations.provider import read_provider

#: While the clock cannot be asked, nothing is known about the engines.
_UNKNOWN: Final = ClockReport((), (), ())
#: How many executions that wait are named.
WAITING_SHOWN: Final = 5


class ProviderFailsError(Exception):
    """The provider takes hardly any message; the message says how few."""


class StandsStillError(Exception):
    """Statements wait for a lock; the message says for how long, and for whose."""


class LiveSendLateError(Exception):
    """A live send began late; the message says how late."""


def health_routes(
    context: WebContext, watch: ClockWatch, expected_engines: int | None = None
) -> Routes:
    """Return the route that shows the health of push_blaster; to a stranger, in a word.

    Shape: `expected_engines` is how many engines should run, if a setting says so.
    """
    routes = Routes("health", __name__, description="Health")
    started_at = time.monotonic()
    parts = _make_questions(context, watch)

    @routes.route("/health", methods=["GET"])
    @routes.route("/api/health", methods=["GET"])
    @tells_callers_more
    @routes.answers(503)
    def read_health() -> Response:
        """Show the health of the service; 503 if automations cannot run.

        A stranger gets only `status`; the rest is for a caller with a token.
        """
        began = time.monotonic()
        answers = parts.ask()
        known = answers.values
        report: ClockReport = known.get("clock", _UNKNOWN)
        found = answers.states | _miss_engines(len(report.engines), expected_engines)
        broken: tuple[BrokenFile, ...] = known.get("files", ())
        status = _status(found, report, broken)
        body = {
            "status": status,
            "service": "push-blaster",
            "timestamp": utc_now(),
            "uptime": time.monotonic() - started_at,
            "automationEngine": _show_engine(report, known.get("executions")),
            "brokenAutomations": [{"file": b.name, "error": b.error} for b in broken],
            "dependencies": {
                "database": "connected" if found["database"] == "ok" else "degraded",
                "cadence": _judge_cadence(found["cadence"]),
            },
            "transport": "file" if context.writes_to_file else "providers",
            "problems": _list_problems(found, report),
            "remarks": answers.remarks,
            "memoryUsage": {"maxRssKb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss},
            "responseTimeMs": round((time.monotonic() - began) * 1_000),
        }
        response = answer_in_a_word(body, 503 if status == "critical" else 200)
        response.headers["X-Health-Status"] = status
        return response

    return routes


def _miss_engines(alive: int, expected: int | None) -> dict[str, str]:
    if not expected or alive >= expected:
        return {}
    return {
        "engines": f"{alive} of the {expected} expected engines (PUSH_EXPECTED_ENGINES) are alive"
    }


def _judge_cadence(found: str) -> str:
    if found == "ok":
        return "healthy"
    return "unauthorized" if NOT_ACCEPTED in found else "unreachable"


def _list_problems(found: Mapping[str, str], report: ClockReport) -> list[str]:
    return [
        *[f"{name}: {state}" for name, state in found.items() if state != "ok"],
        *[f"{job.automation.id}: {job.problem}" for job in report.divergent[:10]],
        *[engine.clock_problem for engine in report.engines if engine.clock_problem],
    ]


def _make_questions(context: WebContext, watch: ClockWatch) -> Questions:
    database, limits = context.database, context.limits
    return Questions(
        {
            "database": database.ping,
            "cadence": context.cadence.ping,
            "clock": lambda: watch.look(utc_now()),
            "executions": lambda: _count_running(database),
            "space": lambda: check_room(context.data_folder, limits.min_free_mb),
            "locks": lambda: _check_locks(database),
            "waiting": lambda: _check_waiting(database),
            "lateness": lambda: _check_lateness(database, limits),
            "provider": lambda: _check_provider(database),
            "alerts": lambda: _check_alerts(database),
            "files": lambda: context.files.list_all().broken,
        }
    )


def _count_running(database: Database) -> int:
    with database.transaction(waits_for_locks=LOCK_WAIT) as connection:
        return count_running(connection)


def _check_waiting(database: Database) -> None:
    """Raise ShortageError if executions wait because an engine is short of something."""
    with database.transaction(waits_for_locks=LOCK_WAIT) as connection:
        waiting = select_waiting(connection, WAITING_SHOWN)
    if waiting:
        raise ShortageError("; ".join(f"{id_}: {reason}" for id_, reason in waiting.items()))


def _check_locks(database: Database) -> None:
    """Raise StandsStillError if statements wait for a lock: then sends may stand still."""
    with database.transaction(waits_for_locks=LOCK_WAIT) as connection:
        waits = find_lock_waits(connection)
    if waits:
        raise StandsStillError(str(waits))


def _check_lateness(database: Database, limits: Limits) -> None:
    """Raise LiveSendLateError if a live send began late in the last minutes, or is late now."""
    now = utc_now()
    with database.transaction(waits_for_locks=LOCK_WAIT) as connection:
        late_s = select_lateness(connection, now, now - LATE_LATELY)
    if late_s > limits.late_after.total_seconds():
        raise LiveSendLateError(
            f"in the last 15 minutes a live send began {late_s:.0f} s after its planned time, more "
            f"than the {limits.late_after.total_seconds():g} s allowed (PUSH_LATE_AFTER_SECONDS)"
        )


def _check_alerts(database: Database) -> None:
    """Raise NotTakenError if alerts were given up because a destination does not take them."""
    with database.transaction(waits_for_locks=LOCK_WAIT) as connection:
        failing = [one for one in select_destinations(connection, only_on=True) if one.given_up]
    if failing:
        raise NotTakenError(
            "; ".join(f"{one.name} ({one.given_up} given up): {one.failure}" for one in failing)
        )


def _check_provider(database: Database) -> None:
    """Raise ProviderFailsError if most messages of the last live sends were not confirmed."""
    with database.transaction(waits_for_locks=LOCK_WAIT) as connection:
        provider = read_provider(connection, utc_now())
    if provider.level == "critical":
        raise ProviderFailsError(provider.text)


def _status(found: dict[str, str], report: ClockReport, broken: tuple[BrokenFile, ...]) -> str:
    works = any(engine.clock_jump is None for engine in report.engines)
    if found["database"] != "ok" or not works or report.divergent:
        return "critical"
    has_problem = any(engine.clock_problem for engine in report.engines)
    if broken or has_problem or any(state != "ok" for state in found.values()):
        return "degraded"
    return "healthy"


def _show_engine(report: ClockReport, running: int | None) -> dict[str, object]:
    divergence = len(report.divergent)
    restored_at: datetime | None = report.engines[0].started_at if report.engines else None
    return {
        "engines": [engine.id for engine in reversed(report.engines)],
        "clocks": [_show_clock(engine) for engine in reversed(report.engines)],
        "scheduledJobsCount": len(report.jobs) - divergence,
        "expectedJobsCount": len(report.jobs),
        "divergence": divergence,
        # An engine reads every schedule when it starts, and every change within a second.
        "lastRestorationAttempt": restored_at,
        "restorationSuccess": bool(report.engines) and not divergence,
        "activeExecutionsCount": running,
        "instanceId": report.engines[0].id if report.engines else None,
    }


def _show_clock(engine: EngineRecord) -> dict[str, object]:
    """Show an engine's clock beside the database's; it `holds` while its clocks part."""
    return {
        "engine": engine.id,
        "aheadSeconds": _seconds(engine.clock_ahead),
        "uncertaintySeconds": _seconds(engine.clock_uncertainty),
        "jumpSeconds": _seconds(engine.clock_jump),
        "holds": engine.clock_jump is not None,
    }


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()
