"""The log of sends: every push of every execution, newest first, with its outcome."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from chassis.postgres import Connection
from chassis.rows import fetch_all
from push_blaster.adapters.automations.automation_document import pick_push
from push_blaster.adapters.execution_conditions import FITS, filter_values
from push_blaster.adapters.funnels import select_funnels
from push_blaster.domain.executions.execution import PushStatus
from push_blaster.domain.executions.execution_filter import ExecutionFilter
from push_blaster.domain.executions.funnel import Funnel
from push_blaster.domain.executions.modes import Mode, delivers
from push_blaster.domain.executions.phase import ENDED, Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class PushLogEntry:
    """One push of an execution; counts of users.

    Shape: `status` is completed, failed, cancelled or in_progress; the texts are as written, with
    their placeholders. `reached` have a device, and got the message if `sent`.
    """

    execution_id: str
    automation_id: str
    position: int
    trigger: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    status: str
    is_dry_run: bool
    audience_description: str
    audience_size: int
    title: str
    body: str
    deep_link: str
    layer_id: int
    sent: int
    failed: int
    reached: int
    reason: str | None

    @property
    def id(self) -> str:
        """The id of the push, over all executions."""
        return f"{self.execution_id}/{self.position}"

    @property
    def total(self) -> int:
        """How many users had a device; the original has this count twice."""
        return self.reached


def select_push_log(
    connection: Connection,
    fitting: ExecutionFilter,
    before: tuple[datetime, tuple[str, int]] | None,
    limit: int,
) -> list[PushLogEntry]:
    """Return sends of the executions that fit, newest first; the page after the send `before`."""
    created_at, (execution_id, position) = before or (None, (None, None))
    values = {
        **filter_values(fitting),
        "created_at": created_at,
        "id": execution_id,
        "position": position,
        "limit": limit,
    }
    rows: list[dict[str, Any]] = fetch_all(connection, _SELECT, values, make=dict, by_name=True)
    funnels = select_funnels(connection, list({row["id"] for row in rows}))
    return [_make_entry(funnels[row["id"]][row["position"]], **row) for row in rows]


_SELECT: Final = f"""
    SELECT e.id, e.automation_id, e.trigger, e.mode, e.phase, e.reason, e.created_at,
           e.snapshot -> 'pushSequence' AS pushes, p.position, p.status, p.started_at,
           p.ended_at, p.distinct_users,
           coalesce(nullif(e.snapshot #>> '{{adHocPush,audienceDescription}}', ''),
                    nullif(e.snapshot #>> '{{scheduledPush,audienceDescription}}', ''),
                    nullif(e.snapshot ->> 'description', ''),
                    e.automation_name) AS audience_description
      FROM executions e
      JOIN execution_pushes p ON p.execution_id = e.id
     WHERE {FITS}
       AND (%(created_at)s::timestamptz IS NULL
            OR (e.created_at, e.id, p.position)
               < (%(created_at)s::timestamptz, %(id)s, %(position)s))
     ORDER BY e.created_at DESC, e.id DESC, p.position DESC
     LIMIT %(limit)s
"""  # noqa: S608 - a constant


def _make_entry(funnel: Funnel, **row: Any) -> PushLogEntry:
    push = pick_push(row["pushes"], row["position"])
    status = _judge(PushStatus(row["status"]), Phase(row["phase"]))
    return PushLogEntry(
        execution_id=row["id"],
        automation_id=row["automation_id"],
        position=row["position"],
        trigger=row["trigger"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        status=status,
        is_dry_run=not delivers(Mode(row["mode"])),
        audience_description=row["audience_description"],
        audience_size=row["distinct_users"] or 0,
        title=push["title"],
        body=push["body"],
        deep_link=push.get("deepLink") or "",
        layer_id=push["layerId"],
        sent=funnel.sent + funnel.would_send,
        failed=funnel.failed,
        reached=funnel.with_token,
        reason=row["reason"] if status in {"failed", "cancelled"} else None,
    )


_ENDS: Final = {
    PushStatus.SENT: "completed",
    PushStatus.FAILED: "failed",
    PushStatus.CANCELLED: "cancelled",
}


def _judge(status: PushStatus, phase: Phase) -> str:
    """Return the status of a push; it is never in_progress after its execution has ended."""
    if status in _ENDS:
        return _ENDS[status]
    if phase not in ENDED:
        return "in_progress"
    return phase if phase in {Phase.COMPLETED, Phase.FAILED} else "cancelled"
