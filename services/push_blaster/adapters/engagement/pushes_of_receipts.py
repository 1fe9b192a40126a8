"""What the table `result_pushes` says of the pushes that receipts name."""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from chassis.postgres import Connection
from chassis.rows import fetch_all

PushKey = tuple[int, int]


class SentPush(NamedTuple):
    """A push that took place; one that was a test or a dry run is not counted."""

    sent_at: datetime
    is_counted: bool
    automation_id: str
    automation_name: str
    layer_id: int


def select_pushes(connection: Connection, keys: Collection[PushKey]) -> dict[PushKey, SentPush]:
    """Return the pushes by the number of their execution and their position."""
    sql = """
        SELECT r.execution_number, r.position, r.sent_at, r.is_counted, r.automation_id,
               r.automation_name, r.layer_id
          FROM unnest(%(numbers)s::bigint[], %(positions)s::smallint[]) AS k (number, position)
          JOIN result_pushes r ON r.execution_number = k.number AND r.position = k.position
    """
    numbers, positions = [key[0] for key in keys], [key[1] for key in keys]
    rows = fetch_all(connection, sql, {"numbers": numbers, "positions": positions})
    return {(number, position): SentPush(*push) for number, position, *push in rows}
