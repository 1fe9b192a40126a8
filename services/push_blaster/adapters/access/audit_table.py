"""The table `audit_log`: a row is inserted, its answer is added once, and it is never deleted."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from chassis.postgres import Connection
from chassis.rows import execute, fetch_all, fetch_value, stream_rows
from push_blaster.adapters.access.stored_secrets import read_stored_secret
from push_blaster.domain.access.audit import (
    FIRST_REFUSAL,
    REFUSAL,
    AuditedChange,
    AuditResult,
    RecordedChange,
    hash_text,
)

COLUMNS: Final = (
    *("id", "at", "actor", "role", "method", "path", "endpoint", "what", "request_id"),
    *("status", "answered_at", "body_hash", "what_hash", "detail", "detail_hash"),
    *("chain_no", "chain_hash"),
)
#: The columns of a row with its link in the chain.
SELECTED: Final = """
    a.id, at, actor, role, method, path, endpoint, what, request_id, status, answered_at, body_hash,
    what_hash, detail, detail_hash, c.no AS chain_no, c.hash AS chain_hash
"""
_ROWS_AT_ONCE: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditQuery:
    """Which rows; None means any.

    Shape: `path` is a part of one; `groups` are groups of routes; `since` is included, `until` is
    not; `before` is a row's id; `limit` is how many at most.
    """

    actor: str | None = None
    path: str | None = None
    groups: list[str] | None = None
    result: AuditResult | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None
    limit: int | None = None


def read_salt(connection: Connection) -> str:
    """Return the salt of the hashes that stand for users; it waits a second for a lock at most.

    An emergency stop may be waiting for it.
    """
    execute(connection, "SET LOCAL lock_timeout = '1s'")
    return read_stored_secret(connection, "audit-users")


def insert_change(connection: Connection, change: AuditedChange) -> int:
    """Write down a change that is about to be made; return its row's id.

    It waits one second for a lock on the table, because an emergency stop may be waiting for it.
    """
    sql = """
        INSERT INTO audit_log (at, actor, role, method, path, endpoint, what, request_id,
                               body_hash, what_hash)
        VALUES (%(at)s, %(actor)s, %(role)s, %(method)s, %(path)s, %(endpoint)s, %(what)s,
                %(request_id)s, %(body_hash)s, %(what_hash)s)
     RETURNING id
    """
    values = {
        name: value.replace("\x00", "") if isinstance(value, str) else value
        for name, value in asdict(change).items()
    }
    execute(connection, "SET LOCAL lock_timeout = '1s'")
    return int(fetch_value(connection, sql, {**values, "what_hash": hash_text(values["what"])}))


def update_answer(
    connection: Connection,
    id_: int,
    status: int,
    caller: tuple[str, str] | None,
    now: datetime,
    detail: str | None = None,
) -> None:
    """Add the answer to a change, what it changed, and the caller if it is known only now."""
    actor, role = caller or (None, None)
    detail = detail and detail.replace("\x00", "")
    sql = """
        UPDATE audit_log
           SET status = %(status)s, answered_at = %(now)s,
               actor = coalesce(actor, %(actor)s), role = coalesce(role, %(role)s),
               detail = %(detail)s, detail_hash = %(detail_hash)s
         WHERE id = %(id)s
    """
    values = {"id": id_, "status": status, "actor": actor, "role": role, "now": now}
    execute(connection, sql, {**values, "detail": detail, "detail_hash": hash_text(detail)})


def select_changes(connection: Connection, query: AuditQuery) -> list[RecordedChange]:
    """Return rows, newest first."""
    sql = f"{_SELECT} LIMIT %(limit)s"
    return fetch_all(connection, sql, asdict(query), make=RecordedChange, by_name=True)


def stream_changes(connection: Connection, query: AuditQuery) -> Iterator[tuple[Any, ...]]:
    """Yield rows in the order of COLUMNS, newest first, in constant memory."""
    return stream_rows(connection, _SELECT, asdict(query), page=_ROWS_AT_ONCE)


_SELECT: Final = f"""
            SELECT {SELECTED}
              FROM audit_log a LEFT JOIN audit_chain c ON c.row_id = a.id
             WHERE (%(actor)s::text IS NULL OR actor = %(actor)s)
               AND (%(path)s::text IS NULL OR strpos(path, %(path)s) > 0)
               AND (%(groups)s::text[] IS NULL OR split_part(endpoint, '.', 1) = ANY(%(groups)s))
               AND (%(result)s::text IS NULL OR %(result)s = CASE
                       WHEN status IS NULL THEN '{AuditResult.UNANSWERED}'
                       WHEN status >= {FIRST_REFUSAL} THEN '{AuditResult.REFUSED}'
                       WHEN starts_with(detail, '{REFUSAL}') THEN '{AuditResult.REFUSED}'
                       ELSE '{AuditResult.DONE}' END)
               AND (%(since)s::timestamptz IS NULL OR at >= %(since)s)
               AND (%(until)s::timestamptz IS NULL OR at < %(until)s)
               AND (%(before)s::bigint IS NULL OR a.id < %(before)s)
             ORDER BY a.id DESC
"""  # noqa: S608 - constants
