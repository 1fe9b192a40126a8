"""The table `devices`: which device reaches which user, and which devices are dead."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from chassis.postgres import Connection
from chassis.rows import execute, fetch_all, fetch_values
from push_blaster.adapters.devices.device_fields import Device
from push_blaster.domain.devices.device import Address, DeadDevice

#: The largest number of devices of one user that get a message; further devices get nothing.
MAX_DEVICES: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredDevice:
    """A device as it is listed, without its keys."""

    token: str
    user_id: UUID
    kind: str
    platform: str | None
    timezone: str | None
    language: str | None
    app_version: str | None
    created_at: datetime
    last_seen_at: datetime
    dead_at: datetime | None
    dead_reason: str | None


def select_addresses(
    connection: Connection, user_ids: Sequence[UUID], *, every: bool
) -> dict[UUID, list[Address]]:
    """Return each user's living device that was seen last, or all living devices.

    Shape: the device seen last comes first.
    """
    sql = """
        SELECT user_id, token, kind, coalesce(keys, '')
          FROM (SELECT user_id, token, kind, keys,
                       row_number() OVER (PARTITION BY user_id
                                          ORDER BY last_seen_at DESC, token) AS place
                  FROM devices
                 WHERE user_id = ANY(%(users)s::uuid[]) AND dead_at IS NULL) d
         WHERE place <= %(max)s
         ORDER BY user_id, place
    """
    found: dict[UUID, list[Address]] = {}
    values = {"users": list(user_ids), "max": MAX_DEVICES if every else 1}
    for user_id, *address in fetch_all(connection, sql, values):
        found.setdefault(user_id, []).append(Address(*address))
    return found


def select_timezones(connection: Connection, user_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Return each user's time zone, by the living device that was seen last."""
    return _select_newest(connection, "timezone", user_ids)


def select_languages(connection: Connection, user_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Return each user's language, by the living device that was seen last."""
    return _select_newest(connection, "language", user_ids)


def _select_newest(
    connection: Connection, column: str, user_ids: Sequence[UUID]
) -> dict[UUID, str]:
    sql = f"""
        SELECT DISTINCT ON (user_id) user_id, {column}
          FROM devices
         WHERE user_id = ANY(%(users)s::uuid[]) AND dead_at IS NULL AND {column} IS NOT NULL
         ORDER BY user_id, last_seen_at DESC, token
    """  # noqa: S608 - a column of ours
    return dict(fetch_all(connection, sql, {"users": list(user_ids)}))


def select_living(connection: Connection, tokens: Sequence[str]) -> frozenset[tuple[str, UUID]]:
    """Return which of `tokens` are registered and alive, each with its user."""
    sql = "SELECT token, user_id FROM devices WHERE token = ANY(%s) AND dead_at IS NULL"
    return frozenset(fetch_all(connection, sql, (list(tokens),)))


def select_deaths(connection: Connection, tokens: Sequence[str]) -> dict[str, datetime]:
    """Return the time of death of each dead device among `tokens`."""
    sql = """
        SELECT token, dead_at FROM devices
         WHERE token = ANY(%(tokens)s) AND dead_at IS NOT NULL
    """
    return dict(fetch_all(connection, sql, {"tokens": list(tokens)}))


def upsert_devices(
    connection: Connection, devices: Sequence[Device], now: datetime, *, is_live: bool = False
) -> int:
    """Register devices; return how many were new or changed anything.

    A known token moves to its new user, and a dead token lives again, unless the table says that
    the token was seen with another user, or called dead, at a later time. If a token comes twice,
    the entry that was seen last counts. A known device keeps what is unsaid.

    Shape: a registration that `is_live` counts by its order of arrival, whatever any clock says.
    """
    if not devices:
        return 0
    values = {**_columns(devices, now), "now": now, "live": is_live}
    new = fetch_values(connection, _INSERT, values)
    known = [device.token for device in devices if device.token not in set(new)]
    if not known:
        return len(new)
    # The rows are locked in one order, so that two imports at once do not block each other.
    lock = "SELECT FROM devices WHERE token = ANY(%(known)s) ORDER BY token FOR UPDATE"
    execute(connection, lock, {"known": known})
    return len(new) + execute(connection, _UPDATE, {**values, "known": known})


#: The optional fields of a device; a known device keeps those that are unsaid.
_KEPT: Final = ("kind", "platform", "keys", "timezone", "language", "app_version")
_NEWEST: Final = """
    WITH v AS (
         SELECT DISTINCT ON (token) *
           FROM unnest(%(token)s::text[], %(user_id)s::uuid[], %(kind)s::text[],
                       %(platform)s::text[], %(keys)s::text[], %(timezone)s::text[],
                       %(language)s::text[], %(app_version)s::text[],
                       %(last_seen_at)s::timestamptz[], %(unsaid)s::text[])
                WITH ORDINALITY AS given (token, user_id, kind, platform, keys, timezone,
                                          language, app_version, last_seen_at, unsaid, number)
          ORDER BY token, last_seen_at DESC, number DESC)
"""
_INSERT: Final = f"""
    {_NEWEST}
    INSERT INTO devices (token, user_id, kind, platform, keys, timezone, language, app_version,
                         created_at, last_seen_at)
    SELECT token, user_id, kind, platform, keys, timezone, language, app_version, %(now)s,
           CASE WHEN %(live)s THEN clock_timestamp() ELSE last_seen_at END
      FROM v ORDER BY token
        ON CONFLICT (token) DO NOTHING
    RETURNING token
"""  # noqa: S608 - a constant
_UPDATE: Final = f"""
    {_NEWEST}
    UPDATE devices d
       SET user_id = v.user_id, dead_at = NULL, dead_reason = NULL,
           last_seen_at = CASE WHEN %(live)s THEN greatest(clock_timestamp(), d.last_seen_at)
                               ELSE v.last_seen_at END,
           {
    ", ".join(
        f"{name} = CASE WHEN '{name}' = ANY(v.unsaid::text[]) THEN d.{name} ELSE v.{name} END"
        for name in _KEPT
    )
}
      FROM v
     WHERE d.token = v.token AND d.token = ANY(%(known)s)
       AND (%(live)s OR (v.last_seen_at >= d.last_seen_at
                         AND (d.dead_at IS NULL OR v.last_seen_at >= d.dead_at)))
"""  # noqa: S608 - constants


def _columns(devices: Sequence[Device], now: datetime) -> Mapping[str, object]:
    """Return the fields of the devices, each as an array."""
    names = ("token", "user_id", *_KEPT)
    return {
        **{name: [getattr(device, name) for device in devices] for name in names},
        "last_seen_at": [device.last_seen_at or now for device in devices],
        "unsaid": ["{" + ",".join(device.unsaid) + "}" for device in devices],
    }


def mark_devices_dead(
    connection: Connection,
    dead: Sequence[DeadDevice],
    now: datetime,
    *,
    unless_seen_later: bool = False,
) -> int:
    """Record the devices that the provider called dead, registered or not; safe to repeat.

    Shape: with `unless_seen_later`, a device that was seen after `now` stays alive. The answer is
    how many devices were not dead before.
    """
    if not dead:
        return 0
    sql = """
        INSERT INTO devices AS d (token, user_id, kind, created_at, last_seen_at, dead_at,
                                  dead_reason)
        SELECT DISTINCT ON (token) token, user_id, kind, %(now)s, %(now)s, %(now)s, reason
          FROM unnest(%(tokens)s::text[], %(users)s::uuid[], %(kinds)s::text[],
                      %(reasons)s::text[]) AS v (token, user_id, kind, reason)
            ON CONFLICT (token) DO UPDATE
           SET dead_at = EXCLUDED.dead_at, dead_reason = EXCLUDED.dead_reason
         WHERE d.dead_at IS NULL
           AND (NOT %(unless_seen_later)s OR d.last_seen_at <= EXCLUDED.dead_at)
    """
    values = {
        "now": now,
        "unless_seen_later": unless_seen_later,
        "tokens": [d.address.token for d in dead],
        "users": [d.user_id for d in dead],
        "kinds": [d.address.kind for d in dead],
        "reasons": [d.reason for d in dead],
    }
    return execute(connection, sql, values)


def select_devices_of(
    connection: Connection, user_id: UUID, kind: str | None = None, dead: bool | None = None
) -> list[RegisteredDevice]:
    """Return the user's devices, the one seen last first; of one kind or state, if given."""
    sql = """
        SELECT token, user_id, kind, platform, timezone, language, app_version, created_at,
               last_seen_at, dead_at, dead_reason
          FROM devices
         WHERE user_id = %(user)s
           AND (%(kind)s IS NULL OR kind = %(kind)s)
           AND (%(dead)s IS NULL OR (dead_at IS NOT NULL) = %(dead)s)
         ORDER BY last_seen_at DESC, token
    """
    values = {"user": user_id, "kind": kind, "dead": dead}
    return fetch_all(connection, sql, values, make=RegisteredDevice, by_name=True)


def delete_device(connection: Connection, token: str, user_id: UUID | None = None) -> int:
    """Delete a device, and every doubt about it; return how many there were: one or none.

    Shape: with `user_id`, the device of another user stays.
    """
    values = {"token": token, "user": user_id}
    is_it = "token = %(token)s AND (%(user)s::uuid IS NULL OR user_id = %(user)s)"
    execute(connection, f"DELETE FROM doubted_devices WHERE {is_it}", values)  # noqa: S608 - a constant
    return execute(connection, f"DELETE FROM devices WHERE {is_it}", values)  # noqa: S608 - likewise


def delete_devices_of(connection: Connection, user_id: UUID) -> int:
    """Delete every device of a user, and every doubt about one; return how many there were."""
    execute(connection, "DELETE FROM doubted_devices WHERE user_id = %s", (user_id,))
    return execute(connection, "DELETE FROM devices WHERE user_id = %(user)s", {"user": user_id})
