"""The table `emergency_stops`: stops of everything, until each automation is paused, too."""

from datetime import datetime

from chassis.postgres import Connection
from chassis.rows import execute, fetch_one, fetch_value, without_nul
from push_blaster.domain.operations.emergency_stop import EmergencyStop


def insert_emergency_stop(connection: Connection, reason: str, now: datetime) -> None:
    """Stop everything; it is not finished before each automation is paused."""
    sql = "INSERT INTO emergency_stops (asked_at, reason) VALUES (%s, %s) ON CONFLICT DO NOTHING"
    execute(connection, sql, (now, without_nul(reason)))


def select_unfinished(connection: Connection) -> EmergencyStop | None:
    """Return the newest emergency stop that is not finished."""
    sql = """
        SELECT asked_at, reason FROM emergency_stops
         WHERE finished_at IS NULL ORDER BY asked_at DESC LIMIT 1
    """
    return fetch_one(connection, sql, make=EmergencyStop)


def is_stopped_since(connection: Connection, instant: datetime) -> bool:
    """Return whether somebody has stopped everything since then."""
    sql = "SELECT EXISTS (SELECT FROM emergency_stops WHERE asked_at >= %s)"
    return bool(fetch_value(connection, sql, (instant,)))


def finish_emergency_stops(connection: Connection, stop: EmergencyStop, now: datetime) -> None:
    """Mark the emergency stop as finished, and those before it."""
    sql = "UPDATE emergency_stops SET finished_at = %s WHERE finished_at IS NULL AND asked_at <= %s"
    execute(connection, sql, (now, stop.asked_at))
