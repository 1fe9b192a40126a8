"""The table `alert_destinations`: the destinations of the page, and those of the settings."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final

from chassis.postgres import Connection
from chassis.rows import execute, fetch_all, fetch_value
from push_blaster.domain.operations.destination import (
    Destination,
    DestinationKind,
    DestinationOrder,
    EarlierSecret,
)

#: How often an engine confirms its settings, and after which silence they count as gone.
CONFIRM_EVERY: Final = timedelta(seconds=5)
GONE_AFTER: Final = timedelta(seconds=15)

_COLUMNS: Final = """
    id::text, name, kind, address, events, automations, modes, secret, previous_secret,
    previous_until, earlier_secrets, is_on, since, created_by, environment, fingerprint,
    delivered_at, failing_since, failure, given_up
"""
_LISTS: Final = ("events", "automations", "modes")


def select_destinations(
    connection: Connection, destination_id: str | None = None, *, only_on: bool = False
) -> list[Destination]:
    """Return all destinations, or the one with this id; those of the settings first."""
    sql = f"""
        SELECT {_COLUMNS} FROM alert_destinations
         WHERE (%(id)s IS NULL OR id = %(id)s::uuid) AND (is_on OR NOT %(only_on)s)
         ORDER BY environment, name
    """  # noqa: S608 - a constant
    values = {"id": destination_id, "only_on": only_on}
    return fetch_all(connection, sql, values, make=_make, by_name=True)


def insert_destination(
    connection: Connection,
    destination_id: str,
    order: DestinationOrder,
    secret: str | None,
    created: tuple[str, datetime],
    *,
    is_on: bool = True,
) -> bool:
    """Insert a destination of the page, `created` by somebody at an instant.

    It is False, and nothing changes, if the id was used before.
    """
    sql = """
        INSERT INTO alert_destinations
               (id, name, kind, address, events, automations, modes, secret, since, created_by,
                is_on)
        VALUES (%(id)s::uuid, %(name)s, %(kind)s, %(address)s, %(events)s::text[],
                %(automations)s::text[], %(modes)s::text[], %(secret)s, %(since)s, %(by)s,
                %(is_on)s)
            ON CONFLICT (id) DO NOTHING
    """
    by, since = created
    values = {**_write(order), "id": destination_id, "secret": secret, "since": since, "by": by}
    return execute(connection, sql, {**values, "is_on": is_on}) == 1


def count_given_up(connection: Connection) -> int:
    """Return how many alerts were given up, of destinations that have taken none since then."""
    sql = "SELECT coalesce(sum(given_up), 0) FROM alert_destinations WHERE is_on"
    return int(fetch_value(connection, sql))


def lock_destination(connection: Connection, destination_id: str) -> None:
    """Let one transaction at a time change a destination; engines that send to it do not wait."""
    sql = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 3))"
    execute(connection, sql, (destination_id,))


def lock_names(connection: Connection) -> None:
    """Let one transaction at a time decide about names of destinations; engines do not wait."""
    execute(connection, "SELECT pg_advisory_xact_lock(hashtextextended('destinations', 3))")


def is_name_taken(connection: Connection, name: str, except_id: str) -> bool:
    """Return whether another destination of the page has this name."""
    sql = """
        SELECT EXISTS (SELECT FROM alert_destinations
                        WHERE name = %s AND environment IS NULL AND id <> %s::uuid)
    """
    return bool(fetch_value(connection, sql, (name, except_id)))


def update_destination(
    connection: Connection, destination_id: str, order: DestinationOrder
) -> bool:
    """Change a destination of the page; False if there is none."""
    sql = """
        UPDATE alert_destinations
           SET name = %(name)s, address = %(address)s, events = %(events)s::text[],
               automations = %(automations)s::text[], modes = %(modes)s::text[]
         WHERE id = %(id)s::uuid AND environment IS NULL
    """
    return execute(connection, sql, {**_write(order), "id": destination_id}) == 1


def begin_anew(connection: Connection, destination_id: str, now: datetime, *, is_on: bool) -> bool:
    """Switch a destination of the page on or off; what is on its way to it is forgotten.

    It gets what is raised from `now` on. False if there is no such destination.
    """
    sql = """
        UPDATE alert_destinations
           SET is_on = %(is_on)s, since = %(now)s, failing_since = NULL, failure = NULL,
               given_up = 0
         WHERE id = %(id)s::uuid AND environment IS NULL
    """
    changed = execute(connection, sql, {"id": destination_id, "now": now, "is_on": is_on})
    forget = "DELETE FROM alert_deliveries WHERE destination_id = %s::uuid AND done_at IS NULL"
    if changed:
        execute(connection, forget, (destination_id,))
    return changed == 1


def update_destination_secret(
    connection: Connection,
    destination_id: str,
    secret: str,
    previous_until: datetime,
    now: datetime,
) -> bool:
    """Give a destination a new secret; the present one signs as well until then.

    The secrets of before keep the time that each was given.
    """
    sql = """
        UPDATE alert_destinations
           SET previous_secret = secret, secret = %(secret)s, previous_until = %(until)s,
               earlier_secrets = (
                 SELECT coalesce(jsonb_agg(e), '[]')
                   FROM jsonb_array_elements(earlier_secrets || jsonb_build_object(
                          'secret', previous_secret, 'until', previous_until)) e
                  WHERE (e ->> 'until')::timestamptz > %(now)s)
         WHERE id = %(id)s::uuid AND environment IS NULL AND secret IS NOT NULL
    """
    values = {"id": destination_id, "secret": secret, "until": previous_until, "now": now}
    return execute(connection, sql, values) == 1


def delete_destination(connection: Connection, destination_id: str) -> bool:
    """Delete a destination of the page, with what is on its way to it; False if there is none."""
    sql = "DELETE FROM alert_destinations WHERE id = %s::uuid AND environment IS NULL"
    return execute(connection, sql, (destination_id,)) == 1


_CONFIRM: Final = """
    INSERT INTO alert_destinations
           (name, kind, address, events, modes, since, environment, fingerprint, seen_at)
    VALUES (%(name)s, 'webhook', %(address)s, %(events)s::text[], %(modes)s::text[], %(now)s,
            %(name)s, %(fingerprint)s, %(now)s)
        ON CONFLICT (environment, fingerprint) DO UPDATE
       SET events = excluded.events, modes = excluded.modes, seen_at = excluded.seen_at
     WHERE alert_destinations.seen_at < excluded.seen_at - %(every)s
        OR alert_destinations.events <> excluded.events
"""


def confirm_settings(
    connection: Connection, settings: Collection[Mapping[str, Any]], now: datetime
) -> None:
    """Record that an engine has these destinations in its settings.

    A destination that no engine has had for a while is gone. If it comes back, it is a new one, and
    gets what is raised from then on.
    Shape: each has `name`, `fingerprint`, `address`, `events` and `modes`.
    """
    adopt = """
        UPDATE alert_destinations SET fingerprint = %(fingerprint)s, address = %(address)s
         WHERE environment = %(name)s AND fingerprint IS NULL
    """  # left by a migration
    for values in settings:
        execute(connection, adopt, values)
        execute(connection, _CONFIRM, {**values, "now": now, "every": CONFIRM_EVERY})
    gone = """
        DELETE FROM alert_destinations
         WHERE environment IS NOT NULL AND coalesce(fingerprint, '') <> ALL(%(own)s::text[])
           AND (seen_at IS NULL OR seen_at < %(gone)s)
    """
    own = [values["fingerprint"] for values in settings]
    execute(connection, gone, {"own": own, "gone": now - GONE_AFTER})


def leave_settings(connection: Connection, fingerprints: Sequence[str], now: datetime) -> None:
    """Record that an engine with these destinations ends; another engine may have them, too."""
    sql = "UPDATE alert_destinations SET seen_at = %s WHERE fingerprint = ANY(%s)"
    execute(connection, sql, (now - 2 * GONE_AFTER, list(fingerprints)))


def _write(order: DestinationOrder) -> dict[str, Any]:
    return asdict(order) | {name: list(getattr(order, name)) for name in _LISTS}


def _make(**columns: Any) -> Destination:
    lists = {name: tuple(columns[name]) for name in _LISTS}
    earlier = tuple(
        EarlierSecret(one["secret"], datetime.fromisoformat(one["until"]))
        for one in columns["earlier_secrets"]
    )
    made = {"kind": DestinationKind(columns["kind"]), "earlier_secrets": earlier}
    return Destination(**columns | lists | made)
