"""Views for operators: executions that run, wait, or have ended lately."""

from dataclasses import dataclass
from datetime import datetime

from chassis.postgres import Connection
from chassis.rows import fetch_all, fetch_one, fetch_value


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """The waiting work: due steps, open batches, and sends that cadence has not recorded.

    Units: `oldest` is for how many seconds the oldest step has been due, or no worker has had any
    of the due batches of an execution. `uncapped` counts the live executions that went out
    unchecked lately.
    """

    steps: int
    oldest: float
    batches: int
    untracked: int
    uncapped: int
    waiting: int


def count_running_phases(connection: Connection) -> dict[str, int]:
    """Return how many running executions are in each phase."""
    return _count(
        connection, "SELECT phase, count(*) FROM executions WHERE ended_at IS NULL GROUP BY phase"
    )


def count_ended_phases(connection: Connection, since: datetime) -> dict[str, int]:
    """Return how many live executions have ended since then, by their last phase."""
    return _count(
        connection,
        """
        SELECT phase, count(*) FROM executions
         WHERE mode = 'live' AND ended_at >= %(since)s
         GROUP BY phase
        """,
        since=since,
    )


def count_repeated_steps(connection: Connection, since: datetime) -> int:
    """Return how often a step began again, of executions that began at `since` or later."""
    sql = "SELECT coalesce(sum(repeated_steps), 0) FROM executions WHERE begins_at >= %(since)s"
    return int(fetch_value(connection, sql, {"since": since}))


def count_open_violations(connection: Connection) -> dict[str, int]:
    """Return how many violations are not resolved, by severity."""
    return _count(
        connection,
        "SELECT severity, count(*) FROM violations WHERE resolved_at IS NULL GROUP BY severity",
    )


def select_backlog(connection: Connection, now: datetime, since: datetime) -> Backlog:
    """Return what waits at `now`; `uncapped` counts executions that began from `since` on."""
    sql = """
          WITH worked AS (
               SELECT max(b.worked_at) AS worked_at
                 FROM send_batches b
                 JOIN executions e ON e.id = b.execution_id AND e.phase = 'live_execution'
                WHERE b.done_at IS NULL
                  AND (b.not_before IS NULL OR b.not_before <= %(now)s)
                GROUP BY b.execution_id)
        SELECT (SELECT count(*) FROM executions WHERE due_at <= %(now)s) AS steps,
               greatest(0, extract(epoch FROM %(now)s - least(
                  (SELECT min(due_at) FROM executions WHERE due_at <= %(now)s),
                  (SELECT min(worked_at) FROM worked)))::float) AS oldest,
               (SELECT count(*)
                  FROM send_batches b
                  JOIN executions e ON e.id = b.execution_id AND e.phase = 'live_execution'
                 WHERE b.done_at IS NULL
                   AND (b.not_before IS NULL OR b.not_before <= %(now)s)) AS batches,
               (SELECT count(*) FROM send_batches
                 WHERE done_at IS NOT NULL AND tracked_at IS NULL) AS untracked,
               (SELECT count(*) FROM executions
                 WHERE mode = 'live' AND begins_at >= %(since)s
                   AND uncapped_reason IS NOT NULL) AS uncapped,
               (SELECT count(*) FROM executions
                 WHERE due_at IS NOT NULL AND waits_for IS NOT NULL) AS waiting
    """
    backlog = fetch_one(connection, sql, {"now": now, "since": since}, make=Backlog, by_name=True)
    return backlog or Backlog(steps=0, oldest=0.0, batches=0, untracked=0, uncapped=0, waiting=0)


def select_lateness(connection: Connection, now: datetime, since: datetime) -> float:
    """Return how many seconds the latest live push since then began after its planned instant.

    A live send that is due and has not begun counts with the time that it is late now.
    """
    sql = """
        SELECT greatest(0,
               (SELECT max(extract(epoch FROM p.first_message_at - p.due_at))
                  FROM execution_pushes p
                  JOIN executions e ON e.id = p.execution_id AND e.mode = 'live'
                 WHERE p.first_message_at >= %(since)s),
               (SELECT max(extract(epoch FROM %(now)s - due_at)) FROM executions
                 WHERE due_at <= %(now)s AND mode = 'live' AND phase = 'cancellation_window')
               )::float
    """
    late: float = fetch_value(connection, sql, {"now": now, "since": since})
    return late


def _count(connection: Connection, sql: str, **values: object) -> dict[str, int]:
    return {name: int(count) for name, count in fetch_all(connection, sql, values)}
