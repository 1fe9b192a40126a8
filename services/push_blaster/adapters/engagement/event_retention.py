"""What goes when the retention of events has ended; the counters stay."""

from datetime import datetime

from chassis.postgres import Connection
from chassis.rows import execute
from push_blaster.adapters.engagement.texts_key import TEXTS_KEY


def delete_old_conversions(connection: Connection, before: datetime, limit: int) -> int:
    """Delete some conversions that came before then, with their attributions; return how many."""
    sql = """
        DELETE FROM conversions WHERE id = ANY(ARRAY(
               SELECT id FROM conversions WHERE received_at < %(before)s LIMIT %(limit)s))
    """
    return execute(connection, sql, {"before": before, "limit": limit})


def delete_old_firsts(connection: Connection, before: datetime, limit: int) -> int:
    """Delete some first events of texts that were sent last before then; return how many."""
    sql = f"""
        WITH old AS (
          SELECT {TEXTS_KEY} AS texts FROM result_pushes r
           GROUP BY 1 HAVING max(r.sent_at) < %(before)s)
        DELETE FROM first_events WHERE ctid = ANY(ARRAY(
               SELECT f.ctid FROM old JOIN first_events f USING (texts) LIMIT %(limit)s))
    """  # noqa: S608 - a constant
    return execute(connection, sql, {"before": before, "limit": limit})
