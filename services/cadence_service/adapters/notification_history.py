"""The table `user_notifications`: every notification that every user got; and reserved slots.

PostgreSQL knows nothing about the ids in an array, and would read the whole history for a few ids.
OFFSET 0 makes PostgreSQL look up each user by the index instead.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from cadence_service.adapters import id_arrays as id_arrays  # lets UserIds be sent as a uuid[]
from cadence_service.adapters.partitions import FOREVER
from cadence_service.domain.cadence import CadenceRule, Send
from cadence_service.domain.user_ids import UserIds
from chassis.postgres import BulkConnection
from chassis.rows import fetch_all, fetch_values, stream_rows


class PastSend(NamedTuple):
    """A send in the history; light, because a simulation reads millions of them."""

    user_id: UUID
    layer_id: int
    sent_at: datetime


def select_sends(
    connection: BulkConnection, users: UserIds, after: datetime, before: datetime | None = None
) -> dict[UUID, list[Send]]:
    """Return the sends of each of `users` between two instants, and the reserved slots."""
    sql = """
        SELECT u, sends.layer_id, sends.sent_at
          FROM unnest(%(users)s::uuid[]) u CROSS JOIN LATERAL (
               SELECT n.layer_id, n.sent_at
                 FROM user_notifications n
                WHERE n.user_id = u AND n.sent_at > %(after)s AND n.sent_at < %(before)s
               UNION ALL
               SELECT r.layer_id, r.scheduled_for
                 FROM (SELECT reservation_id FROM held_slots WHERE user_id = u OFFSET 0) h
                 JOIN reservations r ON r.id = h.reservation_id
                WHERE r.scheduled_for > %(after)s AND r.scheduled_for < %(before)s
                  AND r.state = 'reserved' AND r.expires_at > clock_timestamp()
               OFFSET 0) sends
    """
    rows = fetch_all(connection, sql, {"users": users, "after": after, "before": before or FOREVER})
    sends: dict[UUID, list[Send]] = {}
    for user_id, layer_id, sent_at in rows:
        sends.setdefault(user_id, []).append(Send(layer_id, sent_at))
    return sends


def select_over_cap(
    connection: BulkConnection, users: UserIds, rule: CadenceRule, own: Send
) -> list[UUID]:
    """Return which of `users` got `own` although other sends use up the rule's cap around it.

    Slots that are only reserved do not count. The test of this statement defines it in Python.
    """
    sql = """
        WITH counted AS (
          SELECT u AS user_id, n.sent_at, 1 AS sends, false AS is_own
            FROM unnest(%(users)s::uuid[]) u CROSS JOIN LATERAL (
                 SELECT n.sent_at FROM user_notifications n
                  WHERE n.user_id = u AND n.sent_at > %(after)s AND n.sent_at < %(before)s
                    AND n.layer_id = ANY(%(layers)s::smallint[])
                 OFFSET 0) n
          UNION ALL  -- at the instant of our own send, which itself is not to count
          SELECT DISTINCT u, %(at)s::timestamptz, %(own_sends)s::int, true
            FROM unnest(%(users)s::uuid[]) u CROSS JOIN LATERAL (
                 SELECT FROM user_notifications n
                  WHERE n.user_id = u AND n.sent_at = %(at)s AND n.layer_id = %(own_layer)s
                 OFFSET 0) n
        ), windows AS (
          SELECT user_id, sent_at, bool_or(is_own) OVER (PARTITION BY user_id) AS has_own,
                 sum(sends) OVER (PARTITION BY user_id ORDER BY sent_at
                                  RANGE BETWEEN %(window)s::interval PRECEDING AND CURRENT ROW)
                 AS in_window
            FROM counted
        )
        SELECT DISTINCT user_id FROM windows
         WHERE has_own AND sent_at >= %(at)s AND in_window >= %(max)s
         ORDER BY user_id
    """
    values = {
        "users": users,
        "after": own.sent_at - rule.window,
        "before": own.sent_at + rule.window,
        "layers": sorted(rule.counted_layers),
        "own_sends": -1 if own.layer_id in rule.counted_layers else 0,
        "own_layer": own.layer_id,
        "at": own.sent_at,
        "window": rule.window - timedelta(microseconds=1),
        "max": rule.max_count,
    }
    return fetch_values(connection, sql, values)


def stream_history(
    connection: BulkConnection, start: datetime, end: datetime, share: float
) -> Iterator[PastSend]:
    """Yield the sends from `start` to before `end`.

    Shape: by user, then by instant; a `share` below 1 takes that part of the users, always the
    same ones.
    """
    sql = """
        SELECT user_id, layer_id, sent_at
          FROM user_notifications
         WHERE sent_at >= %(start)s AND sent_at < %(end)s
           AND (hashtextextended(user_id::text, 0) & 65535) < %(share)s * 65536
         ORDER BY user_id, sent_at, layer_id
    """
    rows = stream_rows(connection, sql, {"start": start, "end": end, "share": share})
    return map(PastSend._make, rows)
