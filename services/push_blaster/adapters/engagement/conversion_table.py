"""The tables of conversions, and of the pushes to which they count.

A conversion counts once for each automation with its goal: for the latest execution whose window it
is in, if the user was offered a turn there or is in its holdout. An execution that resumes another
one offers a turn only to users whom the other one's ledger does not have. A conversion waits in
`conversion_inbox` until an engine has looked for these executions. Who was offered a turn later,
such as at the user's own time, is found when the execution has ended: its conversions then wait a
second time.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from chassis.postgres import Connection
from chassis.rows import array_of, execute, fetch_all, fetch_value, fetch_values
from push_blaster.adapters.devices.erased_users import is_erased
from push_blaster.adapters.engagement.texts_key import TEXTS_KEY
from push_blaster.domain.delivery.ledger import HELD_OUT_OF_ALL, LedgerState
from push_blaster.domain.engagement.conversion import Conversion
from push_blaster.domain.engagement.results import GLOBAL_HOLDOUT, OWN_HOLDOUT

#: How many conversions one transaction attributes, and how many executions it looks at.
CONVERSIONS_AT_ONCE: Final = 500
EXECUTIONS_AT_ONCE: Final = 20
#: In which variant of the counters a row `d` of the ledger of the push `r` counts.
ARM: Final = f"""
    CASE WHEN d.state = '{LedgerState.HOLDOUT}' AND d.reason = '{HELD_OUT_OF_ALL}'
         THEN {GLOBAL_HOLDOUT}
         WHEN d.state = '{LedgerState.HOLDOUT}' THEN {OWN_HOLDOUT}
         ELSE coalesce(array_position(r.variants, d.variant), 0) END
"""
#: Whether the first row `d` of a user in the ledger of an execution offers the user a turn there:
#: not who was reached by the execution that this one resumes, nor who still awaits a send window.
IS_ASSIGNED: Final = f"""
    d.state <> '{LedgerState.SENT_BEFORE}'
    AND NOT (d.state = '{LedgerState.DEFERRED}' AND d.tries = 0)
"""


class StoredConversion(NamedTuple):
    """The user and the goal of a conversion, by which a key that was used twice is found."""

    user_id: UUID
    goal: str


def insert_conversions(
    connection: Connection, conversions: Sequence[Conversion], received_at: datetime
) -> set[str]:
    """Insert conversions whose keys are new, of nobody who was erased; return these keys."""
    sql = f"""
        WITH added AS (
             INSERT INTO conversions (key, user_id, goal, value, at, received_at)
             SELECT v.*, %(received_at)s
               FROM unnest(%(keys)s::text[], %(users)s::uuid[], %(goals)s::text[],
                           %(values)s::numeric[], %(ats)s::timestamptz[])
                    AS v (key, user_id, goal, value, at)
              WHERE NOT {is_erased("v.user_id")}
              ORDER BY 1
                 ON CONFLICT (key) DO NOTHING
             RETURNING id, key),
        waiting AS (INSERT INTO conversion_inbox SELECT id FROM added)
        SELECT key FROM added
    """  # noqa: S608 - constants
    values = {
        "received_at": received_at,
        "keys": [one.key for one in conversions],
        "users": array_of(one.user_id for one in conversions),
        "goals": [one.goal for one in conversions],
        "values": [one.value for one in conversions],
        "ats": [one.at for one in conversions],
    }
    return set(fetch_values(connection, sql, values))


def select_conversions(connection: Connection, keys: Sequence[str]) -> dict[str, StoredConversion]:
    """Return the conversions with these keys."""
    sql = "SELECT key, user_id, goal FROM conversions WHERE key = ANY(%s)"
    rows = fetch_all(connection, sql, (list(keys),))
    return {key: StoredConversion(user_id, goal) for key, user_id, goal in rows}


def select_addressed(connection: Connection, users: Sequence[UUID]) -> set[UUID]:
    """Return which of `users` have ever been in the audience of a push."""
    sql = """
        SELECT u FROM unnest(%s::uuid[]) u
         WHERE EXISTS (SELECT FROM deliveries d WHERE d.user_id = u AND NOT d.is_test)
    """
    return set(fetch_values(connection, sql, (array_of(users),)))


_ATTRIBUTE: Final = f"""
    WITH RECURSIVE taken AS (
      DELETE FROM conversion_inbox
       WHERE conversion_id IN (SELECT conversion_id FROM conversion_inbox
                                ORDER BY conversion_id LIMIT %(conversions)s)
      RETURNING conversion_id),
    asked AS MATERIALIZED (
      SELECT c.* FROM taken JOIN conversions c ON c.id = taken.conversion_id),
    goals AS (SELECT goal, min(at) AS first_at, max(at) AS last_at FROM asked GROUP BY goal),
    begun AS MATERIALIZED (
      SELECT g.*, g.sent_at + g.goal_hours * interval '1 hour' AS counts_until
        FROM goals
        JOIN result_pushes g
          ON g.goal_name = goals.goal AND g.position = 1 AND g.is_counted
             AND g.sent_at <= goals.last_at
             AND g.sent_at + g.goal_hours * interval '1 hour' > goals.first_at),
    resumed AS (
      SELECT begun.execution_id, e.resumes FROM begun JOIN executions e ON e.id = begun.execution_id
       WHERE e.resumes IS NOT NULL
       UNION
      SELECT resumed.execution_id, e.resumes
        FROM resumed JOIN executions e ON e.id = resumed.resumes
       WHERE e.resumes IS NOT NULL),
    turns AS MATERIALIZED (
      SELECT d.*
        FROM (SELECT DISTINCT user_id FROM asked) users
       CROSS JOIN LATERAL (
             SELECT DISTINCT ON (d.execution_id) d.*
               FROM deliveries d
              WHERE d.user_id = users.user_id AND NOT d.is_test
                AND d.execution_id = ANY(ARRAY(SELECT execution_id FROM begun))
              ORDER BY d.execution_id, d.position) d
       WHERE {IS_ASSIGNED}
         AND NOT EXISTS (
             SELECT FROM resumed
               JOIN deliveries b ON b.execution_id = resumed.resumes
              WHERE resumed.execution_id = d.execution_id AND b.user_id = d.user_id
                AND NOT b.is_test)),
    found AS (
      SELECT DISTINCT ON (c.id, g.automation_id)
             c.id, g.automation_id, g.execution_number, d.position, {ARM} AS variant, c.user_id,
             c.value, c.at, {TEXTS_KEY} AS texts
        FROM asked c
        JOIN turns d ON d.user_id = c.user_id
        JOIN begun g ON g.execution_id = d.execution_id AND g.goal_name = c.goal
                    AND c.at >= g.sent_at AND c.at < g.counts_until
        JOIN result_pushes r
          ON r.execution_number = g.execution_number AND r.position = d.position
       ORDER BY c.id, g.automation_id, g.sent_at DESC),
    added AS (
      INSERT INTO attributions (conversion_id, automation_id, execution_number, position, variant,
                                user_id)
      SELECT id, automation_id, execution_number, position, variant, user_id FROM found
          ON CONFLICT DO NOTHING
      RETURNING conversion_id, automation_id),
    fresh AS (
      SELECT found.*
        FROM found
        JOIN added ON added.conversion_id = id AND added.automation_id = found.automation_id),
    converted AS (
      SELECT DISTINCT ON (execution_number, user_id) *
        FROM fresh
       WHERE NOT EXISTS (SELECT FROM attributions a
                          WHERE a.execution_number = fresh.execution_number
                            AND a.user_id = fresh.user_id)
       ORDER BY execution_number, user_id, at),
    firsts AS (
      INSERT INTO first_events (user_id, texts, metric, execution_number, position, variant)
      SELECT DISTINCT ON (user_id, texts)
             user_id, texts, 'converted', execution_number, position, variant
        FROM converted
       ORDER BY user_id, texts, at
          ON CONFLICT DO NOTHING
      RETURNING execution_number, position, variant),
    each AS (
      SELECT execution_number, position, variant, 1 AS conversions, coalesce(value, 0) AS value,
             0 AS converted, 0 AS first_converted FROM fresh
       UNION ALL
      SELECT execution_number, position, variant, 0, 0, 1, 0 FROM converted
       UNION ALL
      SELECT execution_number, position, variant, 0, 0, 0, 1 FROM firsts),
    counted AS (
      INSERT INTO result_counts AS c (execution_number, position, variant, conversions, value,
                                      converted, first_converted)
      SELECT execution_number, position, variant, sum(conversions), sum(value), sum(converted),
             sum(first_converted)
        FROM each
       GROUP BY execution_number, position, variant
       ORDER BY execution_number, position, variant
          ON CONFLICT (execution_number, position, variant) DO UPDATE
         SET conversions = c.conversions + EXCLUDED.conversions, value = c.value + EXCLUDED.value,
             converted = c.converted + EXCLUDED.converted,
             first_converted = c.first_converted + EXCLUDED.first_converted)
    SELECT count(*) FROM taken
"""  # noqa: S608 - constants


def attribute_conversions(connection: Connection, conversions: int = CONVERSIONS_AT_ONCE) -> int:
    """Count the oldest waiting conversions for the pushes before them; return how many waited."""
    taken: int = fetch_value(connection, _ATTRIBUTE, {"conversions": conversions})
    return taken


def look_again(connection: Connection, ended_before: datetime) -> int:
    """Let conversions wait again that executions may have, which have ended; return how many.

    Shape: of each execution once, if it began within 14 days.
    """
    sql = """
        WITH ended AS (
          SELECT g.* FROM result_pushes g
            JOIN executions e ON e.id = g.execution_id AND e.ended_at < %(before)s
           WHERE g.position = 1 AND g.is_counted AND g.goal_name IS NOT NULL
             AND g.sent_at > %(before)s - interval '14 days'
             AND NOT EXISTS (SELECT FROM attributed_executions a
                              WHERE a.execution_number = g.execution_number)
           LIMIT %(executions)s),
        noted AS (
          INSERT INTO attributed_executions (execution_number, at)
          SELECT execution_number, clock_timestamp() FROM ended)
        INSERT INTO conversion_inbox
        SELECT c.id
          FROM ended g
          JOIN conversions c
            ON c.goal = g.goal_name AND c.at >= g.sent_at
               AND c.at < g.sent_at + g.goal_hours * interval '1 hour'
         WHERE NOT EXISTS (SELECT FROM attributions a
                            WHERE a.conversion_id = c.id AND a.automation_id = g.automation_id)
            ON CONFLICT DO NOTHING
    """
    return execute(connection, sql, {"before": ended_before, "executions": EXECUTIONS_AT_ONCE})
