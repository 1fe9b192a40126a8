"""Questions to the ledger that cross its grain: by user, by device, and all of it as a stream."""

from chassis.postgres import Connection


def select_failed_tokens(connection: Connection, execution_id: str, limit: int) -> list[str]:
    """Return the registered tokens by which users of the execution could not be reached.

    Of a user with several devices, the dead one where a dead token was the reason, else the newest.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT DISTINCT ON (f.user_id) v.token
              FROM deliveries f
              JOIN devices v ON v.user_id = f.user_id
             WHERE f.execution_id = %(id)s AND NOT f.is_test
               AND f.state IN ('failed', 'token_dead')
             ORDER BY f.user_id, (v.dead_at IS NOT NULL) = (f.state = 'token_dead') DESC,
                      v.last_seen_at DESC, v.token
             LIMIT %(limit)s
            """,
            {"id": execution_id, "limit": limit},
        )
        return [row[0] for row in cursor]
