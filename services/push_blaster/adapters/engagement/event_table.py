"""The table `events`, whose partitions are the weeks of the pushes."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from chassis.commands.weekly_table import WeeklyTable
from chassis.postgres import Connection
from chassis.rows import array_of, fetch_all
from push_blaster.domain.engagement.event import Event

#: Events come for a month after their push, so that weeks before the present one fill, too.
EVENTS: Final = WeeklyTable("events", "week", weeks_back=6)


def select_known(connection: Connection, events: Sequence[Event]) -> set[tuple[int, int, UUID]]:
    """Return which of `events` were counted before, by execution, position and user.

    Shape: the events are of one kind, and have no action.
    """
    sql = """
        SELECT g.number, g.position, g.user_id
          FROM unnest(%(numbers)s::bigint[], %(positions)s::smallint[], %(users)s::uuid[],
                      %(kinds)s::text[]) AS g (number, position, user_id, kind)
          JOIN result_pushes r ON r.execution_number = g.number AND r.position = g.position
          JOIN events e ON e.week = r.week AND e.execution_number = g.number
               AND e.position = g.position AND e.user_id = g.user_id AND e.event = g.kind
    """
    values = {
        "numbers": [event.execution_number for event in events],
        "positions": [event.position for event in events],
        "users": array_of(event.user_id for event in events),
        "kinds": [event.kind.value for event in events],
    }
    return set(fetch_all(connection, sql, values))
