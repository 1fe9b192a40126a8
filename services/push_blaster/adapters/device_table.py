"""The table `devices`: which token reaches whom, and which ones the provider called dead."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg2.extras import RealDictCursor, execute_values

from chassis.postgres import Connection


@dataclass(frozen=True, slots=True)
class Device:
    """A device token of a user."""

    token: str
    user_id: UUID
    kind: str = "fcm"
    platform: str | None = None


def select_newest_tokens(connection: Connection, user_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Return the living token that was seen last of each user who has one."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT DISTINCT ON (user_id) user_id, token
              FROM devices
             WHERE user_id = ANY(%(users)s::uuid[]) AND dead_at IS NULL
             ORDER BY user_id, last_seen_at DESC, token
            """,
            {"users": list(user_ids)},
        )
        return dict(cursor.fetchall())


def upsert_devices(connection: Connection, devices: Sequence[Device], now: datetime) -> None:
    """Register devices: a token that is known moves to its new user, a dead one lives again."""
    newest = {device.token: device for device in devices}
    with connection.cursor() as cursor:
        execute_values(
            cursor,
            """
            INSERT INTO devices (token, user_id, kind, platform, created_at, last_seen_at)
            VALUES %s
                ON CONFLICT (token) DO UPDATE
               SET user_id = EXCLUDED.user_id, kind = EXCLUDED.kind,
                   platform = EXCLUDED.platform, last_seen_at = EXCLUDED.last_seen_at,
                   dead_at = NULL, dead_reason = NULL
            """,
            [(d.token, d.user_id, d.kind, d.platform, now, now) for d in newest.values()],
            page_size=1_000,
        )


def mark_tokens_dead(connection: Connection, tokens: Mapping[str, str], now: datetime) -> None:
    """Mark tokens that the provider called dead, each with its reason; they are not tried again."""
    if not tokens:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE devices d SET dead_at = %(now)s, dead_reason = v.reason
              FROM unnest(%(tokens)s, %(reasons)s) AS v (token, reason)
             WHERE d.token = v.token AND d.dead_at IS NULL
            """,
            {"now": now, "tokens": list(tokens), "reasons": list(tokens.values())},
        )


def select_devices_of(connection: Connection, user_id: UUID) -> list[dict[str, Any]]:
    """Return every device of the user, the one seen last first."""
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(
            """
            SELECT token, user_id, kind, platform, created_at, last_seen_at, dead_at, dead_reason
              FROM devices
             WHERE user_id = %(user)s
             ORDER BY last_seen_at DESC, token
            """,
            {"user": user_id},
        )
        return [dict(row) for row in cursor]


def delete_device(connection: Connection, token: str) -> bool:
    """Forget a device; False if there was none."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM devices WHERE token = %(token)s", {"token": token})
        return cursor.rowcount == 1
