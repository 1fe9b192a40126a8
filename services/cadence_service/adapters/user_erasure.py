"""Erase a user: the list of all tables with their texts and ids, and what an erasure does there.

A test compares the list with the tables that exist, so that nobody forgets a new one.
"""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from cadence_service.adapters.notification_record import MessageTexts
from chassis.names import id_pattern
from chassis.postgres import BulkConnection
from chassis.rows import execute, fetch_all

#: Tables whose rows belong to a user, who is in `user_id`.
OF_USERS: Final[Mapping[str, str]] = {
    "held_slots": "user_id",
    "notification_keys": "user_id key",
    "reservation_exclusions": "user_id rule",
    "user_notifications": "user_id",
}
#: Tables with texts in which a user may be named.
NAMING: Final[Mapping[str, str]] = {
    "messages": "digest push_title push_body audience_description deep_link",
    "imports": "kind file_name state reason caller sha256 undone_by",
    "reservations": "key state body_digest",
}
#: Tables that keep no user: rules, layers, and who changed them.
FREE: Final[Mapping[str, str]] = {
    "alembic_version": "version_num",
    "cadence_rules": "name description",
    "history_changes": "action caller asked done",
    "notification_layers": "name description",
    "reservation_parts": "",
    "rule_changes": "action subject changed_by note before after caller",
    "rule_sets": "",
    "upkeep": "task",
}
_NOBODY: Final = "erased"


def delete_user(connection: BulkConnection, user_id: UUID) -> Mapping[str, int]:
    """Delete all rows of a user, and the id from all texts; return how many rows, by table."""
    deleted = {}
    for table in OF_USERS:
        sql = f"DELETE FROM {table} WHERE user_id = %(user)s"  # noqa: S608 - our own tables
        deleted[table] = execute(connection, sql, {"user": user_id})
    pattern = id_pattern(user_id)
    for table, column in (("imports", "reason"), ("reservations", "key")):
        execute(connection, _clean(table, column), {"pattern": pattern, "nobody": _NOBODY})
    _clean_messages(connection, pattern)
    return deleted


def _clean(table: str, column: str) -> str:
    new = f"regexp_replace({column}, %(pattern)s, %(nobody)s, 'gi')"
    return f"UPDATE {table} SET {column} = {new} WHERE {column} ~* %(pattern)s"  # noqa: S608 - ours


def _clean_messages(connection: BulkConnection, pattern: str) -> None:
    """Take the user out of the texts of pushes, such as a deep link; they get their new digest."""
    fields = ("push_title", "push_body", "audience_description", "deep_link")
    new = ", ".join(f"regexp_replace({f}, %(pattern)s, %(nobody)s, 'gi')" for f in fields)
    named = " OR ".join(f"{field} ~* %(pattern)s" for field in fields)
    sql = f"SELECT id, {new} FROM messages WHERE {named} FOR UPDATE"  # noqa: S608 - ours
    change = """
        UPDATE messages m
           SET digest = CASE WHEN EXISTS (SELECT FROM messages o WHERE o.digest = %(digest)s)
                             THEN m.digest ELSE %(digest)s END,
               push_title = %(push_title)s, push_body = %(push_body)s,
               audience_description = %(audience_description)s, deep_link = %(deep_link)s
         WHERE id = %(id)s
    """
    found = fetch_all(connection, sql, {"pattern": pattern, "nobody": _NOBODY})
    for id_, *texts in found:
        values = dict(zip(fields, texts, strict=True))
        execute(connection, change, {**values, "id": id_, "digest": MessageTexts(*texts).digest})
