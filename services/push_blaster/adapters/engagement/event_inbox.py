"""The inbox of events: web workers append requests, and an engine folds them into counters.

A fold is one statement: what it takes from the inbox is in `events`, `first_events` and
`result_counts` at the same instant, so that a kill loses and doubles nothing.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from chassis.postgres import Connection
from chassis.rows import array_of, execute, fetch_all, fetch_value
from push_blaster.adapters.devices.erased_users import is_erased
from push_blaster.adapters.engagement.texts_key import TEXTS_KEY
from push_blaster.domain.engagement.event import Event

#: How many requests one fold takes: at most 100 events each.
REQUESTS_AT_ONCE: Final = 100
#: How many different actions of a user count for a push, about: receipts are no store for texts.
MAX_ACTIONS: Final = 10
#: The name of the lock that only one engine at a time has.
_FOLD_LOCK: Final = 7_022_001

_INSERT: Final = """
    INSERT INTO event_inbox (received_at, numbers, positions, variants, users, events, actions, ats)
    VALUES (%(received_at)s, %(numbers)s::bigint[], %(positions)s::smallint[],
            %(variants)s::smallint[], %(users)s::uuid[], %(events)s::text[], %(actions)s::text[],
            %(ats)s::timestamptz[])
"""


def insert_events(connection: Connection, events: Sequence[Event], received_at: datetime) -> None:
    """Append the events of one request."""
    values = {
        "received_at": received_at,
        "numbers": [event.execution_number for event in events],
        "positions": [event.position for event in events],
        "variants": [event.variant for event in events],
        "users": array_of(event.user_id for event in events),
        "events": [event.kind.value for event in events],
        "actions": [event.action for event in events],
        "ats": [event.at for event in events],
    }
    execute(connection, _INSERT, values)


def take_fold_lock(connection: Connection) -> bool:
    """Return whether this transaction may fold; another engine's fold goes on meanwhile."""
    sql = "SELECT pg_try_advisory_xact_lock(%s)"
    return bool(fetch_value(connection, sql, (_FOLD_LOCK,)))


#: What came, each event once, of pushes that count, and of nobody who was erased; `acts` numbers
#: the actions of a user.
_GIVEN: Final = f"""
    taken AS (
      DELETE FROM event_inbox
       WHERE id IN (SELECT id FROM event_inbox ORDER BY id LIMIT %(requests)s)
      RETURNING *),
    given AS (
      SELECT DISTINCT ON (g.number, g.position, g.user_id, g.event, g.action)
             r.week, g.*, t.received_at
        FROM taken t
       CROSS JOIN LATERAL unnest(t.numbers, t.positions, t.variants, t.users, t.events, t.actions,
                                 t.ats)
             AS g (number, position, variant, user_id, event, action, at)
        JOIN result_pushes r ON r.execution_number = g.number AND r.position = g.position
       WHERE r.is_counted AND NOT {is_erased("g.user_id")}
       ORDER BY g.number, g.position, g.user_id, g.event, g.action, g.at),
    numbered AS (
      SELECT *, row_number() OVER (PARTITION BY number, position, user_id, event
                                   ORDER BY action) AS act
        FROM given)
"""  # noqa: S608 - constants
_IS_ACTION_OF: Final = """
    e.week = g.week AND e.execution_number = g.number AND e.position = g.position
    AND e.user_id = g.user_id AND e.event = 'action'
"""
#: The new events, and those by which a user did something for the first time.
_ADDED: Final = f"""
    added AS (
      INSERT INTO events (week, execution_number, position, variant, user_id, event, action, at,
                          received_at)
      SELECT week, number, position, variant, user_id, event, action, at, received_at
        FROM numbered g
       WHERE event <> 'action'
          OR (act <= {MAX_ACTIONS}
              AND (SELECT count(*) FROM events e WHERE {_IS_ACTION_OF}) < {MAX_ACTIONS})
          ON CONFLICT DO NOTHING
      RETURNING week, execution_number AS number, position, variant, user_id, event, at),
    acted AS (
      SELECT DISTINCT ON (number, position, user_id) *
        FROM added g
       WHERE event = 'action' AND NOT EXISTS (SELECT FROM events e WHERE {_IS_ACTION_OF})
       ORDER BY number, position, user_id, at),
    earliest AS (
      SELECT DISTINCT ON (g.user_id, texts, g.event) g.*, {TEXTS_KEY} AS texts
        FROM (SELECT * FROM added WHERE event = 'opened' UNION ALL SELECT * FROM acted) g
        JOIN result_pushes r ON r.execution_number = g.number AND r.position = g.position
       ORDER BY g.user_id, texts, g.event, g.at),
    firsts AS (
      INSERT INTO first_events (user_id, texts, metric, execution_number, position, variant)
      SELECT user_id, texts, event, number, position, variant FROM earliest
          ON CONFLICT DO NOTHING
      RETURNING execution_number AS number, position, variant, metric)
"""  # noqa: S608 - constants
_FOLD: Final = f"""
    WITH {_GIVEN}, {_ADDED},
    each AS (
      SELECT number, position, variant, event AS what FROM added WHERE event <> 'action'
       UNION ALL
      SELECT number, position, variant, event FROM acted
       UNION ALL
      SELECT number, position, variant, 'first ' || metric FROM firsts),
    counted AS (
      INSERT INTO result_counts AS c (execution_number, position, variant, delivered, opened,
                                      dismissed, actions, opted_out, first_opened, first_acted)
      SELECT number, position, variant,
             count(*) FILTER (WHERE what = 'delivered'), count(*) FILTER (WHERE what = 'opened'),
             count(*) FILTER (WHERE what = 'dismissed'), count(*) FILTER (WHERE what = 'action'),
             count(*) FILTER (WHERE what = 'opted_out'),
             count(*) FILTER (WHERE what = 'first opened'),
             count(*) FILTER (WHERE what = 'first action')
        FROM each
       GROUP BY number, position, variant
       ORDER BY number, position, variant
          ON CONFLICT (execution_number, position, variant) DO UPDATE
         SET delivered = c.delivered + EXCLUDED.delivered, opened = c.opened + EXCLUDED.opened,
             dismissed = c.dismissed + EXCLUDED.dismissed, actions = c.actions + EXCLUDED.actions,
             opted_out = c.opted_out + EXCLUDED.opted_out,
             first_opened = c.first_opened + EXCLUDED.first_opened,
             first_acted = c.first_acted + EXCLUDED.first_acted)
    SELECT count(*) FROM taken
"""  # noqa: S608 - constants


def fold_events(connection: Connection, requests: int = REQUESTS_AT_ONCE) -> int:
    """Count the oldest requests of the inbox, each event once; return how many were taken."""
    taken: int = fetch_value(connection, _FOLD, {"requests": requests})
    return taken


def find_waits(connection: Connection) -> dict[str, float]:
    """Return for how many seconds the oldest event and conversion have waited to be counted."""
    sql = """
        SELECT 'event', extract(epoch FROM clock_timestamp() - (
               SELECT received_at FROM event_inbox ORDER BY id LIMIT 1))::float8
         UNION ALL
        SELECT 'conversion', extract(epoch FROM clock_timestamp() - (
               SELECT c.received_at
                 FROM conversion_inbox i
                 JOIN conversions c ON c.id = i.conversion_id
                ORDER BY i.conversion_id LIMIT 1))::float8
    """
    return {kind: seconds or 0 for kind, seconds in fetch_all(connection, sql)}
