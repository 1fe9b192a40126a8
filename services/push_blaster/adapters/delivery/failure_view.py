"""Why users of an execution got no message, or may have got none: what the ledger says of it."""

from typing import Any, Final

from psycopg2.extras import RealDictCursor

from chassis.postgres import Connection

#: What becomes of a user for whom something is amiss; whom cadence holds back is as it should be.
AMISS: Final = (
    *("in_doubt", "failed", "token_dead", "no_token", "missing_variable", "bad_deep_link"),
    *("too_long", "not_in_time"),
)


def select_failures(connection: Connection, execution_id: str, limit: int) -> list[dict[str, Any]]:
    """Return outcomes and reasons by push, the most frequent first, each with one of its users."""
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(
            """
            SELECT position, state, reason, count(*)::int AS users, min(user_id::text) AS example
              FROM deliveries
             WHERE execution_id = %(id)s AND NOT is_test AND state = ANY(%(amiss)s)
             GROUP BY position, state, reason
             ORDER BY users DESC, position, state, reason
             LIMIT %(limit)s
            """,
            {"id": execution_id, "amiss": list(AMISS), "limit": limit},
        )
        return [dict(row) for row in cursor]
