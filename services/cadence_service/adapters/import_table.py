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
#: Advisory locks of this number space: the ids of imports that run or wait.
IDS_SPACE: Final = 79
_IDS: Final = 2**31
_HELD_ID: Final = f"(%(id)s %% {_IDS})::int"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportSource:
    """Where an import comes from.

    Shape: `caller` is the role of the token; `sha256` is the file's.
    """

    kind: str
    file_name: str
    caller: str | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Import(ImportSource):
    """One import; counts of rows."""

    id: int
    state: str
    started_at: datetime
    ended_at: datetime | None
    total_rows: int
    valid_rows: int
    inserted_rows: int
    duplicates_skipped: int
    reason: str | None
    undone_by: str | None = None
    undone_at: datetime | None = None


@dataclass(slots=True)
class ImportCounts:
    """Rows of an import: in all, well-formed, added to the history, and there already."""

    total: int = 0
    valid: int = 0
    inserted: int = 0
    duplicates: int = 0


def take_import_id(connection: BulkConnection) -> int:
    """Return the id of a new import, and lock it until the transaction ends.

    The lock shows whether the import still runs: it is released when the import ends in any way.
    """
    import_id: int = fetch_value(
        connection, "SELECT nextval(pg_get_serial_sequence('imports', 'id'))"
    )
    sql = f"SELECT pg_advisory_xact_lock({IDS_SPACE}, {_HELD_ID})"
    execute(connection, sql, {"id": import_id})
    return import_id


def insert_import(
    connection: BulkConnection, import_id: int, source: ImportSource, now: datetime
) -> None:
    """Record that an import waits for its turn."""
    sql = """
        INSERT INTO imports (id, kind, file_name, caller, sha256, state, started_at)
        OVERRIDING SYSTEM VALUE
        VALUES (%(id)s, %(kind)s, %(name)s, %(caller)s, %(sha256)s, 'queued', %(now)s)
    """
    values = {"id": import_id, "kind": source.kind, "name": source.file_name, "now": now}
    execute(connection, sql, {**values, "caller": source.caller, "sha256": source.sha256})


def end_dead_imports(connection: BulkConnection, now: datetime) -> int:
    """Record which imports ended with their process; return how many. None of their rows are kept.

    Shape: a live import has a lock on its id, and a dead import does not.
    """
    sql = f"""
        UPDATE imports SET state = 'failed', ended_at = %(now)s, reason = %(reason)s
         WHERE id IN (SELECT id FROM (SELECT id FROM imports
                                       WHERE state IN ('queued', 'running') OFFSET 0) AS open
                       WHERE pg_try_advisory_xact_lock({IDS_SPACE}, (id %% {_IDS})::int))
    """  # noqa: S608 - constants
    return execute(
        connection,
        sql,
        {"now": now, "reason": "Its process ended before it was done; nothing of it was kept."},
    )


def save_progress(connection: BulkConnection, import_id: int, total: int) -> bool:
    """Record that an import runs, and how many rows it has read; False if it was undone."""
    sql = (
        "UPDATE imports SET state = 'running', total_rows = %(total)s"
        " WHERE id = %(id)s AND state IN ('queued', 'running')"
    )
    return bool(execute(connection, sql, {"id": import_id, "total": total}))


def end_import(
    connection: BulkConnection,
    import_id: int,
    state: str,
    counts: ImportCounts,
    now: datetime,
    reason: str | None = None,
) -> bool:
    """Record how an import ended; False if it was undone before."""
    sql = """
        UPDATE imports
           SET state = %(state)s, ended_at = %(now)s, reason = %(reason)s,
               total_rows = %(total)s, valid_rows = %(valid)s, inserted = %(inserted)s,
               duplicates = %(duplicates)s
         WHERE id = %(id)s AND state IN ('queued', 'running')
    """
    own = {"id": import_id, "state": state, "now": now, "reason": reason}
    return bool(execute(connection, sql, {**asdict(counts), **own}))


def may_import(connection: BulkConnection) -> bool:
    """Return whether no other import runs; if so, no other begins before the transaction ends."""
    taken: bool = fetch_value(
        connection, "SELECT pg_try_advisory_xact_lock(%(lock)s)", {"lock": LOCK}
    )
    return taken


def insert_history(
    connection: BulkConnection,
    import_id: int,
    sends: Sequence[PastSend],
    message_ids: dict[bytes, int],
) -> int:
    """Add sends of the past, unless the user has one of the same instant; return how many."""
    ordered = sorted(sends, key=lambda send: send.user_id)
    sql = """
        INSERT INTO user_notifications (user_id, sent_at, layer_id, message_id, actually_sent_at,
                                        import_id)
        SELECT v.user_id, v.sent_at, v.layer_id, v.message_id, v.sent_at, %(id)s
          FROM unnest(%(users)s::uuid[], %(instants)s::timestamptz[], %(layers)s::smallint[],
                      %(messages)s::int[]) AS v (user_id, sent_at, layer_id, message_id)
         WHERE NOT EXISTS (SELECT 1 FROM user_notifications n
                            WHERE n.user_id = v.user_id AND n.sent_at = v.sent_at)
    """
    values = {
        "id": import_id,
        "users": [send.user_id for send in ordered],
        "instants": [send.sent_at for send in ordered],
        "layers": [send.layer_id for send in ordered],
        "messages": [message_ids[send.texts.digest] for send in ordered],
    }
    return execute(connection, sql, values)


def select_imports(connection: BulkConnection, import_id: int | None = None) -> list[Import]:
    """Return the imports, newest first; or only the import with this id."""
    sql = """
        SELECT id, kind, file_name, state, started_at, ended_at, total_rows, valid_rows,
               inserted AS inserted_rows, duplicates AS duplicates_skipped, reason, caller, sha256,
               undone_by, undone_at
          FROM imports
         WHERE %(id)s::bigint IS NULL OR id = %(id)s::bigint
         ORDER BY id DESC LIMIT 500
    """
    return fetch_all(connection, sql, {"id": import_id}, make=Import, by_name=True)


def delete_history(connection: BulkConnection, import_id: int, caller: str, now: datetime) -> int:
    """Undo an import, and remove the sends that it brought; return how many there were.

    An import that still runs or waits notices it, and keeps nothing.
    """
    undone = {"id": import_id, "caller": caller, "now": now}
    sql = """
        UPDATE imports
           SET state = 'undone', ended_at = coalesce(ended_at, %(now)s),
               undone_by = coalesce(undone_by, %(caller)s),
               undone_at = coalesce(undone_at, %(now)s)
         WHERE id = %(id)s
    """
    execute(connection, sql, undone)
    # A statement of its own: it sees the rows of an import that has ended meanwhile.
    return execute(connection, "DELETE FROM user_notifications WHERE import_id = %(id)s", undone)
