"""The table `script_runs`: every run of every script, and trials that wait for an engine."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg2.extras import Json, RealDictCursor

from chassis.postgres import Connection
from push_blaster.domain.audiences.script_run import FoundAudience, RunEnd, RunRecord, RunState


class RunNotFoundError(Exception):
    """The script has no such run."""


def insert_run(connection: Connection, run: RunRecord, idempotency_key: str | None = None) -> bool:
    """Insert a run; False, and no change, if the key was used before."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO script_runs (id, script_id, execution_id, is_trial, idempotency_key,
                                     parameters, folder, state, asked_at, started_at, seen_at)
            VALUES (%(id)s, %(script_id)s, %(execution_id)s, %(is_trial)s, %(key)s,
                    %(parameters)s, %(folder)s, %(state)s, %(asked_at)s, %(started_at)s,
                    %(started_at)s)
                ON CONFLICT DO NOTHING
            """,
            {
                "id": run.id,
                "script_id": run.script_id,
                "execution_id": run.execution_id,
                "is_trial": run.is_trial,
                "key": idempotency_key,
                "parameters": Json(dict(run.parameters)),
                "folder": run.folder,
                "state": run.state,
                "asked_at": run.asked_at,
                "started_at": run.started_at,
            },
        )
        return cursor.rowcount == 1


def dispatch_trials(connection: Connection, now: datetime, again_before: datetime) -> list[str]:
    """Return the ids of waiting trials, and mark them as dispatched; later, dispatch them again."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE script_runs SET handed_out_at = %(now)s
             WHERE state = 'waiting' AND ended_at IS NULL
               AND (handed_out_at IS NULL OR handed_out_at < %(again_before)s)
            RETURNING id
            """,
            {"now": now, "again_before": again_before},
        )
        return [str(row[0]) for row in cursor]


def start_run(connection: Connection, run_id: UUID, now: datetime) -> RunRecord | None:
    """Take a trial that waits; None if somebody else has, or it was stopped."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE script_runs SET state = 'running', started_at = %(now)s, seen_at = %(now)s
             WHERE id = %(id)s AND state = 'waiting'
            """,
            {"id": run_id, "now": now},
        )
        if cursor.rowcount == 0:
            return None
    return select_run(connection, run_id)


def keep_run(connection: Connection, run_id: UUID, now: datetime) -> bool:
    """Say that the run goes on; False if it has been stopped."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE script_runs SET seen_at = %(now)s WHERE id = %(id)s AND state = 'running'",
            {"id": run_id, "now": now},
        )
        return cursor.rowcount == 1


def end_run(connection: Connection, run_id: UUID, end: RunEnd, now: datetime) -> bool:
    """Write how the run ended; False, and no change, if it had ended before."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE script_runs
               SET state = %(state)s, exit_code = %(exit_code)s, error = %(error)s,
                   audiences = %(audiences)s, ended_at = %(now)s
             WHERE id = %(id)s AND ended_at IS NULL
            """,
            {
                "id": run_id,
                "state": end.state,
                "exit_code": end.exit_code,
                "error": end.error and end.error.replace("\x00", "\N{REPLACEMENT CHARACTER}"),
                "audiences": Json([asdict(audience) for audience in end.audiences]),
                "now": now,
            },
        )
        return cursor.rowcount == 1


def reap_runs(connection: Connection, silent_since: datetime, now: datetime) -> None:
    """End runs of which nothing has been heard: their engines are gone."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE script_runs
               SET state = 'failed', error = 'The engine that ran it is gone.', ended_at = %(now)s
             WHERE state = 'running' AND seen_at < %(silent_since)s
            """,
            {"silent_since": silent_since, "now": now},
        )


def delete_folders(connection: Connection, ended_before: datetime) -> list[str]:
    """Forget where trials wrote that ended before then; return those folders."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH old AS (SELECT id, folder FROM script_runs
                          WHERE is_trial AND folder <> '' AND ended_at < %(before)s
                            FOR UPDATE SKIP LOCKED)
            UPDATE script_runs r SET folder = '' FROM old WHERE r.id = old.id
            RETURNING old.folder
            """,
            {"before": ended_before},
        )
        return [row[0] for row in cursor]


def select_run(connection: Connection, run_id: UUID) -> RunRecord:
    """Return one run; RunNotFoundError."""
    return _select_one(connection, "id", run_id)


def select_run_by_key(connection: Connection, idempotency_key: str) -> RunRecord:
    """Return the run that was asked for under this key; RunNotFoundError."""
    return _select_one(connection, "idempotency_key", idempotency_key)


def select_runs(
    connection: Connection, script_id: str, before: tuple[datetime, UUID] | None, limit: int
) -> list[RunRecord]:
    """Return the runs of a script, newest first; the page after the run `before`."""
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(
            """
            SELECT * FROM script_runs
             WHERE script_id = %(script_id)s
               AND (%(asked_at)s::timestamptz IS NULL
                    OR (asked_at, id) < (%(asked_at)s::timestamptz, %(id)s::uuid))
             ORDER BY asked_at DESC, id DESC
             LIMIT %(limit)s
            """,
            {
                "script_id": script_id,
                "asked_at": before[0] if before else None,
                "id": before[1] if before else None,
                "limit": limit,
            },
        )
        return [_run(row) for row in cursor]


def select_last_written(connection: Connection, script_id: str) -> tuple[FoundAudience, ...]:
    """Return what the script wrote when it last ran well; nothing if it never has."""
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(
            """
            SELECT * FROM script_runs
             WHERE script_id = %(script_id)s AND state = 'succeeded'
             ORDER BY asked_at DESC, id DESC
             LIMIT 1
            """,
            {"script_id": script_id},
        )
        row = cursor.fetchone()
    return _run(row).audiences if row else ()


def _select_one(connection: Connection, column: str, value: object) -> RunRecord:
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(
            f"SELECT * FROM script_runs WHERE {column} = %(value)s",  # noqa: S608 - our own names
            {"value": value},
        )
        row = cursor.fetchone()
    if row is None:
        raise RunNotFoundError(f"There is no run {value!s} of a script.")
    return _run(row)


def _run(row: Mapping[str, Any]) -> RunRecord:
    return RunRecord(
        id=row["id"],
        script_id=row["script_id"],
        execution_id=row["execution_id"],
        is_trial=row["is_trial"],
        parameters=row["parameters"],
        folder=row["folder"],
        state=RunState(row["state"]),
        asked_at=row["asked_at"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        exit_code=row["exit_code"],
        error=row["error"],
        audiences=tuple(
            FoundAudience(**{**audience, "columns": tuple(audience["columns"])})
            for audience in row["audiences"] or ()
        ),
    )
