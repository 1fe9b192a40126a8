"""The counters of `result_counts` that come from the ledger, once a push has ended.

An engine counts a push in small transactions, some batches in each, so that a push to millions
neither holds a transaction for minutes nor slows a send. Each transaction notes how far it came,
so that a kill loses and doubles nothing, and any engine goes on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from chassis.postgres import Connection
from chassis.rows import execute, fetch_one, insert_many
from push_blaster.adapters.engagement.conversion_table import ARM, IS_ASSIGNED
from push_blaster.adapters.engagement.texts_key import TEXTS_KEY
from push_blaster.domain.engagement.results import OWN_TEXTS
from push_blaster.domain.executions.funnel import Funnel

#: How many batches one transaction counts.
BATCHES_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class UncountedPush:
    """A push whose counters lack something; `next_batch` is None before its first batch.

    Shape: `is_gone` if its execution was removed, so that there is nothing to count.
    """

    execution_number: int
    position: int
    execution_id: str
    variants: Sequence[str]
    next_batch: int | None
    is_gone: bool
    funnel: Mapping[str, Any] | None


def take_uncounted(connection: Connection) -> UncountedPush | None:
    """Return a push that has ended and is not counted, and keep it for this transaction.

    It is any of them, so that neither a push to millions nor one that fails keeps others waiting.
    """
    sql = """
        SELECT r.execution_number, r.position, r.execution_id, r.variants, r.next_batch, p.funnel,
               p.execution_id IS NULL AS is_gone
          FROM result_pushes r
          LEFT JOIN execution_pushes p
            ON p.execution_id = r.execution_id AND p.position = r.position
         WHERE r.counted_at IS NULL AND r.is_counted
           AND (p.execution_id IS NULL OR p.funnel IS NOT NULL)
         ORDER BY random()
         LIMIT 1 FOR UPDATE OF r SKIP LOCKED
    """
    return fetch_one(connection, sql, make=UncountedPush, by_name=True)


def keep_sent(connection: Connection, push: UncountedPush) -> None:
    """Keep how many users of each variant were sent to, and note the execution it goes back to."""
    rows = [
        (push.execution_number, push.position, variant, *counts)
        for variant, counts in sorted(
            list_sent(Funnel.from_document(push.funnel or {}), push.variants).items()
        )
    ]
    sql = """
        INSERT INTO result_counts (execution_number, position, variant, sent, failed, in_doubt)
        VALUES %s
            ON CONFLICT (execution_number, position, variant) DO UPDATE
           SET sent = EXCLUDED.sent, failed = EXCLUDED.failed, in_doubt = EXCLUDED.in_doubt
    """
    insert_many(connection, sql, rows)
    sql = """
        WITH RECURSIVE chain AS (
          SELECT e.number, e.resumes, 0 AS steps FROM executions e WHERE e.id = %(execution_id)s
           UNION ALL
          SELECT e.number, e.resumes, steps + 1
            FROM chain JOIN executions e ON e.id = chain.resumes)
        UPDATE result_pushes
           SET next_batch = 0,
               first_number = (SELECT number FROM chain ORDER BY steps DESC LIMIT 1)
         WHERE execution_number = %(number)s AND position = %(position)s
    """
    execute(connection, sql, _name(push))


def list_sent(funnel: Funnel, variants: Sequence[str]) -> dict[int, tuple[int, int, int]]:
    """Return how many users were sent to, failed, and are in doubt, by the place of the variant.

    A funnel does not say which variant a user in doubt has: it counts with the push's own texts.
    """
    named = {
        place: (funnel.variants[name].sent, funnel.variants[name].failed, 0)
        for place, name in enumerate(variants, start=1)
        if name in funnel.variants
    }
    sent = funnel.sent - sum(one[0] for one in named.values())
    failed = funnel.failed - sum(one[1] for one in named.values())
    return {OWN_TEXTS: (sent, failed, funnel.in_doubt), **named}


_COUNT: Final = f"""
    WITH RECURSIVE push AS (
      SELECT r.*, {TEXTS_KEY} AS texts, EXISTS (
             SELECT FROM result_pushes b
              WHERE b.automation_id = r.automation_id AND b.push_id = r.push_id
                AND b.texts_digest = r.texts_digest AND b.is_counted
                AND b.execution_number < r.execution_number) AS has_earlier
        FROM result_pushes r
       WHERE r.execution_number = %(number)s AND r.position = %(position)s),
    resumed AS (
      SELECT e.resumes FROM executions e WHERE e.id = %(execution_id)s AND e.resumes IS NOT NULL
       UNION
      SELECT e.resumes FROM resumed JOIN executions e ON e.id = resumed.resumes
       WHERE e.resumes IS NOT NULL),
    users AS (
      SELECT d.user_id, d.state = 'sent' AS is_sent, {ARM} AS arm,
             {IS_ASSIGNED}
             AND (d.position = 1 OR NOT EXISTS (
                  SELECT FROM deliveries b
                   WHERE b.user_id = d.user_id AND b.execution_id = d.execution_id
                     AND b.position < d.position AND NOT b.is_test))
             AND NOT EXISTS (
                  SELECT FROM resumed
                    JOIN deliveries b ON b.execution_id = resumed.resumes
                   WHERE b.user_id = d.user_id AND NOT b.is_test) AS is_assigned
        FROM push r
        JOIN deliveries d ON d.execution_id = r.execution_id AND NOT d.is_test
             AND d.position = r.position
             AND d.batch >= %(first)s AND d.batch < %(first)s + %(batches)s),
    known AS (
      SELECT users.*,
             push.has_earlier AND EXISTS (
             SELECT FROM first_events f
              WHERE f.user_id = users.user_id AND f.texts = push.texts AND f.metric = 'opened'
                AND f.execution_number < push.execution_number) AS has_opened,
             push.has_earlier AND EXISTS (
             SELECT FROM first_events f
              WHERE f.user_id = users.user_id AND f.texts = push.texts AND f.metric = 'converted'
                AND f.execution_number < push.execution_number) AS has_converted
        FROM users CROSS JOIN push)
    INSERT INTO result_counts AS c (execution_number, position, variant, assigned, first_assigned,
                                    first_at_risk)
    SELECT %(number)s, %(position)s, arm,
           count(*) FILTER (WHERE is_assigned),
           count(*) FILTER (WHERE is_assigned AND NOT has_converted),
           count(*) FILTER (WHERE is_sent AND NOT has_opened)
      FROM known
     GROUP BY arm
     ORDER BY arm
        ON CONFLICT (execution_number, position, variant) DO UPDATE
       SET assigned = c.assigned + EXCLUDED.assigned,
           first_assigned = c.first_assigned + EXCLUDED.first_assigned,
           first_at_risk = c.first_at_risk + EXCLUDED.first_at_risk
"""  # noqa: S608 - constants


def count_batches(connection: Connection, push: UncountedPush) -> None:
    """Count who was assigned and who was at risk in the next batches, and note how far it came."""
    values = {**_name(push), "first": push.next_batch, "batches": BATCHES_AT_ONCE}
    execute(connection, _COUNT, values)
    sql = """
        UPDATE result_pushes
           SET next_batch = %(first)s + %(batches)s,
               counted_at = CASE WHEN %(first)s + %(batches)s > coalesce(
                    (SELECT max(batch) FROM send_batches
                      WHERE execution_id = %(execution_id)s AND position = %(position)s), 0)
                    THEN clock_timestamp() END
         WHERE execution_number = %(number)s AND position = %(position)s
    """
    execute(connection, sql, values)


def close_count(connection: Connection, push: UncountedPush) -> None:
    """Note that there is nothing more to count of a push."""
    sql = """
        UPDATE result_pushes SET counted_at = clock_timestamp()
         WHERE execution_number = %(number)s AND position = %(position)s
    """
    execute(connection, sql, _name(push))


def _name(push: UncountedPush) -> dict[str, object]:
    return {
        "number": push.execution_number,
        "position": push.position,
        "execution_id": push.execution_id,
    }
