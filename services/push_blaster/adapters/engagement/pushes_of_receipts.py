"""What the table `result_pushes` says of the pushes that receipts name."""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from chassis.postgres import Connection
from chassis.rows import array_of, fetch_all

PushKey = tuple[int, int]
MessageKey = tuple[int, int, UUID]


class KnownPush(NamedTuple):
    """A push that took place; one that was a test or a dry run is not counted."""

    sent_at: datetime
    is_counted: bool
    automation_id: str
    automation_name: str
    layer_id: int


def select_pushes(connection: Connection, keys: Collection[PushKey]) -> dict[PushKey, KnownPush]:
    """Return the pushes by the number of their execution and their position."""
    sql = """
        SELECT r.execution_number, r.position, r.sent_at, r.is_counted, r.automation_id,
               r.automation_name, r.layer_id
          FROM unnest(%(numbers)s::bigint[], %(positions)s::smallint[]) AS k (number, position)
          JOIN result_pushes r ON r.execution_number = k.number AND r.position = k.position
    """
    numbers, positions = [key[0] for key in keys], [key[1] for key in keys]
    rows = fetch_all(connection, sql, {"numbers": numbers, "positions": positions})
    return {(number, position): KnownPush(*push) for number, position, *push in rows}


def select_own_sends(
    connection: Connection, keys: Collection[MessageKey]
) -> dict[MessageKey, datetime]:
    """Return when the messages to these users went out, as long as the ledger has them.

    Shape: by the number of the execution, the position and the user. A message may go out long
    after its push begins: in the user's send window, or with the winner of an experiment.
    """
    sql = """
        SELECT k.number, k.position, k.user_id, coalesce(d.settled_at, d.claimed_at)
          FROM unnest(%(numbers)s::bigint[], %(positions)s::smallint[], %(users)s::uuid[])
               AS k (number, position, user_id)
          JOIN result_pushes r ON r.execution_number = k.number AND r.position = k.position
          JOIN deliveries d ON d.user_id = k.user_id AND d.execution_id = r.execution_id
                           AND d.position = k.position AND NOT d.is_test
    """
    values = {
        "numbers": [key[0] for key in keys],
        "positions": [key[1] for key in keys],
        "users": array_of(key[2] for key in keys),
    }
    rows = fetch_all(connection, sql, values)
    return {(number, position, user_id): at for number, position, user_id, at in rows}
