"""What is past keeping in the database, and its removal in small pieces."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from chassis.postgres import Connection
from push_blaster.adapters.access.audit_table import COLUMNS

#: How many rows go in one transaction.
PIECE: Final = 10_000

#: By table, from which instant on a row is kept for so long.
_SINCE: Final = {"script_runs": "ended_at", "devices": "dead_at", "audit_log": "at"}

#: Executions that run or may be gone on with (as Execution.can_resume has it), and those whose
#: audiences such a one took over or is about to.
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
#: Of each automation the last, which its next one is compared with.
_LAST: Final = """
    SELECT id FROM (SELECT DISTINCT ON (automation_id) id FROM executions
                     WHERE mode = 'live' AND phase = 'completed'
                     ORDER BY automation_id, slot DESC) AS last
"""


def select_old_executions(connection: Connection, ended_before: datetime) -> list[str]:
    """Return executions that ended before then, and that nothing which goes on needs; oldest first.

    Those with a batch that is still to be closed are left for later.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT id FROM executions old
             WHERE ended_at < %(before)s
               AND id NOT IN (SELECT id FROM ({_NEEDED}) AS needed (id) WHERE id IS NOT NULL)
               AND NOT EXISTS (SELECT FROM send_batches b
                                WHERE b.execution_id = old.id AND b.done_at IS NULL)
             ORDER BY ended_at
            """,  # noqa: S608 - constants
            {"before": ended_before, "resumable_since": ended_before},
        )
        return [row[0] for row in cursor]


def select_kept_folders(
    connection: Connection, ended_before: datetime, resumable_since: datetime
) -> set[str]:
    """Return the executions whose folders of audiences stay; of those that ended before then, few.

    Shape: whoever can be gone on with ended at `resumable_since` or later.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT id FROM executions WHERE ended_at >= %(before)s
             UNION {_LAST}
             UNION {_NEEDED}
            """,  # noqa: S608 - constants
            {"before": ended_before, "resumable_since": resumable_since},
        )
        return {row[0] for row in cursor}


def select_awaited_uploads(connection: Connection) -> set[str]:
    """Return the hashes of uploaded files that executions which have not ended name."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT snapshot #>> '{audienceCriteria,uploadedFile,sha256}' FROM executions
             WHERE ended_at IS NULL
            """
        )
        return {row[0] for row in cursor if row[0]}


def delete_piece(connection: Connection, table: str, execution_id: str) -> int:
    """Delete some rows of an execution from `deliveries` or `execution_log`; return how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            DELETE FROM {table} WHERE ctid = ANY(ARRAY(
                   SELECT ctid FROM {table} WHERE execution_id = %(id)s LIMIT %(piece)s))
            """,  # noqa: S608 - our own names
            {"id": execution_id, "piece": PIECE},
        )
        return cursor.rowcount


def count_old(connection: Connection, table: str, before: datetime) -> int:
    """Return how many rows of a table of `_SINCE` have been kept since before then."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*) FROM {table} WHERE {_SINCE[table]} < %s",  # noqa: S608 - our own names
            (before,),
        )
        row = cursor.fetchone()
    return row[0] if row else 0


def delete_old_runs(connection: Connection, ended_before: datetime) -> int:
    """Delete some runs of scripts that ended before then, with the logs of trials; return them."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH old AS (
              DELETE FROM script_runs WHERE id = ANY(ARRAY(
                     SELECT id FROM script_runs WHERE ended_at < %(before)s LIMIT %(piece)s))
              RETURNING id::text),
            words AS (
              DELETE FROM execution_log WHERE execution_id IN (SELECT id FROM old))
            SELECT count(*) FROM old
            """,
            {"before": ended_before, "piece": PIECE // 100},
        )
        row = cursor.fetchone()
    return row[0] if row else 0


def select_old_changes(connection: Connection, before: datetime) -> list[tuple[Any, ...]]:
    """Return some of the changes that were written down before then, oldest first, as COLUMNS."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT {", ".join(COLUMNS)} FROM audit_log
             WHERE at < %(before)s ORDER BY id LIMIT %(piece)s
            """,  # noqa: S608 - constants
            {"before": before, "piece": PIECE},
        )
        return cursor.fetchall()


def delete_changes(connection: Connection, ids: Sequence[int]) -> None:
    """Delete changes from the audit log; the database refuses those younger than a year."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM audit_log WHERE id = ANY(%s)", (list(ids),))
