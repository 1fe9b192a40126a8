"""Reading executions: one, many, the phases they entered, their counters."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

from psycopg2.extras import RealDictCursor

from chassis.postgres import Connection
from push_blaster.adapters.automations.automation_document import read_automation
from push_blaster.domain.executions.execution import (
    Execution,
    PushAudience,
    PushProgress,
    PushStatus,
    Trigger,
)
from push_blaster.domain.executions.funnel import Funnel
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import Phase


class ExecutionNotFoundError(Exception):
    """There is no execution of that id."""


class NewerExecutionError(Exception):
    """The execution holds what only a newer version of this program knows: that one goes on."""


EXECUTION_COLUMNS: Final = """
    id, mode, trigger, slot, begins_at, phase, fence, failures, due_at, live_at, reason,
    uncapped_reason, approval_reason, resumes, snapshot, created_at, ended_at
"""


def select_execution(connection: Connection, execution_id: str) -> Execution:
    """Return the execution of `execution_id`; ExecutionNotFoundError, NewerExecutionError."""
    return _select_one(connection, "WHERE id = %(key)s", execution_id)


def select_snapshot(connection: Connection, execution_id: str) -> dict[str, Any]:
    """Return the automation's document as the execution took it; ExecutionNotFoundError."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT snapshot FROM executions WHERE id = %(id)s", {"id": execution_id})
        row = cursor.fetchone()
    if row is None:
        raise ExecutionNotFoundError(f"There is no execution {execution_id!r}.")
    return dict(row[0])


def select_execution_by_key(connection: Connection, idempotency_key: str) -> Execution | None:
    """Return the execution that was started under `idempotency_key`, or None."""
    try:
        return _select_one(connection, "WHERE idempotency_key = %(key)s", idempotency_key)
    except ExecutionNotFoundError:
        return None


def select_executions(
    connection: Connection,
    *,
    automation_id: str | None = None,
    phases: Collection[Phase] = (),
    modes: Collection[Mode] = (),
    before: tuple[datetime, str] | None = None,
    limit: int = 50,
) -> list[Execution]:
    """Return executions, newest first; the page after the execution `before` (created_at, id).

    What a newer version wrote, and this one cannot read, is left out.
    """
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(
            f"""
            SELECT {EXECUTION_COLUMNS}
              FROM executions
             WHERE (%(automation_id)s IS NULL OR automation_id = %(automation_id)s)
               AND phase = ANY(%(phases)s) AND mode = ANY(%(modes)s)
               AND (%(created)s::timestamptz IS NULL
                    OR (created_at, id) < (%(created)s::timestamptz, %(id)s))
             ORDER BY created_at DESC, id DESC
             LIMIT %(limit)s
            """,  # noqa: S608 - a constant list of columns
            {
                "automation_id": automation_id,
                "phases": list(phases or Phase),
                "modes": list(modes or Mode),
                "created": before[0] if before else None,
                "id": before[1] if before else None,
                "limit": limit,
            },
        )
        rows = cursor.fetchall()
    pushes = _select_pushes(connection, [row["id"] for row in rows])
    return list(_readable(rows, pushes))


def select_phases(
    connection: Connection, execution_ids: Sequence[str]
) -> dict[str, list[tuple[Phase, datetime]]]:
    """Return, for each execution, the phases that it entered, in order."""
    entered: dict[str, list[tuple[Phase, datetime]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT execution_id, phase, entered_at FROM execution_phases
             WHERE execution_id = ANY(%(ids)s)
             ORDER BY entered_at, array_position(%(order)s::text[], phase)
            """,
            {"ids": list(execution_ids), "order": list(Phase)},
        )
        for execution_id, phase, at in cursor:
            entered.setdefault(execution_id, []).append((Phase(phase), at))
    return entered


def count_by_phase(connection: Connection, modes: Collection[Mode]) -> dict[Phase, int]:
    """Return how many executions of `modes` stand in each phase; a phase without any is absent."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT phase, count(*) FROM executions WHERE mode = ANY(%(modes)s) GROUP BY phase",
            {"modes": list(modes)},
        )
        return {Phase(phase): count for phase, count in cursor}


def select_earlier_audiences(
    connection: Connection, execution: Execution, position: int, limit: int = 5
) -> list[tuple[str, int]]:
    """Return file and size of this push's audience in earlier completed live runs, newest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT p.audience_file, p.distinct_users
              FROM executions e
              JOIN execution_pushes p ON p.execution_id = e.id AND p.position = %(position)s
             WHERE e.automation_id = %(automation_id)s AND e.id <> %(id)s
               AND e.mode = 'live' AND e.phase = 'completed' AND p.audience_file IS NOT NULL
             ORDER BY e.slot DESC
             LIMIT %(limit)s
            """,
            {
                "position": position,
                "automation_id": execution.automation.id,
                "id": execution.id,
                "limit": limit,
            },
        )
        return list(cursor.fetchall())


def select_last_audience(
    connection: Connection, script_id: str, audience_name: str
) -> tuple[str, tuple[str, ...]] | None:
    """Return file and columns of the newest frozen audience of this name by this script."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT p.audience_file, p.audience_columns
              FROM executions e
              JOIN execution_pushes p ON p.execution_id = e.id AND p.audience_file IS NOT NULL
             WHERE e.snapshot #>> '{audienceCriteria,customScript,scriptId}' = %(script_id)s
               AND coalesce(e.snapshot #>> ARRAY['pushSequence', (p.position - 1)::text,
                                                 'audienceName'], 'default') = %(name)s
             ORDER BY e.created_at DESC
             LIMIT 1
            """,
            {"script_id": script_id, "name": audience_name},
        )
        return _file_and_columns(cursor.fetchone())


def select_last_own_audience(
    connection: Connection, automation_id: str, position: int
) -> tuple[str, tuple[str, ...]] | None:
    """Return file and columns of the newest whole audience of this push of the automation."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT p.audience_file, p.audience_columns
              FROM executions e
              JOIN execution_pushes p ON p.execution_id = e.id AND p.audience_file IS NOT NULL
             WHERE e.automation_id = %(id)s AND p.position = %(position)s
               AND e.mode <> 'test-scheduled-send'
             ORDER BY e.created_at DESC
             LIMIT 1
            """,
            {"id": automation_id, "position": position},
        )
        return _file_and_columns(cursor.fetchone())


def select_latest(
    connection: Connection, automation_ids: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Return the newest live execution of each automation: its id, phase, slot, and its marks."""
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(
            """
            SELECT DISTINCT ON (automation_id) automation_id, id, phase, slot, mode, trigger,
                   uncapped_reason
              FROM executions
             WHERE automation_id = ANY(%(ids)s) AND mode = 'live'
             ORDER BY automation_id, slot DESC
            """,
            {"ids": list(automation_ids)},
        )
        return {row["automation_id"]: dict(row) for row in cursor}


def select_statistics(
    connection: Connection, automation_ids: Sequence[str]
) -> dict[str, dict[str, object]]:
    """Return the counters of each automation that ever ran live, under the document's names."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT automation_id,
                   count(*),
                   count(*) FILTER (WHERE phase = 'completed'),
                   count(*) FILTER (WHERE phase = 'failed'),
                   max(coalesce(ended_at, begins_at)),
                   (array_agg(reason ORDER BY created_at DESC)
                     FILTER (WHERE phase = 'failed'))[1]
              FROM executions
             WHERE automation_id = ANY(%(ids)s) AND mode = 'live'
               AND phase NOT IN ('missed', 'skipped')
             GROUP BY automation_id
            """,
            {"ids": list(automation_ids)},
        )
        return {
            row[0]: {
                "totalExecutions": row[1],
                "successfulExecutions": row[2],
                "failedExecutions": row[3],
                "lastExecutedAt": row[4].isoformat(),
                "lastError": row[5],
            }
            for row in cursor
        }


def _file_and_columns(row: Sequence[Any] | None) -> tuple[str, tuple[str, ...]] | None:
    return (row[0], tuple(row[1])) if row else None


def _select_one(connection: Connection, where: str, key: str) -> Execution:
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(
            f"SELECT {EXECUTION_COLUMNS} FROM executions {where}",  # noqa: S608 - constants
            {"key": key},
        )
        row = cursor.fetchone()
    if row is None:
        raise ExecutionNotFoundError(f"There is no execution {key!r}.")
    return _execution(row, _select_pushes(connection, [row["id"]]).get(row["id"], ()))


def _readable(
    rows: Sequence[Mapping[str, Any]], pushes: Mapping[str, Sequence[Mapping[str, Any]]]
) -> Iterator[Execution]:
    for row in rows:
        with suppress(NewerExecutionError):
            yield _execution(row, pushes.get(row["id"], ()))


def _execution(row: Mapping[str, Any], pushes: Sequence[Mapping[str, Any]]) -> Execution:
    try:
        return _read(row, pushes)
    except ValueError as error:  # a phase, a mode, a status or a setting of which we do not know
        raise NewerExecutionError(
            f"The execution {row['id']!r} holds what this version does not know ({error}); "
            "a newer one goes on with it."
        ) from error


def _read(row: Mapping[str, Any], pushes: Sequence[Mapping[str, Any]]) -> Execution:
    return Execution(
        id=row["id"],
        automation=read_automation(row["snapshot"]),
        mode=Mode(row["mode"]),
        trigger=Trigger(row["trigger"]),
        slot=row["slot"],
        begins_at=row["begins_at"],
        phase=Phase(row["phase"]),
        fence=row["fence"],
        failures=row["failures"],
        due_at=row["due_at"],
        live_at=row["live_at"],
        reason=row["reason"],
        approval_reason=row["approval_reason"],
        resumes=row["resumes"],
        uncapped_reason=row["uncapped_reason"],
        created_at=row["created_at"],
        ended_at=row["ended_at"],
        pushes=tuple(_push(push) for push in pushes),
    )


def _select_pushes(
    connection: Connection, execution_ids: Sequence[str]
) -> dict[str, list[Mapping[str, Any]]]:
    pushes: dict[str, list[Mapping[str, Any]]] = {}
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(
            "SELECT * FROM execution_pushes WHERE execution_id = ANY(%(ids)s) ORDER BY position",
            {"ids": list(execution_ids)},
        )
        for row in cursor:
            pushes.setdefault(row["execution_id"], []).append(row)
    return pushes


def _push(row: Mapping[str, Any]) -> PushProgress:
    return PushProgress(
        position=row["position"],
        status=PushStatus(row["status"]),
        due_at=row["due_at"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        audience=_audience(row) if row["audience_file"] else None,
        funnel=row["funnel"] and Funnel.from_document(row["funnel"]),
        forecast=row["forecast"],
        audience_check=row["audience_check"],
    )


def _audience(row: Mapping[str, Any]) -> PushAudience:
    return PushAudience(
        file=row["audience_file"],
        sha256=row["audience_hash"],
        columns=tuple(row["audience_columns"]),
        source_file=row["source_file"],
        generated=row["generated"],
        valid=row["valid"],
        distinct=row["distinct_users"],
        bad_rows=tuple(row["bad_rows"]),
    )
