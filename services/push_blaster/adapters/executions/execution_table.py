"""The tables `executions`, `execution_phases` and `execution_pushes`: every change to them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from psycopg2.extras import Json

from chassis.postgres import Connection
from chassis.rows import execute, fetch_all, fetch_value, fetch_values
from push_blaster.adapters.engagement.result_push_table import ResultPush, insert_result_pushes
from push_blaster.adapters.executions.execution_view import select_execution
from push_blaster.adapters.operations.execution_stops import NOT_STOPPED
from push_blaster.adapters.operations.outbox import insert_alert
from push_blaster.domain.audiences.preparation import PreparationProgress
from push_blaster.domain.executions.execution import Execution, PushAudience, PushProgress, Trigger
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import Phase
from push_blaster.domain.executions.timeline import find_next_step
from push_blaster.domain.operations.alert import EVENT_OF


class FencedError(Exception):
    """The execution was stopped, or another engine has taken it over, since this step began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewExecution:
    """An execution to be opened.

    Shape: `phase` is waiting; an execution that is missed or skipped has a `reason`, and has ended.
    """

    id: str
    document: Mapping[str, Any]
    mode: Mode
    trigger: Trigger
    slot: datetime
    begins_at: datetime
    phase: Phase = Phase.WAITING
    reason: str | None = None
    idempotency_key: str | None = None
    resumes: str | None = None


_INSERT: Final = """
    INSERT INTO executions
           (id, automation_id, automation_name, automation_version, mode, trigger,
            idempotency_key, resumes, slot, begins_at, phase, due_at, reason, snapshot,
            created_at, ended_at)
    VALUES (%(id)s, %(automation_id)s, %(name)s, %(version)s, %(mode)s, %(trigger)s,
            %(idempotency_key)s, %(resumes)s, %(slot)s, %(begins_at)s, %(phase)s,
            %(due_at)s, %(reason)s, %(snapshot)s, %(now)s, %(ended_at)s)
        ON CONFLICT DO NOTHING
"""


def insert_execution(connection: Connection, new: NewExecution, now: datetime) -> bool:
    """Insert `new` and its pushes; False, and no change, if its slot was opened before."""
    has_ended = new.phase is not Phase.WAITING
    columns = {name: getattr(new, name) for name in new.__slots__ if name != "document"}
    values = {
        **columns,
        "automation_id": new.document["id"],
        "name": new.document["name"],
        "version": new.document["version"],
        "due_at": None if has_ended else new.begins_at,
        "snapshot": Json(new.document),
        "now": now,
        "ended_at": now if has_ended else None,
    }
    if not execute(connection, _INSERT, values):
        return False
    _insert_phase(connection, new.id, new.phase, now)
    if not has_ended:
        sql = """
            INSERT INTO execution_pushes (execution_id, position)
            SELECT %(id)s, generate_series(1, %(count)s)
        """
        execute(connection, sql, {"id": new.id, "count": len(new.document["pushSequence"])})
    return True


def take_execution(connection: Connection, execution_id: str) -> Execution | None:
    """Take the execution: raise its fence, return it; None if it has ended.

    After this, an earlier step of the execution cannot write any more. Raises: NewerExecutionError.
    """
    sql = (
        "UPDATE executions SET fence = fence + 1"  # noqa: S608 - a constant
        f" WHERE id = %s AND ended_at IS NULL AND {NOT_STOPPED}"
    )
    taken = execute(connection, sql, (execution_id,))
    return select_execution(connection, execution_id) if taken else None


def begin_attempt(connection: Connection, execution: Execution, engine_id: str) -> None:
    """Record that this engine begins the step that is due; `save_execution` ends the attempt."""
    sql = """
        UPDATE executions
           SET attempt = attempt + 1, attempt_by = %(engine)s, preparation = NULL,
               repeated_steps = repeated_steps + (attempt > 0)::int
         WHERE id = %(id)s AND fence = %(fence)s
    """
    execute(connection, sql, {"id": execution.id, "fence": execution.fence, "engine": engine_id})


def save_progress(
    connection: Connection, execution: Execution, progress: PreparationProgress
) -> None:
    """Show how far the work on the audiences is, unless the execution is no longer ours."""
    sql = "UPDATE executions SET preparation = %(progress)s WHERE id = %(id)s AND fence = %(fence)s"
    values = {
        "id": execution.id,
        "fence": execution.fence,
        "progress": Json({**asdict(progress), "at": progress.at.isoformat()}),
    }
    execute(connection, sql, values)


def holds_execution(connection: Connection, execution: Execution) -> bool:
    """Return whether the fence still stands; until the transaction ends nobody can raise it."""
    sql = f"""
        SELECT true FROM executions
         WHERE id = %(id)s AND fence = %(fence)s AND ended_at IS NULL AND {NOT_STOPPED}
           FOR SHARE
    """  # noqa: S608 - a constant
    held = fetch_value(connection, sql, {"id": execution.id, "fence": execution.fence})
    return bool(held)


_SAVE: Final = f"""
    UPDATE executions
       SET phase = %(phase)s,
           due_at = %(due_at)s,
           live_at = %(live_at)s,
           failures = %(failures)s,
           reason = %(reason)s,
           waits_for = %(waits_for)s,
           approval_reason = %(approval_reason)s,
           uncapped_reason = coalesce(uncapped_reason, %(uncapped_reason)s),
           ended_at = %(ended_at)s,
           attempt = 0,
           preparation = NULL
     WHERE id = %(id)s AND fence = %(fence)s AND ended_at IS NULL AND {NOT_STOPPED}
"""  # noqa: S608 - a constant


def save_execution(
    connection: Connection,
    before: Execution,
    after: Execution,
    now: datetime,
    due_at: datetime | None = None,
) -> None:
    """Write `after` over `before`, with the instant of its next step; a step ends with this.

    Units: `due_at` replaces the instant that the timeline gives.
    Raises: FencedError if another engine has taken the execution, or it was stopped.
    """
    following = find_next_step(after, now)
    values = {
        "phase": after.phase,
        "due_at": max(due_at or following.at, now) if following else None,
        "live_at": after.live_at,
        "failures": after.failures,
        "reason": after.reason,
        "waits_for": after.waits_for,
        "approval_reason": after.approval_reason,
        "uncapped_reason": after.uncapped_reason,
        "ended_at": None if following else now,
        "id": before.id,
        "fence": before.fence,
    }
    if not execute(connection, _SAVE, values):
        raise FencedError(f"The execution {before.id!r} was stopped or taken over.")
    if after.phase is not before.phase:
        _insert_phase(connection, before.id, after.phase, now)
    for old, new in zip(before.pushes, after.pushes, strict=True):
        if old != new:
            _update_push(connection, before.id, new)
    begun = [new for old, new in zip(before.pushes, after.pushes, strict=True) if _begins(old, new)]
    noted = [ResultPush(after, push.position, push.due_at or now) for push in begun]
    insert_result_pushes(connection, noted)


def _begins(before: PushProgress, after: PushProgress) -> bool:
    return before.started_at is None and after.started_at is not None


def mark_uncapped(connection: Connection, execution_id: str, reason: str) -> bool:
    """Mark that a push went out without its cap check; False, and no change, if it was marked."""
    sql = "UPDATE executions SET uncapped_reason = %s WHERE id = %s AND uncapped_reason IS NULL"
    return execute(connection, sql, (reason, execution_id)) == 1


def select_running_ids(
    connection: Connection,
    automation_id: str,
    phases: Collection[Phase],
    mode: Mode | None = None,
) -> list[str]:
    """Return the automation's executions in one of `phases`, of `mode` or of any, by their ids.

    What is stopped runs no more, even if its row does not say so yet.
    """
    sql = f"""
        SELECT id FROM executions
         WHERE automation_id = %(automation_id)s AND ended_at IS NULL
           AND phase = ANY(%(phases)s)
           AND (%(mode)s IS NULL OR mode = %(mode)s)
           AND {NOT_STOPPED}
         ORDER BY slot
    """  # noqa: S608 - a constant
    return fetch_values(
        connection, sql, {"automation_id": automation_id, "phases": list(phases), "mode": mode}
    )


def select_scheduled(connection: Connection, phases: Collection[Phase]) -> dict[str, str]:
    """Return scheduled executions that are in one of `phases`, each with its automation."""
    sql = """
        SELECT id, automation_id FROM executions
         WHERE due_at IS NOT NULL AND trigger = %(trigger)s AND phase = ANY(%(phases)s)
    """
    rows = fetch_all(connection, sql, {"trigger": Trigger.SCHEDULE, "phases": list(phases)})
    return dict(rows)


def select_automations(connection: Connection, execution_ids: Sequence[str]) -> dict[str, str]:
    """Return the automation of each execution."""
    sql = "SELECT id, automation_id FROM executions WHERE id = ANY(%s) ORDER BY automation_id, slot"
    return dict(fetch_all(connection, sql, (list(execution_ids),)))


def select_live_slots(
    connection: Connection, automation_id: str, slots: Collection[datetime]
) -> frozenset[datetime]:
    """Return the slots for which any generation of the automation went live."""
    sql = """
        SELECT slot FROM executions e
         WHERE automation_id = %(id)s AND mode = %(mode)s AND slot = ANY(%(slots)s)
           AND EXISTS (SELECT FROM execution_phases p
                        WHERE p.execution_id = e.id AND p.phase = %(live)s)
    """
    values = {"id": automation_id, "mode": Mode.LIVE, "slots": list(slots)}
    return frozenset(fetch_values(connection, sql, values | {"live": Phase.LIVE_EXECUTION}))


def count_running(connection: Connection) -> int:
    """Return how many executions have not ended."""
    counted: int = fetch_value(
        connection, "SELECT count(*) FROM executions WHERE due_at IS NOT NULL"
    )
    return counted


def select_waiting(connection: Connection, limit: int) -> dict[str, str]:
    """Return executions that wait because their engines are short of something, and of what."""
    sql = """
        SELECT id, waits_for FROM executions
         WHERE due_at IS NOT NULL AND waits_for IS NOT NULL ORDER BY due_at LIMIT %s
    """
    return dict(fetch_all(connection, sql, (limit,)))


def lock_automation(connection: Connection, automation_id: str) -> None:
    """Let only one transaction at a time open executions of this automation."""
    execute(connection, "SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))", (automation_id,))


def dispatch_executions(
    connection: Connection,
    now: datetime,
    again_before: datetime,
    phases: Collection[Phase] = tuple(Phase),
) -> list[str]:
    """Return the ids of executions in `phases` whose step is due, and mark them as dispatched.

    Units: a step dispatched before `again_before` and still due is dispatched again.
    An execution in a phase or mode that this version does not know is left to a newer engine.
    """
    sql = f"""
        UPDATE executions
           SET handed_out_at = %(now)s
         WHERE id IN (
               SELECT id FROM executions
                WHERE due_at <= %(now)s AND {NOT_STOPPED}
                  AND phase = ANY(%(phases)s) AND mode = ANY(%(modes)s)
                  AND (handed_out_at IS NULL OR handed_out_at < due_at
                       OR handed_out_at < %(again_before)s)
                ORDER BY due_at
                LIMIT 500
                  FOR UPDATE SKIP LOCKED)
        RETURNING due_at, id
    """  # noqa: S608 - a constant
    due = fetch_all(
        connection,
        sql,
        {"now": now, "again_before": again_before, "phases": list(phases), "modes": list(Mode)},
    )
    return [execution_id for _, execution_id in sorted(due)]


def keep_dispatched(connection: Connection, execution_ids: Sequence[str], now: datetime) -> None:
    """Mark steps that still run as dispatched just now; a step that is due since then stays so."""
    sql = """
        UPDATE executions SET handed_out_at = %(now)s
         WHERE id IN (
               SELECT id FROM executions
                WHERE id = ANY(%(ids)s) AND handed_out_at >= due_at
                  FOR NO KEY UPDATE SKIP LOCKED)
    """
    execute(connection, sql, {"ids": list(execution_ids), "now": now})


_UPDATE_PUSH: Final = """
    UPDATE execution_pushes
       SET status = %(status)s, due_at = %(due_at)s, started_at = %(started_at)s,
           ended_at = %(ended_at)s, audience_file = %(file)s, audience_hash = %(sha256)s,
           audience_columns = %(columns)s, source_file = %(source_file)s,
           generated = %(generated)s, valid = %(valid)s, distinct_users = %(distinct)s,
           bad_rows = %(bad_rows)s, forecast = %(forecast)s,
           audience_check = %(audience_check)s
     WHERE execution_id = %(id)s AND position = %(position)s
"""


def _update_push(connection: Connection, execution_id: str, push: PushProgress) -> None:
    audience = push.audience
    values = {name: getattr(audience, name, None) for name in PushAudience.__slots__}
    values |= {
        "id": execution_id,
        "position": push.position,
        "status": push.status,
        "due_at": push.due_at,
        "started_at": push.started_at,
        "ended_at": push.ended_at,
        "columns": list(audience.columns) if audience else None,
        "bad_rows": Json(list(audience.bad_rows)) if audience else None,
        "forecast": Json(push.forecast) if push.forecast is not None else None,
        "audience_check": Json(push.audience_check) if push.audience_check else None,
    }
    execute(connection, _UPDATE_PUSH, values)


def _insert_phase(connection: Connection, execution_id: str, phase: Phase, now: datetime) -> None:
    sql = """
        INSERT INTO execution_phases (execution_id, phase, entered_at)
        VALUES (%(id)s, %(phase)s, %(now)s)
            ON CONFLICT DO NOTHING
    """
    execute(connection, sql, {"id": execution_id, "phase": phase, "now": now})
    if phase in EVENT_OF:
        insert_alert(connection, execution_id, EVENT_OF[phase], now)
