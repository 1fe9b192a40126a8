"""The table `imports`, and the history that each import brought."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from cadence_service.adapters.history_csv import PastSend
from chassis.postgres import BulkConnection
from chassis.rows import execute, fetch_all, fetch_value

#: An advisory lock: imports run one after the other, so that each sees the rows of the others.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportCounts:
    """Rows of an import: in all, well-formed, added to the history, and there already."""

    total: int
    valid: int
    inserted: int
    duplicates: int


def insert_import(connection: BulkConnection, kind: str, file_name: str, now: datetime) -> int:
    """Open an import; return its id."""
    import_id: int = fetch_value(
        connection,
        """
        INSERT INTO imports (kind, file_name, state, started_at)
        VALUES (%(kind)s, %(name)s, 'running', %(now)s) RETURNING id
        """,
        {"kind": kind, "name": file_name, "now": now},
    )
    return import_id


def save_progress(connection: BulkConnection, import_id: int, total: int) -> None:
    """Write down how many rows a running import has read."""
    execute(
        connection,
        "UPDATE imports SET total_rows = %(total)s WHERE id = %(id)s AND state = 'running'",
        {"id": import_id, "total": total},
    )


def end_import(
    connection: BulkConnection,
    import_id: int,
    state: str,
    counts: ImportCounts,
    now: datetime,
    reason: str | None = None,
) -> None:
    """Write down how an import ended."""
    execute(
        connection,
        """
        UPDATE imports
           SET state = %(state)s, ended_at = %(now)s, reason = %(reason)s,
               total_rows = %(total)s, valid_rows = %(valid)s, inserted = %(inserted)s,
               duplicates = %(duplicates)s
         WHERE id = %(id)s
        """,
        {"id": import_id, "state": state, "now": now, "reason": reason, **asdict(counts)},
    )


def lock_imports(connection: BulkConnection) -> None:
    """Let only one transaction at a time import."""
    execute(connection, "SELECT pg_advisory_xact_lock(%(lock)s)", {"lock": LOCK})


def insert_history(
    connection: BulkConnection,
    import_id: int,
    sends: Sequence[PastSend],
    message_ids: dict[bytes, int],
) -> int:
    """Add sends of the past, unless the user has one of the same instant; return how many."""
    ordered = sorted(sends, key=lambda send: send.user_id)
    return execute(
        connection,
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
    )


def select_imports(connection: BulkConnection, import_id: int | None = None) -> list[Import]:
    """Return the imports, newest first; or only the one of this id."""
    return fetch_all(
        connection,
        """
        SELECT id, kind, file_name, state, started_at, ended_at, total_rows, valid_rows, inserted,
               duplicates, reason
          FROM imports
         WHERE %(id)s::bigint IS NULL OR id = %(id)s::bigint
         ORDER BY id DESC LIMIT 500
        """,
        {"id": import_id},
        make=Import,
        by_name=True,
    )


def delete_history(connection: BulkConnection, import_id: int) -> int:
    """Remove the sends that an import brought; return how many there were."""
    undone = {"id": import_id}
    removed = execute(connection, "DELETE FROM user_notifications WHERE import_id = %(id)s", undone)
    execute(connection, "UPDATE imports SET state = 'undone' WHERE id = %(id)s", undone)
    return removed
