"""Routes about the clock: the automations that it watches, and those that it should watch."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from flask import jsonify
from flask.typing import ResponseReturnValue

from chassis.bearer_auth import Role, asks_for
from chassis.clock import utc_now
from chassis.http.ending import ENDING
from chassis.postgres import Database
from chassis.service import Routes
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.executions.execution_view import select_executions, select_phases
from push_blaster.domain.executions.execution import Execution
from push_blaster.domain.executions.execution_filter import ExecutionFilter
from push_blaster.domain.executions.phase import BEFORE_LIVE, RUNNING, Phase
from push_blaster.use_cases.automations.change_automation import edit_automation
from push_blaster.use_cases.schedule.watch_clock import ClockReport, ClockWatch, ScheduledJob
from push_blaster.web.frame.common_schemas import AUTOMATION_ID

#: How long a restore waits until the clock watches everything; the clock needs no request for it.
RESTORE_WAITS: Final = timedelta(seconds=3)
LOOK_S: Final = 0.25
#: Fields of the original whose value is always the same here: the database opens each slot once,
#: and a stop takes effect at once, so a running execution never waits for one.
NO_ZOMBIES: Final = {"potentialZombieRisk": False}
NO_STOP_WAITS: Final = {"emergencyStopRequested": False}


def clock_routes(database: Database, files: AutomationFiles, watch: ClockWatch) -> Routes:
    """Return the routes about the clock."""
    routes = Routes("clock", __name__, description="What the clock watches")
    _add_reports(routes, database, watch)
    _add_restores(routes, database, files, watch)
    return routes


def _add_reports(routes: Routes, database: Database, watch: ClockWatch) -> None:
    @routes.route("/api/automation/audit", methods=["GET"])
    def audit() -> ResponseReturnValue:
        """List the engines, the scheduled automations, and the risks."""
        now = utc_now()
        report = watch.look(now)
        snapshot = {"timestamp": now, **_show_engines(report), "jobs": _show_jobs(report)}
        data = {"snapshots": [snapshot], "analysis": _analyse(report)}
        return jsonify(success=True, data=data, timestamp=now, message="Looked at.")

    @routes.route("/api/automation/debug", methods=["GET"])
    def debug() -> ResponseReturnValue:
        """List every scheduled automation with its next slot, and every running execution."""
        report, running = watch.look(utc_now()), _select_running(database)
        data = {
            "instanceId": _instance(report),
            "scheduledJobsCount": _count_scheduled(report),
            "activeExecutionsCount": len(running),
            "scheduledJobs": [_show_job(job, running) for job in report.jobs],
            "activeExecutions": [_show_running(one) for one in running],
        }
        return jsonify(success=True, data=data, timestamp=utc_now(), message="Looked at.")


def _add_restores(
    routes: Routes, database: Database, files: AutomationFiles, watch: ClockWatch
) -> None:
    @routes.route("/api/automation/debug/reschedule", methods=["POST"])
    @asks_for(Role.OPERATOR)
    @routes.body("Reschedule")
    def reschedule(*, automation_id: str = AUTOMATION_ID) -> ResponseReturnValue:
        """Save the automation again, so that every clock reads it; no slot is decided twice."""
        now = utc_now()
        change = edit_automation(files, database, automation_id, {}, now)
        jobs = {job.automation.id: job for job in watch.look(now).jobs}
        job = jobs.get(change.document["id"])
        if job is None:
            text = f"It is {change.document['status']!r}: the clock opens nothing for it."
            return jsonify(success=False, message=text)
        at = job.next_slot.isoformat() if job.next_slot else "never again"
        return jsonify(success=True, message=f"The clock reads it again. Its next send: {at}.")

    @routes.route("/api/automation/restore", methods=["POST"])
    @asks_for(Role.OPERATOR)
    def restore() -> ResponseReturnValue:
        """Wait a few seconds until the clock watches every scheduled automation, and compare."""
        before = watch.look(utc_now())
        after = _wait_for_agreement(watch.look, before)
        data = {
            "expectedCount": len(after.jobs),
            "beforeRestore": _show_engines(before),
            "afterRestore": {**_show_engines(after), "scheduledJobs": _show_jobs(after)},
            "validation": {
                "restorationSuccess": not after.divergent,
                "divergence": len(after.divergent),
                "message": _describe(after),
            },
        }
        return jsonify(success=not after.divergent, data=data, timestamp=utc_now())


def _wait_for_agreement(
    look: Callable[[datetime], ClockReport], report: ClockReport
) -> ClockReport:
    give_up_at = time.monotonic() + RESTORE_WAITS.total_seconds()
    while report.divergent and report.engines and time.monotonic() < give_up_at:
        if ENDING.wait(LOOK_S):
            break
        report = look(utc_now())
    return report


def _describe(report: ClockReport) -> str:
    if not report.divergent:
        return f"All {len(report.jobs)} scheduled automations are watched."
    problems = "; ".join(f"{job.automation.id}: {job.problem}" for job in report.divergent[:10])
    return f"{len(report.divergent)} of {len(report.jobs)} are not. {problems}"


def _analyse(report: ClockReport) -> dict[str, object]:
    ids = [engine.id for engine in report.engines]
    at_risk = bool(report.divergent) or not ids
    return {
        "uniqueInstancesFound": len(ids),
        "instanceIds": ids,
        "totalJobsAcrossInstances": len(report.jobs),
        "maxJobsInSingleInstance": len(report.jobs) if ids else 0,
        **NO_ZOMBIES,
        "silentEngines": [engine.id for engine in report.silent],
        "risks": [
            *([] if ids else ["No engine is at work: nothing is sent."]),
            *[f"{job.automation.id}: {job.problem}" for job in report.divergent if ids],
        ],
        "recommendation": "Start an engine, or read its log."
        if at_risk
        else "Nothing to do. Several engines are no risk: the database opens a slot once.",
    }


def _show_engines(report: ClockReport) -> dict[str, object]:
    return {
        "scheduledJobsCount": _count_scheduled(report),
        "instanceId": _instance(report),
        "engines": [
            {"id": e.id, "startedAt": e.started_at, "lastSeenAt": e.seen_at} for e in report.engines
        ],
    }


def _instance(report: ClockReport) -> str | None:
    return report.engines[0].id if report.engines else None


def _count_scheduled(report: ClockReport) -> int:
    return len(report.jobs) - len(report.divergent)


def _show_jobs(report: ClockReport) -> list[dict[str, object]]:
    return [
        {
            "automationId": job.automation.id,
            "name": job.automation.name,
            "nextExecution": job.next_slot,
            "isWatched": job.problem is None,
            "problem": job.problem,
        }
        for job in report.jobs
    ]


@dataclass(frozen=True, slots=True)
class _RunningExecution:
    execution: Execution
    entered: Mapping[Phase, datetime]


def _select_running(database: Database) -> list[_RunningExecution]:
    with database.transaction() as connection:
        running = select_executions(connection, ExecutionFilter(phases=RUNNING), limit=200)
        entered = select_phases(connection, [execution.id for execution in running])
    return [_RunningExecution(one, dict(entered.get(one.id, []))) for one in running]


def _show_job(job: ScheduledJob, running: Sequence[_RunningExecution]) -> dict[str, object]:
    own = [one for one in running if one.execution.automation.id == job.automation.id]
    return {
        "automationId": job.automation.id,
        "isRunning": bool(own),
        "nextExecution": job.next_slot,
        "problem": job.problem,
        "executionConfig": _show_running(own[0]) if own else None,
    }


def _show_running(running: _RunningExecution) -> dict[str, object]:
    execution = running.execution
    deadline = execution.live_at or execution.slot
    return {
        "executionId": execution.id,
        "automationId": execution.automation.id,
        "mode": execution.mode,
        "currentPhase": execution.phase,
        "startTime": execution.created_at,
        "expectedEndTime": max((p.due_at for p in execution.pushes if p.due_at), default=deadline),
        "audienceGenerated": all(push.audience for push in execution.pushes),
        "testsSent": Phase.CANCELLATION_WINDOW in running.entered,
        "cancellationDeadline": deadline,
        "canCancel": execution.phase in BEFORE_LIVE,
        **NO_STOP_WAITS,
    }
