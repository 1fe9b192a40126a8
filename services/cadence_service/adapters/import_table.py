"""The table `imports`, and the history that each of them brought."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cadence_service.adapters.history_csv import PastSend
from chassis.postgres import BulkConnection

#: An advisory lock: imports run one after the other, so that none overlooks another's rows.
LOCK: Final = 7_304_218_512


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One import; counts of rows."""

    id: int
    kind: str
    file_name: str
    state: str
    started_at: datetime
    ended_at: datetime | None
    total_rows: int
    valid_rows: int
    inserted: int
    duplicates: int
    reason: str | None


_COLUMNS: Final = (
    "id, kind, file_name, state, started_at, ended_at, total_rows, valid_rows, inserted,"
    " duplicates, reason"
)


def insert_import(connection: BulkConnection, kind: str, file_name: str, now: datetime) -> int:
    """Open an import; return its id."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO imports (kind, file_name, state, started_at)
            VALUES (%(kind)s, %(name)s, 'running', %(now)s) RETURNING id
            """,
            {"kind": kind, "name": file_name, "now": now},
        )
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def save_progress(connection: BulkConnection, import_id: int, total: int) -> None:
    """Say how many rows a running import has read."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE imports SET total_rows = %(total)s WHERE id = %(id)s AND state = 'running'",
            {"id": import_id, "total": total},
        )


def end_import(
    connection: BulkConnection,
    import_id: int,
    state: str,
    counts: tuple[int, int, int, int],
    now: datetime,
    reason: str | None = None,
) -> None:
    """Say how an import ended; `counts` are rows in all, valid, inserted, duplicate."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE imports
               SET state = %(state)s, ended_at = %(now)s, reason = %(reason)s,
                   total_rows = %(total)s, valid_rows = %(valid)s, inserted = %(inserted)s,
                   duplicates = %(duplicates)s
             WHERE id = %(id)s
            """,
            {
                "id": import_id,
                "state": state,
                "now": now,
                "reason": reason,
                **dict(zip(("total", "valid", "inserted", "duplicates"), counts, strict=True)),
            },
        )


def lock_imports(connection: BulkConnection) -> None:
    """Let only one transaction at a time import."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%(lock)s)", {"lock": LOCK})


def insert_history(
    connection: BulkConnection,
    import_id: int,
    sends: Sequence[PastSend],
    message_ids: dict[bytes, int],
) -> int:
    """Add sends of the past, unless the user has one of the same instant; return how many."""
    ordered = sorted(sends, key=lambda send: send.user_id)
    return connection.execute(
        """
        INSERT INTO user_notifications (user_id, sent_at, layer_id, message_id, actually_sent_at,
                                        import_id)
        SELECT v.user_id, v.sent_at, v.layer_id, v.message_id, v.sent_at, %(id)s
          FROM unnest(%(users)s::uuid[], %(instants)s::timestamptz[], %(layers)s::smallint[],
                      %(messages)s::int[]) AS v (user_id, sent_at, layer_id, message_id)
         WHERE NOT EXISTS (SELECT 1 FROM user_notifications n
                            WHERE n.user_id = v.user_id AND n.sent_at = v.sent_at)
        """,
        {
            "id": import_id,
            "users": [send.user_id for send in ordered],
            "instants": [send.sent_at for send in ordered],
            "layers": [send.layer_id for send in ordered],
            "messages": [message_ids[send.texts.digest] for send in ordered],
        },
    ).rowcount


def select_imports(connection: BulkConnection, import_id: int | None = None) -> list[Import]:
    """Return the imports, newest first; or only the one of this id."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT {_COLUMNS} FROM imports
             WHERE %(id)s::bigint IS NULL OR id = %(id)s::bigint
             ORDER BY id DESC LIMIT 500
            """,  # noqa: S608 - a constant list of columns
            {"id": import_id},
        )
        names = [name.strip() for name in _COLUMNS.split(",")]
        rows: list[dict[str, Any]] = [dict(zip(names, row, strict=True)) for row in cursor]
    return [Import(**row) for row in rows]


def delete_history(connection: BulkConnection, import_id: int) -> int:
    """Remove what an import brought; return how many sends that were."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM user_notifications WHERE import_id = %(id)s", {"id": import_id})
        removed = int(cursor.rowcount)
        cursor.execute("UPDATE imports SET state = 'undone' WHERE id = %(id)s", {"id": import_id})
    return removed
