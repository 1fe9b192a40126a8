"""The table `execution_log`: what a person reads to see how an execution went."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chassis.postgres import Connection
from push_blaster.domain.execution import LogLevel


def append_log(
    connection: Connection,
    execution_id: str,
    stage: str,
    message: str,
    now: datetime,
    level: LogLevel = LogLevel.INFO,
) -> None:
    """Add one event to the execution's log."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO execution_log (execution_id, at, level, stage, message)
            VALUES (%(id)s, %(at)s, %(level)s, %(stage)s, %(message)s)
            """,
            {
                "id": execution_id,
                "at": now,
                "level": level,
                "stage": stage,
                "message": message.replace("\x00", "\N{REPLACEMENT CHARACTER}"),
            },
        )


def select_log(
    connection: Connection, execution_id: str, after: int = 0, limit: int = 1_000
) -> list[Mapping[str, Any]]:
    """Return events in order, from the one that follows `after` (0 for the first)."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT seq, at, level, stage, message FROM execution_log
             WHERE execution_id = %(id)s AND seq > %(after)s
             ORDER BY seq LIMIT %(limit)s
            """,
            {"id": execution_id, "after": after, "limit": limit},
        )
        return [
            {"id": row[0], "timestamp": row[1], "level": row[2], "stage": row[3], "message": row[4]}
            for row in cursor
        ]


def select_log_end(
    connection: Connection, execution_id: str, limit: int
) -> list[Mapping[str, Any]]:
    """Return the last events, in order."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT greatest(0, seq - 1) FROM execution_log
             WHERE execution_id = %(id)s ORDER BY seq DESC OFFSET %(skipped)s LIMIT 1
            """,
            {"id": execution_id, "skipped": limit - 1},
        )
        row = cursor.fetchone()
    return select_log(connection, execution_id, row[0] if row else 0, limit)
