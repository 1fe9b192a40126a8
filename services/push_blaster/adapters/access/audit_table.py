"""The table `audit_log`: rows are added and answered once, and never changed or deleted."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from psycopg2.extras import RealDictCursor

from chassis.postgres import Connection
from push_blaster.domain.access.audit import Change

COLUMNS: Final = (
    *("id", "at", "actor", "role", "method", "path", "endpoint", "what", "request_id"),
    *("status", "answered_at"),
)
_ROWS_AT_ONCE: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditQuery:
    """Which rows; None means any.

    Shape: `path` is a part of one; `since` is included, `until` is not; `before` is a row's id.
    """

    actor: str | None = None
    path: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None


def insert_change(connection: Connection, change: Change) -> int:
    """Write down a change that is about to be made; return its row's id.

    A lock on the table is waited for a second: behind this waits whoever wants to stop something.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '1s'")
        cursor.execute(
            """
            INSERT INTO audit_log (at, actor, role, method, path, endpoint, what, request_id)
            VALUES (%(at)s, %(actor)s, %(role)s, %(method)s, %(path)s, %(endpoint)s, %(what)s,
                    %(request_id)s)
         RETURNING id
            """,
            {
                name: value.replace("\x00", "") if isinstance(value, str) else value
                for name, value in asdict(change).items()
            },
        )
        row: tuple[int] = cursor.fetchone()  # type: ignore[assignment]  # RETURNING gives one
        return row[0]


def update_answer(
    connection: Connection, id_: int, status: int, caller: tuple[str, str] | None, now: datetime
) -> None:
    """Write down how a change was answered; and whose it was, if that is known only now."""
    actor, role = caller or (None, None)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE audit_log
               SET status = %(status)s, answered_at = %(now)s,
                   actor = coalesce(actor, %(actor)s), role = coalesce(role, %(role)s)
             WHERE id = %(id)s
            """,
            {"id": id_, "status": status, "actor": actor, "role": role, "now": now},
        )


def select_changes(connection: Connection, query: AuditQuery, limit: int) -> list[dict[str, Any]]:
    """Return rows, newest first."""
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(f"{_SELECT} LIMIT %(limit)s", {**asdict(query), "limit": limit})
        return [dict(row) for row in cursor]


def stream_changes(connection: Connection, query: AuditQuery) -> Iterator[tuple[Any, ...]]:
    """Yield rows in the order of COLUMNS, newest first, in constant memory."""
    with connection.cursor("audit_log") as cursor:
        cursor.itersize = _ROWS_AT_ONCE
        cursor.execute(_SELECT, asdict(query))
        yield from cursor


_SELECT: Final = f"""
            SELECT {", ".join(COLUMNS)}
              FROM audit_log
             WHERE (%(actor)s::text IS NULL OR actor = %(actor)s)
               AND (%(path)s::text IS NULL OR strpos(path, %(path)s) > 0)
               AND (%(since)s::timestamptz IS NULL OR at >= %(since)s)
               AND (%(until)s::timestamptz IS NULL OR at < %(until)s)
               AND (%(before)s::bigint IS NULL OR id < %(before)s)
             ORDER BY id DESC
"""  # noqa: S608 - constants
