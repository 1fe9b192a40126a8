"""Stops in the table `execution_stops` that wait for locked tables.

`ALTER TABLE` locks what a stop has to read. A request says which executions to stop, by their
automation and their phase, so that no other table is needed. Every step and every claim looks at
it, so that nothing begins once the table is free; an engine carries it out then.
"""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from chassis.postgres import Connection
from chassis.rows import execute, fetch_all, without_nul
from push_blaster.domain.executions.phase import Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRequest:
    """Which executions to cancel, and why: one, those of an automation, or else all.

    Shape: only those in `phases`; suspended ones come back with their automation.
    """

    phases: Collection[Phase]
    reason: str
    asked_at: datetime
    execution_id: str | None = None
    automation_id: str | None = None
    is_suspension: bool = False

    @property
    def values(self) -> dict[str, Any]:
        """Return what a statement takes."""
        own = {"phases": list(self.phases), "reason": without_nul(self.reason)}
        return {**asdict(self), **own}

    @property
    def key(self) -> str:
        """Return the key of the request; the same request again replaces it."""
        what = "pause" if self.is_suspension else f"stop of {len(self.phases)} phases"
        return f"{what}: {self.execution_id or self.automation_id or 'everything'}"


def insert_request(connection: Connection, request: StopRequest) -> None:
    """Keep the request until `take_requests`."""
    sql = """
        INSERT INTO execution_stops
               (execution_id, phase, reason, asked_at, only_execution, only_automation, phases,
                is_suspension)
        VALUES (%(key)s, %(end)s, %(reason)s, %(asked_at)s, %(execution_id)s, %(automation_id)s,
                %(phases)s, %(is_suspension)s)
            ON CONFLICT (execution_id) DO UPDATE
           SET reason = EXCLUDED.reason, asked_at = EXCLUDED.asked_at
    """
    own = {"key": request.key, "end": Phase.CANCELLED}
    execute(connection, sql, request.values | own)


def take_requests(connection: Connection) -> list[StopRequest]:
    """Delete and return the requests that no other transaction takes, oldest first."""
    sql = """
        WITH taken AS (
             DELETE FROM execution_stops
              WHERE execution_id IN (SELECT execution_id FROM execution_stops
                                      WHERE phases IS NOT NULL FOR UPDATE SKIP LOCKED)
          RETURNING *)
        SELECT phases, reason, asked_at, only_execution AS execution_id,
               only_automation AS automation_id, is_suspension
          FROM taken ORDER BY asked_at
    """
    return fetch_all(connection, sql, make=StopRequest, by_name=True)
