"""The table `devices`: what reaches whom, and which ones the provider called dead."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from psycopg2.extras import RealDictCursor

from chassis.postgres import Connection
from push_blaster.adapters.device_fields import Device


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


def upsert_devices(connection: Connection, devices: Sequence[Device], now: datetime) -> int:
    """Register devices; return how many were new or changed anything.

    A token that is known moves to its new user, and one that was dead lives again, unless it was
    seen with another user, or called dead, later than this says. Of a token that comes twice,
    what was seen last counts.
    """
    columns = zip(*[_row(device, now) for device in devices], strict=True)
    values: dict[str, object] = {
        name: list(column) for name, column in zip(_COLUMNS, columns, strict=False)
    }
    if not values:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO devices AS d (token, user_id, kind, platform, keys, timezone, app_version,
                                      created_at, last_seen_at)
            SELECT DISTINCT ON (token) token, user_id, kind, platform, keys, timezone, app_version,
                   %(now)s, last_seen_at
              FROM unnest(%(token)s::text[], %(user_id)s::uuid[], %(kind)s::text[],
                          %(platform)s::text[], %(keys)s::text[], %(timezone)s::text[],
                          %(app_version)s::text[], %(last_seen_at)s::timestamptz[])
                   WITH ORDINALITY AS v (token, user_id, kind, platform, keys, timezone,
                                         app_version, last_seen_at, number)
             ORDER BY token, last_seen_at DESC, number DESC
                ON CONFLICT (token) DO UPDATE
               SET user_id = EXCLUDED.user_id, kind = EXCLUDED.kind,
                   platform = EXCLUDED.platform, keys = EXCLUDED.keys,
                   timezone = EXCLUDED.timezone, app_version = EXCLUDED.app_version,
                   last_seen_at = EXCLUDED.last_seen_at, dead_at = NULL, dead_reason = NULL
             WHERE EXCLUDED.last_seen_at >= d.last_seen_at
               AND (d.dead_at IS NULL OR EXCLUDED.last_seen_at >= d.dead_at)
            """,
            {**values, "now": now},
        )
        return int(cursor.rowcount)


_COLUMNS: Final = (
    "token",
    "user_id",
    "kind",
    "platform",
    "keys",
    "timezone",
    "app_version",
    "last_seen_at",
)


def _row(d: Device, now: datetime) -> tuple[object, ...]:
    seen = d.last_seen_at or now
    return (d.token, d.user_id, d.kind, d.platform, d.keys, d.timezone, d.app_version, seen)


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


def select_devices_of(
    connection: Connection, user_id: UUID, kind: str | None = None, dead: bool | None = None
) -> list[dict[str, Any]]:
    """Return the devices of the user, the one seen last first; of a kind, the dead or the living.

    Shape: a row has no keys: nobody has to read them.
    """
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(
            """
            SELECT token, user_id, kind, platform, timezone, app_version, created_at,
                   last_seen_at, dead_at, dead_reason
              FROM devices
             WHERE user_id = %(user)s
               AND (%(kind)s IS NULL OR kind = %(kind)s)
               AND (%(dead)s IS NULL OR (dead_at IS NOT NULL) = %(dead)s)
             ORDER BY last_seen_at DESC, token
            """,
            {"user": user_id, "kind": kind, "dead": dead},
        )
        return [dict(row) for row in cursor]


def delete_device(connection: Connection, token: str) -> int:
    """Forget a device; return how many there were: one or none."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM devices WHERE token = %(token)s", {"token": token})
        return int(cursor.rowcount)


def delete_devices_of(connection: Connection, user_id: UUID) -> int:
    """Forget every device of a user; return how many there were."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM devices WHERE user_id = %(user)s", {"user": user_id})
        return int(cursor.rowcount)
