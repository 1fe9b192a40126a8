"""The last runs of automations, for the small pictures of a list."""

from collections.abc import Sequence

from chassis.postgres import Connection
from chassis.rows import fetch_all


def select_last_runs(
    connection: Connection, automation_ids: Sequence[str], runs: int
) -> dict[str, list[tuple[int, int]]]:
    """Return how many users were sent to, and opened, in the last live runs that have ended.

    Shape: by automation, the oldest run first.
    """
    sql = """
        SELECT id, sum(c.sent)::bigint, sum(c.opened)::bigint
          FROM unnest(%(ids)s::text[]) AS ids (id)
         CROSS JOIN LATERAL (
               SELECT execution_number FROM result_pushes
                WHERE automation_id = id AND is_counted AND counted_at IS NOT NULL AND position = 1
                ORDER BY sent_at DESC LIMIT %(runs)s) newest
          JOIN result_counts c USING (execution_number)
         GROUP BY id, execution_number
         ORDER BY id, execution_number
    """
    found: dict[str, list[tuple[int, int]]] = {}
    for id_, sent, opened in fetch_all(
        connection, sql, {"ids": list(automation_ids), "runs": runs}
    ):
        found.setdefault(id_, []).append((sent, opened))
    return found
