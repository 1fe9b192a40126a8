"""The table `opt_out_taps`: which taps in messages opted their users out already."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from chassis.postgres import Connection
from chassis.rows import array_of, execute, fetch_all
from push_blaster.adapters.devices.erased_users import is_erased


class TapKey(NamedTuple):
    """A tap: the message, what the user does not want, and when the phone says that it was."""

    user_id: UUID
    execution_number: int
    position: int
    scope: str
    said_at: str


def insert_taps(connection: Connection, taps: Sequence[TapKey], now: datetime) -> set[TapKey]:
    """Record taps; return those that are new. Of erased users nothing is recorded."""
    sql = f"""
        INSERT INTO opt_out_taps (user_id, execution_number, position, scope, said_at, taken_at)
        SELECT DISTINCT user_id, execution_number, position, scope, said_at, %(now)s
          FROM unnest(%(users)s::uuid[], %(numbers)s::bigint[], %(positions)s::smallint[],
                      %(scopes)s::text[], %(said)s::text[])
               AS t (user_id, execution_number, position, scope, said_at)
         WHERE NOT {is_erased("user_id")}
         ORDER BY user_id, execution_number, position, scope, said_at
            ON CONFLICT DO NOTHING
     RETURNING user_id, execution_number, position, scope, said_at
    """  # noqa: S608 - constants
    values = {
        "now": now,
        "users": array_of(tap.user_id for tap in taps),
        "numbers": [tap.execution_number for tap in taps],
        "positions": [tap.position for tap in taps],
        "scopes": [tap.scope for tap in taps],
        "said": [tap.said_at for tap in taps],
    }
    return {TapKey(*row) for row in fetch_all(connection, sql, values)}


def delete_old_taps(connection: Connection, before: datetime, limit: int) -> int:
    """Delete taps that were taken before then, at most `limit` of them; return how many."""
    sql = """
        DELETE FROM opt_out_taps WHERE ctid = ANY(ARRAY(
               SELECT ctid FROM opt_out_taps WHERE taken_at < %(before)s LIMIT %(limit)s))
    """
    return execute(connection, sql, {"before": before, "limit": limit})
