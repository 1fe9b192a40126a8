"""Read executions, the phases that they entered, and their counters."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, NamedTuple

from chassis.postgres import Connection
from chassis.rows import fetch_all, fetch_one, fetch_value
from push_blaster.adapters.automations.automation_document import read_automation
from push_blaster.adapters.execution_conditions import FITS, filter_values
from push_blaster.adapters.executions.decision_table import OF_PUSH, read_decision
from push_blaster.domain.audiences.preparation import PreparationProgress
from push_blaster.domain.automations.automation import Automation
from push_blaster.domain.executions.execution import (
    Execution,
    PushAudience,
    PushProgress,
    PushStatus,
    Trigger,
)
from push_blaster.domain.executions.execution_filter import EVERYTHING, ExecutionFilter
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import Phase


class ExecutionNotFoundError(Exception):
    """There is no execution of that id."""


class NewerExecutionError(Exception):
    """Only a newer version of this program understands the execution, and continues it."""


class EnteredPhase(NamedTuple):
    """A phase, and when an execution entered it."""

    phase: Phase
    at: datetime


class EarlierAudience(NamedTuple):
    """The frozen audience of a push of an earlier execution."""

    file: str
    columns: tuple[str, ...]
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LatestRun:
    """The newest live execution of an automation."""

    automation_id: str
    id: str
    phase: str
    slot: datetime
    mode: str
    trigger: str
    uncapped_reason: str | None


_Row = Mapping[str, Any]
_COLUMNS: Final = """
    id, coalesce(number, 0) AS number, mode, trigger, slot, begins_at, phase, fence, failures,
    due_at, live_at, reason,
    waits_for, uncapped_reason, approval_reason, resumes, attempt, attempt_by, repeated_steps,
    preparation, snapshot, created_at, ended_at,
    (SELECT asked_at FROM execution_stops WHERE execution_id = e.id) AS stop_asked_at,
    (SELECT min(restored_at) FROM restores WHERE restored_at >= created_at) AS restored_at
"""


def select_execution(connection: Connection, execution_id: str) -> Execution:
    """Return the execution of `execution_id`; ExecutionNotFoundError, NewerExecutionError."""
    return _select_one(connection, "WHERE id = %(key)s", execution_id)


def select_readable(connection: Connection, execution_ids: Sequence[str]) -> list[Execution]:
    """Return those of the executions that this version can read."""
    sql = f"SELECT {_COLUMNS} FROM executions e WHERE id = ANY(%s)"  # noqa: S608 - constants
    rows: list[_Row] = fetch_all(connection, sql, (list(execution_ids),), make=dict, by_name=True)
    return list(_make_readable(rows, _select_pushes(connection, execution_ids)))


def select_snapshot(connection: Connection, execution_id: str) -> Mapping[str, Any]:
    """Return the automation's document as the execution keeps it; ExecutionNotFoundError."""
    sql = "SELECT snapshot FROM executions WHERE id = %s"
    snapshot: Mapping[str, Any] | None = fetch_value(connection, sql, (execution_id,))
    if snapshot is None:
        raise ExecutionNotFoundError(f"There is no execution {execution_id!r}.")
    return snapshot


def select_execution_by_key(connection: Connection, idempotency_key: str) -> Execution | None:
    """Return the execution that was started under `idempotency_key`, or None."""
    try:
        return _select_one(connection, "WHERE idempotency_key = %(key)s", idempotency_key)
    except ExecutionNotFoundError:
        return None


def select_executions(
    connection: Connection,
    fitting: ExecutionFilter = EVERYTHING,
    *,
    before: tuple[datetime, str] | None = None,
    limit: int = 50,
) -> list[Execution]:
    """Return executions, newest first; the page after the execution `before` (created_at, id).

    Executions that a newer version wrote, and this version cannot read, are left out.
    """
    created_at, last_id = before or (None, None)
    sql = f"""
        SELECT {_COLUMNS}
          FROM executions e
         WHERE {FITS}
           AND (%(created)s::timestamptz IS NULL
                OR (created_at, id) < (%(created)s::timestamptz, %(id)s))
         ORDER BY created_at DESC, id DESC
         LIMIT %(limit)s
    """  # noqa: S608 - constants
    values = {**filter_values(fitting), "created": created_at, "id": last_id, "limit": limit}
    rows: list[_Row] = fetch_all(connection, sql, values, make=dict, by_name=True)
    return list(_make_readable(rows, _select_pushes(connection, [row["id"] for row in rows])))


def select_phases(
    connection: Connection, execution_ids: Sequence[str]
) -> dict[str, list[EnteredPhase]]:
    """Return, for each execution, the phases that it entered, in order."""
    sql = """
        SELECT execution_id, phase, entered_at FROM execution_phases
         WHERE execution_id = ANY(%(ids)s)
         ORDER BY entered_at, array_position(%(order)s::text[], phase)
    """
    rows = fetch_all(connection, sql, {"ids": list(execution_ids), "order": list(Phase)})
    entered: defaultdict[str, list[EnteredPhase]] = defaultdict(list)
    for execution_id, phase, at in rows:
        entered[execution_id].append(EnteredPhase(Phase(phase), at))
    return dict(entered)


def count_by_phase(connection: Connection, modes: Collection[Mode]) -> dict[Phase, int]:
    """Return how many executions of `modes` are in each phase that has any."""
    sql = "SELECT phase, count(*) FROM executions WHERE mode = ANY(%s) GROUP BY phase"
    return {Phase(phase): count for phase, count in fetch_all(connection, sql, (list(modes),))}


def select_earlier_audiences(
    connection: Connection, execution: Execution, position: int, limit: int = 5
) -> list[EarlierAudience]:
    """Return this push's audiences in earlier completed live executions, newest first."""
    return _select_audiences(
        connection,
        """
        WHERE e.automation_id = %(automation_id)s AND e.id <> %(id)s
          AND p.position = %(position)s AND e.mode = 'live' AND e.phase = 'completed'
        ORDER BY e.slot DESC
        """,
        {
            "position": position,
            "automation_id": execution.automation.id,
            "id": execution.id,
            "limit": limit,
        },
    )


def select_last_audience(
    connection: Connection, script_id: str, audience_name: str
) -> EarlierAudience | None:
    """Return the newest frozen audience of this name by this script."""
    found = _select_audiences(
        connection,
        """
        WHERE e.snapshot #>> '{audienceCriteria,customScript,scriptId}' = %(script_id)s
          AND coalesce(e.snapshot #>> ARRAY['pushSequence', (p.position - 1)::text,
                                            'audienceName'], 'default') = %(name)s
        ORDER BY e.created_at DESC
        """,
        {"script_id": script_id, "name": audience_name, "limit": 1},
    )
    return found[0] if found else None


def select_last_own_audience(
    connection: Connection, automation_id: str, position: int
) -> EarlierAudience | None:
    """Return the newest whole audience of this push of the automation."""
    found = _select_audiences(
        connection,
        """
        WHERE e.automation_id = %(id)s AND p.position = %(position)s
          AND e.mode <> 'test-scheduled-send'
        ORDER BY e.created_at DESC
        """,
        {"id": automation_id, "position": position, "limit": 1},
    )
    return found[0] if found else None


def select_latest(connection: Connection, automation_ids: Sequence[str]) -> dict[str, LatestRun]:
    """Return the newest live execution of each automation."""
    sql = """
        SELECT DISTINCT ON (automation_id) automation_id, id, phase, slot, mode, trigger,
               uncapped_reason
          FROM executions
         WHERE automation_id = ANY(%s) AND mode = 'live'
         ORDER BY automation_id, slot DESC
    """
    found = fetch_all(connection, sql, (list(automation_ids),), make=LatestRun, by_name=True)
    return {run.automation_id: run for run in found}


def select_statistics(
    connection: Connection, automation_ids: Sequence[str]
) -> dict[str, dict[str, object]]:
    """Return the counters of each automation that ever ran live, by the names of the document."""
    sql = """
        SELECT automation_id,
               count(*) AS "totalExecutions",
               count(*) FILTER (WHERE phase = 'completed') AS "successfulExecutions",
               count(*) FILTER (WHERE phase = 'failed') AS "failedExecutions",
               max(coalesce(ended_at, begins_at)) AS "lastExecutedAt",
               (array_agg(reason ORDER BY created_at DESC)
                 FILTER (WHERE phase = 'failed'))[1] AS "lastError"
          FROM executions
         WHERE automation_id = ANY(%s) AND mode = 'live' AND phase NOT IN ('missed', 'skipped')
         GROUP BY automation_id
    """
    rows: list[dict[str, Any]] = fetch_all(
        connection, sql, (list(automation_ids),), make=dict, by_name=True
    )
    return {
        row.pop("automation_id"): {**row, "lastExecutedAt": row["lastExecutedAt"].isoformat()}
        for row in rows
    }


def _select_audiences(connection: Connection, which: str, values: _Row) -> list[EarlierAudience]:
    sql = f"""
        SELECT p.audience_file, p.audience_columns, p.distinct_users
          FROM executions e
          JOIN execution_pushes p ON p.execution_id = e.id AND p.audience_file IS NOT NULL
        {which}
        LIMIT %(limit)s
    """  # noqa: S608 - constants of this module
    return fetch_all(
        connection,
        sql,
        values,
        make=lambda file, columns, size: EarlierAudience(file, tuple(columns), size),
    )


def _select_one(connection: Connection, where: str, key: str) -> Execution:
    sql = f"SELECT {_COLUMNS} FROM executions e {where}"  # noqa: S608 - constants
    row: _Row | None = fetch_one(connection, sql, {"key": key}, make=dict, by_name=True)
    if row is None:
        raise ExecutionNotFoundError(f"There is no execution {key!r}.")
    return _make_execution(row, _select_pushes(connection, [row["id"]]).get(row["id"], ()))


def _make_readable(
    rows: Sequence[_Row], pushes: Mapping[str, Sequence[_Row]]
) -> Iterator[Execution]:
    for row in rows:
        with suppress(NewerExecutionError):
            yield _make_execution(row, pushes.get(row["id"], ()))


def _make_execution(row: _Row, pushes: Sequence[_Row]) -> Execution:
    try:
        return _read_row([_read_push(**push) for push in pushes], **row)
    except ValueError as error:  # this version has no such phase, mode, status or setting
        raise NewerExecutionError(
            f"The execution {row['id']!r} holds what this version does not know ({error}); "
            "an engine of a newer version continues it."
        ) from error


def _read_row(
    pushes: Sequence[PushProgress],
    *,
    snapshot: Mapping[str, Any],
    mode: str,
    trigger: str,
    phase: str,
    preparation: Mapping[str, Any] | None,
    **columns: Any,
) -> Execution:
    automation = read_automation(snapshot)
    return Execution(
        automation=automation,
        mode=Mode(mode),
        trigger=Trigger(trigger),
        phase=Phase(phase),
        preparation=_read_progress(**preparation) if preparation else None,
        pushes=tuple(_order_figures(automation, push) for push in pushes),
        **columns,
    )


def _order_figures(automation: Automation, push: PushProgress) -> PushProgress:
    """Return the push with the figures of its decision in the order of the variants.

    The database keeps them as JSON, in an order of its own.
    """
    if push.decision is None:
        return push
    known = push.decision.figures
    named = (variant.id for variant in automation.pushes[push.position - 1].variants)
    figures = {name: known[name] for name in named if name in known}
    return replace(push, decision=replace(push.decision, figures=figures))


def _read_progress(*, stage: str, rows: int, at: str) -> PreparationProgress:
    return PreparationProgress(stage=stage, rows=rows, at=datetime.fromisoformat(at))


#: The columns of a push's audience, by the names that they have in PushAudience.
_AUDIENCE: Final = {
    "file": "audience_file",
    "sha256": "audience_hash",
    "columns": "audience_columns",
    "source_file": "source_file",
    "generated": "generated",
    "valid": "valid",
    "distinct": "distinct_users",
    "bad_rows": "bad_rows",
}
_PUSH_COLUMNS: Final = ", ".join(
    [
        *("execution_id", "position", "status", "due_at", "started_at", "first_message_at"),
        *("ended_at", "slots_key", "slots_for"),
        *("forecast", "audience_check", *_AUDIENCE.values()),
    ]
)


def _select_pushes(connection: Connection, execution_ids: Sequence[str]) -> dict[str, list[_Row]]:
    sql = f"""
        SELECT {_PUSH_COLUMNS}, {OF_PUSH} FROM execution_pushes p
         WHERE execution_id = ANY(%s) ORDER BY position
    """  # noqa: S608 - a constant
    rows: list[dict[str, Any]] = fetch_all(
        connection, sql, (list(execution_ids),), make=dict, by_name=True
    )
    pushes: defaultdict[str, list[_Row]] = defaultdict(list)
    for row in rows:
        pushes[row.pop("execution_id")].append(row)
    return pushes


def _read_push(*, status: str, decision: _Row | None, **columns: Any) -> PushProgress:
    audience = {name: columns.pop(column) for name, column in _AUDIENCE.items()}
    return PushProgress(
        status=PushStatus(status),
        audience=_read_audience(**audience) if audience["file"] else None,
        decision=read_decision(decision) if decision else None,
        **columns,
    )


def _read_audience(
    *, columns: Sequence[str], bad_rows: Sequence[_Row], **others: Any
) -> PushAudience:
    return PushAudience(columns=tuple(columns), bad_rows=tuple(bad_rows), **others)
