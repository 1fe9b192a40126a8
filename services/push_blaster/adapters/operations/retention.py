"""The records whose retention has ended, and their removal in small pieces."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from chassis.postgres import Connection
from chassis.rows import execute, fetch_value, fetch_values

#: How many rows one transaction deletes.
PIECE: Final = 10_000

#: The column from which the retention of each table's rows counts.
_SINCE: Final = {"script_runs": "ended_at", "devices": "dead_at", "audit_log": "at"}

#: Executions that run or may be resumed (see Execution.can_resume), and the executions whose
#: audiences they took over or may take over.
_NEEDED: Final = """
    SELECT unnest(ARRAY[e.id, e.resumes, split_part(p.audience_file, '/', 2)])
      FROM executions e
      LEFT JOIN execution_pushes p ON p.execution_id = e.id
     WHERE e.ended_at IS NULL
        OR (e.mode = 'live' AND e.phase IN ('cancelled', 'failed')
            AND e.ended_at >= %(resumable_since)s
            AND EXISTS (SELECT FROM execution_pushes begun
                         WHERE begun.execution_id = e.id AND begun.started_at IS NOT NULL))
"""
#: The last execution of each automation; the next execution is compared with it.
_LAST: Final = """
    SELECT id FROM (SELECT DISTINCT ON (automation_id) id FROM executions
                     WHERE mode = 'live' AND phase = 'completed'
                     ORDER BY automation_id, slot DESC) AS last
"""


def select_old_executions(connection: Connection, ended_before: datetime) -> list[str]:
    """Return executions that ended before then and are not needed any more, the oldest first.

    Executions with an open batch are left out.
    """
    sql = f"""
        SELECT id FROM executions old
         WHERE ended_at < %(before)s
           AND id NOT IN (SELECT id FROM ({_NEEDED}) AS needed (id) WHERE id IS NOT NULL)
           AND NOT EXISTS (SELECT FROM send_batches b
                            WHERE b.execution_id = old.id AND b.done_at IS NULL)
         ORDER BY ended_at
    """  # noqa: S608 - constants
    return fetch_values(connection, sql, {"before": ended_before, "resumable_since": ended_before})


def count_executions(connection: Connection) -> int:
    """Return how many executions there are."""
    return int(fetch_value(connection, "SELECT count(*) FROM executions"))


def select_kept_folders(
    connection: Connection, ended_before: datetime, resumable_since: datetime
) -> set[str]:
    """Return the executions whose folders of audiences are kept.

    Shape: of the executions that ended before `ended_before`, only the needed ones; an execution
    can be resumed if it ended at `resumable_since` or later.
    """
    sql = f"""
        SELECT id FROM executions WHERE ended_at >= %(before)s
         UNION {_LAST}
         UNION {_NEEDED}
    """  # noqa: S608 - constants
    kept = fetch_values(
        connection, sql, {"before": ended_before, "resumable_since": resumable_since}
    )
    return set(kept)


def select_awaited_uploads(connection: Connection) -> set[str]:
    """Return the hashes of the uploaded files that running executions name."""
    sql = """
        SELECT snapshot #>> '{audienceCriteria,uploadedFile,sha256}' FROM executions
         WHERE ended_at IS NULL
    """
    hashes = fetch_values(connection, sql)
    return set(filter(None, hashes))


def delete_piece(connection: Connection, table: str, execution_id: str) -> int:
    """Delete some rows of an execution from `deliveries` or `execution_log`; return how many."""
    sql = f"""
        DELETE FROM {table} WHERE ctid = ANY(ARRAY(
               SELECT ctid FROM {table} WHERE execution_id = %(id)s LIMIT %(piece)s))
    """  # noqa: S608 - our own names
    return execute(connection, sql, {"id": execution_id, "piece": PIECE})


def count_old(connection: Connection, table: str, before: datetime) -> int:
    """Return how many rows of a table of `_SINCE` are older than `before`."""
    statement = f"SELECT count(*) FROM {table} WHERE {_SINCE[table]} < %s"  # noqa: S608 - our own names
    return int(fetch_value(connection, statement, (before,)))


def delete_old_runs(connection: Connection, ended_before: datetime) -> int:
    """Delete some runs of scripts that ended before then, with their logs; return how many."""
    sql = """
        WITH old AS (
          DELETE FROM script_runs WHERE id = ANY(ARRAY(
                 SELECT id FROM script_runs WHERE ended_at < %(before)s LIMIT %(piece)s))
          RETURNING id::text),
        words AS (
          DELETE FROM execution_log WHERE execution_id IN (SELECT id FROM old))
        SELECT count(*) FROM old
    """
    deleted = fetch_value(connection, sql, {"before": ended_before, "piece": PIECE // 100})
    return int(deleted)


def delete_changes(connection: Connection, ids: Sequence[int]) -> None:
    """Delete entries of the audit log; the database refuses entries younger than a year."""
    execute(connection, "DELETE FROM audit_log WHERE id = ANY(%s)", (list(ids),))
