"""The table `engines`: the engine processes, and when each last worked and lived.

`seen_at` is the end of the engine's own work, for people and for alerts. `alive_at` is the last
sign of life, which the engine's pulse gives, too, even when work starves the engine: only that
sign decides about its scripts and its part of the rate. Its clock is that of the database.
"""

import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from psycopg2.extras import Json

from chassis.clock import AGREED_FOR, DRIFT, Comparison
from chassis.postgres import Connection
from chassis.rows import execute, fetch_all, fetch_values

#: An engine that has been silent for longer does not count as alive.
ALIVE_WITHIN: Final = timedelta(seconds=15)
#: A condition: every engine that lives knows which pushes other engines have made ready.
ALL_KNOW_READY: Final = f"""NOT EXISTS (
    SELECT FROM engines
     WHERE knows_ready IS NOT TRUE
       AND coalesce(alive_at, seen_at)
           > clock_timestamp() - interval '{ALIVE_WITHIN.total_seconds()} seconds')"""
#: An engine whose last sign of life is older is probably gone; it gives one every second.
BEATS_WITHIN: Final = timedelta(seconds=3)


@dataclass(frozen=True, slots=True)
class EngineRecord:
    """An engine process: when it started, when it was last alive, and its clocks then.

    Shape: `clock_jump` is set while the engine begins and sends nothing, because its clocks part.
    """

    id: str
    started_at: datetime
    seen_at: datetime
    clock_ahead: timedelta | None = None
    clock_uncertainty: timedelta | None = None
    clock_jump: timedelta | None = None

    @property
    def clock_problem(self) -> str | None:
        """Return what is wrong with its clocks, for people; None if nothing is."""
        if self.clock_jump is not None:
            return (
                f"The engine {self.id!r} begins and sends nothing: the database's clock and the "
                f"machine's monotonic time parted by {self.clock_jump.total_seconds():.1f} s. It "
                f"goes on by itself once both agree for {AGREED_FOR.total_seconds():.0f} s."
            )
        if self.clock_ahead is not None and abs(self.clock_ahead) > DRIFT:
            return (
                f"The clock of the machine of the engine {self.id!r} is "
                f"{self.clock_ahead.total_seconds():+.1f} s off the database's. The engine "
                "follows the database's; run an NTP client on both machines."
            )
        return None


def name_engine() -> str:
    """Return the id of an engine that starts: its host, its pid, and a part that is new each time.

    A container that starts again has the same host and the same pid as before.
    """
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"


def beat(
    connection: Connection,
    engine_id: str,
    started_at: datetime,
    now: datetime,
    pace: Mapping[str, Any] | None = None,
    clocks: Comparison | None = None,
) -> None:
    """Record that this engine works, the pace at which it sends, and its clocks."""
    sql = """
        INSERT INTO engines (id, started_at, seen_at, pace, alive_at,
                             clock_ahead, clock_uncertainty, clock_jump, knows_ready)
        VALUES (%(id)s, %(started_at)s, %(now)s, %(pace)s, clock_timestamp(),
                %(ahead)s, %(uncertainty)s, %(jump)s, true)
            ON CONFLICT (id) DO UPDATE
           SET seen_at = EXCLUDED.seen_at, pace = EXCLUDED.pace, alive_at = EXCLUDED.alive_at,
               clock_ahead = EXCLUDED.clock_ahead, clock_jump = EXCLUDED.clock_jump,
               clock_uncertainty = EXCLUDED.clock_uncertainty
    """
    values = {
        "id": engine_id,
        "started_at": started_at,
        "now": now,
        "pace": Json(pace) if pace else None,
        **{name: getattr(clocks, name, None) for name in Comparison.__slots__},
    }
    execute(connection, sql, values)


def select_engine_records(connection: Connection) -> list[EngineRecord]:
    """Return every engine in the table, the newest first."""
    columns = ", ".join(EngineRecord.__slots__)
    sql = f"SELECT {columns} FROM engines ORDER BY started_at DESC, id"  # noqa: S608 - our own
    return fetch_all(connection, sql, make=EngineRecord)


def select_engines(connection: Connection, seen_since: datetime) -> list[str]:
    """Return the ids of the engines that were alive at `seen_since` or later."""
    sql = "SELECT id FROM engines WHERE seen_at >= %(since)s ORDER BY started_at"
    return fetch_values(connection, sql, {"since": seen_since})


def select_life_signs(
    connection: Connection, within: timedelta
) -> dict[str, tuple[datetime, bool]]:
    """Return every engine's last sign of life, and whether it was given `within` that time."""
    sql = """
        SELECT id, coalesce(alive_at, seen_at),
               coalesce(alive_at, seen_at) > clock_timestamp() - %(within)s
          FROM engines
    """
    rows = fetch_all(connection, sql, {"within": within})
    return {engine_id: (sign, is_fresh) for engine_id, sign, is_fresh in rows}


def select_paces(connection: Connection, seen_since: datetime) -> list[dict[str, Any]]:
    """Return the pace of each engine that was alive at `seen_since` or later, as JSON."""
    sql = """
        SELECT id, pace FROM engines
         WHERE seen_at >= %(since)s AND pace IS NOT NULL
         ORDER BY started_at
    """
    rows = fetch_all(connection, sql, {"since": seen_since})
    return [{"engine": engine_id, **pace} for engine_id, pace in rows]


def delete_engines(connection: Connection, not_seen_since: datetime) -> None:
    """Delete engines that were last alive before `not_seen_since`."""
    sql = "DELETE FROM engines WHERE greatest(seen_at, alive_at) < %(t)s"
    execute(connection, sql, {"t": not_seen_since})
