"""How many users of each variant of a push opened or converted, by execution."""

from collections import defaultdict
from typing import Final

from chassis.postgres import Connection
from chassis.rows import fetch_all
from push_blaster.adapters.engagement.texts_key import TEXTS_KEY
from push_blaster.adapters.funnels import count_variant_users
from push_blaster.domain.automations.experiment import Metric
from push_blaster.domain.executions.winner import Arm

#: The counters of earlier executions by metric: users who had not done it before, and who did it.
_COUNTERS: Final = {
    Metric.OPENED: ("first_at_risk", "first_opened"),
    Metric.CONVERTED: ("first_assigned", "first_converted"),
}


def select_trials(
    connection: Connection, execution_id: str, position: int, metric: Metric
) -> list[dict[str, Arm]]:
    """Return users and events of each variant of a push: in this execution, and in earlier ones.

    Shape: earlier executions are those with the same texts, once their users are counted; each user
    counts once in all of them.
    The users of this execution are those of its batches, without the users who did it before: so
    nobody reads the ledger of a whole push.
    """
    users, events = _COUNTERS[metric]
    sql = f"""
        WITH now AS MATERIALIZED (
             SELECT r.*, {TEXTS_KEY} AS texts
               FROM result_pushes r
               JOIN executions e ON e.number = r.execution_number
              WHERE e.id = %(id)s AND r.position = %(position)s),
             before AS (
             SELECT d.variant, count(*) AS users
               FROM now
               JOIN first_events f
                 ON f.texts = now.texts AND f.metric = %(metric)s
                AND f.execution_number <> now.execution_number
               JOIN deliveries d
                 ON d.user_id = f.user_id AND d.execution_id = %(id)s
                AND d.position = %(position)s AND NOT d.is_test AND d.state IN ('sent', 'in_doubt')
              GROUP BY d.variant)
        SELECT now.execution_number, true, v.id, -coalesce(before.users, 0), coalesce(c.{events}, 0)
          FROM now
         CROSS JOIN unnest(now.variants) WITH ORDINALITY AS v (id, place)
          LEFT JOIN before ON before.variant = v.id
          LEFT JOIN result_counts c
                 ON c.execution_number = now.execution_number AND c.position = now.position
                AND c.variant = v.place
         UNION ALL
        SELECT r.execution_number, false, r.variants[c.variant], c.{users}, c.{events}
          FROM now
          JOIN result_pushes r USING (automation_id, push_id, texts_digest)
          JOIN result_counts c
                 ON c.execution_number = r.execution_number AND c.position = r.position
         WHERE r.counted_at IS NOT NULL AND r.is_counted AND c.variant > 0
           AND r.execution_number <> now.execution_number
    """  # noqa: S608 - constants
    values = {"id": execution_id, "position": position, "metric": metric}
    sent = count_variant_users(connection, execution_id, position)
    trials: defaultdict[int, dict[str, Arm]] = defaultdict(dict)
    for number, is_now, variant, of_users, of_events in fetch_all(connection, sql, values):
        own = sent.get(variant, 0) if is_now else 0
        trials[number][variant] = Arm(of_users + own, of_events)
    return list(trials.values())
