"""Executions in the shapes that the original gave its sequences."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from chassis.clock import utc_now
from push_blaster.adapters.executions.violation_table import KeptViolation
from push_blaster.domain.automations.automation import Push
from push_blaster.domain.executions.execution import Execution, PushProgress, PushStatus
from push_blaster.domain.executions.funnel import Funnel
from push_blaster.domain.executions.modes import Mode, delivers
from push_blaster.domain.executions.phase import RUNNING, Phase
from push_blaster.domain.executions.safeguards import Severity
from push_blaster.use_cases.original.control_sequence import SequenceAction, find_sequence_actions

#: The funnels of an execution, by the position of the push.
Funnels = Mapping[int, Funnel]

_VIOLATION_NAMES: Final = ("type", "severity", "message", "at", "position")


def show_brief(execution: Execution) -> dict[str, object]:
    """Return the fields of an execution in a list."""
    return {
        "executionId": execution.id,
        "automationId": execution.automation.id,
        "automationName": execution.automation.name,
        "isDryRun": not delivers(execution.mode),
        "simulated": execution.mode is Mode.SIMULATION,
        "status": execution.phase if execution.has_ended else "running",
        "phase": execution.phase,
        "startTime": execution.created_at,
        "endTime": execution.ended_at,
        "reason": execution.reason,
        "totalPushes": len(execution.automation.pushes),
        "completedPushes": _count(execution, PushStatus.SENT),
    }


def show_result(execution: Execution, funnels: Funnels) -> dict[str, object]:
    """Return the result of an execution so far; `success` is null until it has ended."""
    pushes = zip(execution.automation.pushes, execution.pushes, strict=False)
    return {
        "success": execution.phase is Phase.COMPLETED if execution.has_ended else None,
        "totalPushes": len(execution.automation.pushes),
        "successfulPushes": _count(execution, PushStatus.SENT),
        "failedPushes": _count(execution, PushStatus.FAILED),
        "cancelledPushes": _count(execution, PushStatus.CANCELLED),
        "totalAudienceReached": sum(f.sent + f.would_send for f in funnels.values()),
        "totalExecutionTime": _duration(execution.created_at, execution.ended_at),
        "pushResults": [
            _show_push(execution, push, progress, funnels[progress.position])
            for push, progress in pushes
        ],
    }


def show_whole(
    execution: Execution,
    funnels: Funnels,
    violations: Sequence[KeptViolation],
    data_folder: Path,
) -> dict[str, object]:
    """Return all fields of an execution."""
    actions = find_sequence_actions(execution)
    return {
        **show_brief(execution),
        "executionResult": show_result(execution, funnels),
        "audienceCache": _show_audiences(execution, data_folder),
        "safetyAssessment": {
            "safe": all(v.severity != Severity.CRITICAL for v in violations),
            "violations": [
                {name: getattr(v, name) for name in _VIOLATION_NAMES} for v in violations
            ],
        },
        "controlOptions": {
            "canPause": False,
            "canCancel": SequenceAction.CANCEL in actions,
            "canEmergencyStop": SequenceAction.EMERGENCY_STOP in actions,
            "availableActions": actions,
        },
    }


def show_stats(counts: Mapping[Phase, int]) -> dict[str, object]:
    """Return counts of executions by state."""
    return {
        "totalExecutions": sum(counts.values()),
        "activeExecutions": sum(count for phase, count in counts.items() if phase in RUNNING),
        "successfulExecutions": counts.get(Phase.COMPLETED, 0),
        "failedExecutions": counts.get(Phase.FAILED, 0),
        "cancelledExecutions": counts.get(Phase.CANCELLED, 0),
        "byPhase": {phase.value: count for phase, count in counts.items()},
    }


def _show_push(
    execution: Execution, push: Push, progress: PushProgress, funnel: Funnel
) -> dict[str, object]:
    has_ended = progress.ended_at is not None
    return {
        "pushId": push.id,
        "sequenceOrder": progress.position,
        "title": push.title,
        "layerId": push.layer_id,
        "audienceName": push.audience_name,
        "status": progress.status,
        "dueAt": progress.due_at,
        "success": progress.status is PushStatus.SENT if has_ended else None,
        "sentCount": funnel.sent + funnel.would_send,
        "failureCount": funnel.failed,
        "audienceSize": funnel.distinct,
        "executionTime": _duration(progress.started_at, progress.ended_at),
        "error": _find_error(execution, progress),
        "funnel": funnel.to_document(),
    }


def _find_error(execution: Execution, progress: PushProgress) -> str | None:
    if progress.status in {PushStatus.FAILED, PushStatus.CANCELLED}:
        return execution.reason or "No message of it was delivered; the execution's log says why."
    return None


def _show_audiences(execution: Execution, data_folder: Path) -> dict[str, object]:
    """Return the frozen audiences; each is checked against its hash before its push is sent."""
    jobs = [
        _show_audience(push, progress)
        for push, progress in zip(execution.automation.pushes, execution.pushes, strict=False)
        if progress.audience
    ]
    issues = [
        f"The audience of push {progress.position} is no longer there: {progress.audience.file}."
        for progress in execution.pushes
        if progress.audience and not (data_folder / progress.audience.file).exists()
    ]
    return {
        "available": bool(jobs),
        "valid": bool(jobs) and not issues,
        "issues": issues,
        "manifest": {"totalAudiences": len(jobs), "jobs": jobs} if jobs else None,
    }


def _show_audience(push: Push, progress: PushProgress) -> dict[str, object]:
    audience = progress.audience
    return {
        "pushId": push.id,
        "pushTitle": push.title,
        "sequenceOrder": progress.position,
        "audienceSize": audience.distinct if audience else 0,
        "sha256": audience.sha256 if audience else None,
    }


def _count(execution: Execution, status: PushStatus) -> int:
    return sum(progress.status is status for progress in execution.pushes)


def _duration(since: datetime | None, until: datetime | None) -> int | None:
    """Return the milliseconds from `since` until `until`, or until now; None before it began."""
    if since is None:
        return None
    return round(((until or utc_now()) - since) / timedelta(milliseconds=1))
