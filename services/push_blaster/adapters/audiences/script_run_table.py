"""The table `script_runs`: every run of a script, and trials that wait for an engine."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from psycopg2.extras import Json

from chassis.postgres import Connection
from chassis.rows import execute, fetch_all, fetch_one, fetch_value, fetch_values, without_nul
from push_blaster.domain.audiences.script_run import FoundAudience, RunEnd, RunRecord, RunState

_STOP_ASKED_AT: Final = """
    (SELECT asked_at FROM script_run_stops s WHERE s.run_id = script_runs.id) AS stop_asked_at
"""
_COLUMNS: Final = ", ".join([*(field.name for field in fields(RunRecord)), _STOP_ASKED_AT])
#: What the run of a stopped trial says.
STOPPED: Final = "Stopped by an operator."


class RunNotFoundError(Exception):
    """The script has no such run."""


def insert_run(connection: Connection, run: RunRecord, idempotency_key: str | None = None) -> bool:
    """Insert a run; return False, and change nothing, if the key was used before."""
    sql = """
        INSERT INTO script_runs (id, script_id, execution_id, is_trial, idempotency_key,
                                 parameters, folder, state, asked_at, started_at, seen_at,
                                 engine_id)
        VALUES (%(id)s, %(script_id)s, %(execution_id)s, %(is_trial)s, %(key)s,
                %(parameters)s, %(folder)s, %(state)s, %(asked_at)s, %(started_at)s,
                %(started_at)s, %(engine_id)s)
            ON CONFLICT DO NOTHING
    """
    own = {"key": idempotency_key, "parameters": Json(dict(run.parameters))}
    values = {**asdict(run), **own}
    return execute(connection, sql, values) == 1


def dispatch_trials(connection: Connection, now: datetime, again_before: datetime) -> list[str]:
    """Return the ids of waiting trials, and mark them as dispatched; later, dispatch them again."""
    sql = """
        UPDATE script_runs SET handed_out_at = %(now)s
         WHERE id IN (
               SELECT id FROM script_runs
                WHERE state = 'waiting' AND ended_at IS NULL
                  AND (handed_out_at IS NULL OR handed_out_at < %(again_before)s)
                  FOR NO KEY UPDATE SKIP LOCKED)
     RETURNING id
    """
    found = fetch_values(connection, sql, {"now": now, "again_before": again_before})
    return [str(id_) for id_ in found]


def start_run(
    connection: Connection, run_id: UUID, engine_id: str, now: datetime
) -> RunRecord | None:
    """Take a waiting trial; None if another engine has taken it, or it was stopped."""
    sql = """
        UPDATE script_runs
           SET state = 'running', started_at = %(now)s, seen_at = %(now)s, engine_id = %(engine)s
         WHERE id = %(id)s AND state = 'waiting'
           AND NOT EXISTS (SELECT FROM script_run_stops s WHERE s.run_id = script_runs.id)
    """
    if execute(connection, sql, {"id": run_id, "engine": engine_id, "now": now}) == 0:
        return None
    return select_run(connection, run_id)


def keep_run(connection: Connection, run_id: UUID, now: datetime) -> bool:
    """Record that the run is alive; return False if it was stopped."""
    sql = "UPDATE script_runs SET seen_at = %(now)s WHERE id = %(id)s AND state = 'running'"
    return execute(connection, sql, {"id": run_id, "now": now}) == 1


def end_run(connection: Connection, run_id: UUID, end: RunEnd, now: datetime) -> bool:
    """Record how the run ended; return False, and change nothing, if it had ended before."""
    sql = """
        UPDATE script_runs
           SET state = %(state)s, exit_code = %(exit_code)s, error = %(error)s,
               audiences = %(audiences)s, ended_at = %(now)s
         WHERE id = %(id)s AND ended_at IS NULL
    """
    values = {
        "id": run_id,
        "state": end.state,
        "exit_code": end.exit_code,
        "error": end.error and without_nul(end.error),
        "audiences": Json([asdict(audience) for audience in end.audiences]),
        "now": now,
    }
    return execute(connection, sql, values) == 1


def stop_run(connection: Connection, run_id: UUID, now: datetime) -> None:
    """Stop a trial by a row of its own, for which no other transaction makes it wait."""
    sql = "INSERT INTO script_run_stops (run_id, asked_at) VALUES (%s, %s) ON CONFLICT DO NOTHING"
    execute(connection, sql, (run_id, now))


def is_run_stopped(connection: Connection, run_id: UUID) -> bool:
    """Return whether somebody has stopped the trial, and its row does not say so yet."""
    sql = "SELECT EXISTS (SELECT FROM script_run_stops WHERE run_id = %s)"
    return bool(fetch_value(connection, sql, (run_id,)))


def end_stopped_runs(connection: Connection) -> None:
    """End stopped trials whose rows are free; the others stay stopped."""
    end = """
        WITH free AS (
             SELECT r.id, s.asked_at
               FROM script_run_stops s
               JOIN script_runs r ON r.id = s.run_id AND r.ended_at IS NULL AND r.is_trial
                FOR NO KEY UPDATE OF r SKIP LOCKED)
        UPDATE script_runs r
           SET state = 'stopped', error = %s, ended_at = free.asked_at
          FROM free WHERE r.id = free.id
    """
    execute(connection, end, (STOPPED,))
    forget = """
        DELETE FROM script_run_stops s
         WHERE NOT EXISTS (SELECT FROM script_runs r
                            WHERE r.id = s.run_id AND r.ended_at IS NULL AND r.is_trial)
    """
    execute(connection, forget)


def reap_runs(
    connection: Connection, living: Collection[str], silent_since: datetime, now: datetime
) -> None:
    """End runs without a sign of life whose engine is not among the `living`."""
    sql = """
        UPDATE script_runs
           SET state = 'failed', error = 'The engine that ran it is gone.', ended_at = %(now)s
         WHERE id IN (
               SELECT id FROM script_runs
                WHERE state = 'running' AND seen_at < %(silent_since)s
                  AND (engine_id IS NULL OR engine_id <> ALL(%(living)s))
                  FOR NO KEY UPDATE SKIP LOCKED)
    """
    values = {"living": list(living), "silent_since": silent_since, "now": now}
    execute(connection, sql, values)


def end_runs_of(connection: Connection, execution_id: str, now: datetime) -> list[UUID]:
    """End the runs of earlier attempts at the audience, and return all of them."""
    sql = """
        UPDATE script_runs
           SET state = 'failed', error = 'Another attempt began.', ended_at = %(now)s
         WHERE execution_id = %(id)s AND state = 'running' AND NOT is_trial
    """
    execute(connection, sql, {"id": execution_id, "now": now})
    sql = "SELECT id FROM script_runs WHERE execution_id = %s AND NOT is_trial"
    return fetch_values(connection, sql, (execution_id,))


def select_ended(connection: Connection, run_ids: Iterable[UUID]) -> set[UUID]:
    """Return which of these runs have ended, or are unknown."""
    sql = """
        SELECT asked.id
          FROM unnest(%s::uuid[]) AS asked (id)
          LEFT JOIN script_runs r USING (id)
         WHERE r.id IS NULL OR r.ended_at IS NOT NULL
    """
    return set(fetch_values(connection, sql, (list(run_ids),)))


def delete_folders(connection: Connection, ended_before: datetime) -> list[str]:
    """Clear the folders of trials that ended before then; return these folders."""
    sql = """
        WITH old AS (SELECT id, folder FROM script_runs
                      WHERE is_trial AND folder <> '' AND ended_at < %(before)s
                        FOR UPDATE SKIP LOCKED)
        UPDATE script_runs r SET folder = '' FROM old WHERE r.id = old.id
        RETURNING old.folder
    """
    return fetch_values(connection, sql, {"before": ended_before})


def select_run(connection: Connection, run_id: UUID) -> RunRecord:
    """Return one run; RunNotFoundError."""
    return _select_one(connection, "id", run_id)


def select_run_by_key(connection: Connection, idempotency_key: str) -> RunRecord:
    """Return the run with this idempotency key; RunNotFoundError."""
    return _select_one(connection, "idempotency_key", idempotency_key)


def select_runs(
    connection: Connection, script_id: str, before: tuple[datetime, UUID] | None, limit: int
) -> list[RunRecord]:
    """Return the runs of a script, newest first; the page after the run `before`."""
    sql = f"""
        SELECT {_COLUMNS} FROM script_runs
         WHERE script_id = %(script_id)s
           AND (%(asked_at)s::timestamptz IS NULL
                OR (asked_at, id) < (%(asked_at)s::timestamptz, %(id)s::uuid))
         ORDER BY asked_at DESC, id DESC
         LIMIT %(limit)s
    """  # noqa: S608 - a constant
    asked_at, id_ = before or (None, None)
    values = {"script_id": script_id, "asked_at": asked_at, "id": id_, "limit": limit}
    return fetch_all(connection, sql, values, make=_make_run, by_name=True)


def select_last_written(connection: Connection, script_id: str) -> tuple[FoundAudience, ...]:
    """Return the audiences of the script's last successful run; empty if there is none."""
    sql = f"""
        SELECT {_COLUMNS} FROM script_runs
         WHERE script_id = %(script_id)s AND state = 'succeeded'
         ORDER BY asked_at DESC, id DESC
         LIMIT 1
    """  # noqa: S608 - a constant
    run = fetch_one(connection, sql, {"script_id": script_id}, make=_make_run, by_name=True)
    return run.audiences if run else ()


def _select_one(connection: Connection, column: str, value: object) -> RunRecord:
    sql = f"SELECT {_COLUMNS} FROM script_runs WHERE {column} = %s"  # noqa: S608 - our own names
    run = fetch_one(connection, sql, (value,), make=_make_run, by_name=True)
    if run is None:
        raise RunNotFoundError(f"There is no run {value!s} of a script.")
    return run


def _make_run(
    *,
    state: str,
    audiences: Sequence[Mapping[str, Any]] | None,
    stop_asked_at: datetime | None,
    **others: Any,
) -> RunRecord:
    """Return the run; a trial has ended with its stop, although its row may not say so yet."""
    if stop_asked_at and others["is_trial"] and others["ended_at"] is None:
        state = RunState.STOPPED
        others |= {"ended_at": stop_asked_at, "error": STOPPED}
    found = (
        FoundAudience(**{**audience, "columns": tuple(audience["columns"])})
        for audience in audiences or ()
    )
    return RunRecord(**others, state=RunState(state), audiences=tuple(found))
