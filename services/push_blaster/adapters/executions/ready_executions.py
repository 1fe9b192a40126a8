"""Executions whose next push is made ready before its instant, and then begun together.

An engine takes such an execution by a dispatch that lies at the instant of the push. Until some
seconds after this instant no engine dispatches the execution in the usual way.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from chassis.postgres import Connection
from chassis.rows import execute, fetch_all, fetch_values, insert_many
from push_blaster.adapters.engagement.result_push_table import ResultPush, insert_result_pushes
from push_blaster.adapters.operations.engine_table import ALL_KNOW_READY
from push_blaster.adapters.operations.execution_stops import NOT_STOPPED
from push_blaster.domain.executions.execution import Execution, LogLevel, PushProgress, PushStatus
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import GOING_LIVE, Phase

#: A dispatch so little before the instant of a push says that the push begins in the usual way.
AS_USUAL: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class BegunPush:
    """An execution as it was made ready, as it is once its push has begun, and that push."""

    before: Execution
    after: Execution
    push: PushProgress

    @property
    def goes_live(self) -> bool:
        """Whether the execution goes live with this push."""
        return self.before.phase is not self.after.phase


def take_to_make_ready(
    connection: Connection, now: datetime, ahead: timedelta, limit: int
) -> list[str]:
    """Take live executions whose next push begins within `ahead`, for one engine; the next first.

    An execution that needs an approval is left out: it may be approved at the last moment. Beside
    an engine of an older version none is taken.
    """
    sql = f"""
        UPDATE executions SET handed_out_at = due_at
         WHERE id IN (
               SELECT id FROM executions
                WHERE due_at > %(now)s AND due_at <= %(now)s + %(ahead)s AND {NOT_STOPPED}
                  AND phase = ANY(%(phases)s) AND mode = %(live)s AND approval_reason IS NULL
                  AND failures = 0 AND resumes IS NULL AND {ALL_KNOW_READY}
                  AND (handed_out_at IS NULL OR handed_out_at < due_at - %(usual)s)
                  AND NOT EXISTS (SELECT FROM execution_pushes p
                                   WHERE p.execution_id = executions.id
                                     AND p.started_at IS NOT NULL AND p.ended_at IS NULL)
                ORDER BY due_at, id
                LIMIT %(limit)s
                  FOR UPDATE SKIP LOCKED)
        RETURNING due_at, id
    """  # noqa: S608 - a constant
    values = {
        "now": now,
        "ahead": ahead,
        "limit": limit,
        "phases": list(GOING_LIVE),
        "live": Mode.LIVE,
        "usual": AS_USUAL,
    }
    return [execution_id for _, execution_id in sorted(fetch_all(connection, sql, values))]


def hand_back(
    connection: Connection, execution_ids: Sequence[str], *, is_usual: bool = True
) -> None:
    """Let any engine begin these pushes at their instant; those that began stay as they are.

    Shape: unless they begin in the usual way, an engine may make them ready once more.
    """
    sql = """
        UPDATE executions
           SET handed_out_at = CASE WHEN %(is_usual)s THEN due_at - %(usual)s END
         WHERE id IN (SELECT id FROM executions
                       WHERE id = ANY(%(ids)s) AND handed_out_at = due_at
                         FOR NO KEY UPDATE SKIP LOCKED)
    """
    values = {"ids": list(execution_ids), "is_usual": is_usual, "usual": AS_USUAL}
    execute(connection, sql, values)


def save_slots_key(connection: Connection, execution: Execution, push: PushProgress) -> bool:
    """Note under which key slots are about to be reserved; False if the execution has changed."""
    sql = f"""
        UPDATE execution_pushes SET slots_key = %(slots_key)s, slots_for = %(slots_for)s
         WHERE execution_id = %(id)s AND position = %(position)s AND started_at IS NULL
           AND EXISTS (SELECT FROM executions
                        WHERE id = %(id)s AND fence = %(fence)s AND ended_at IS NULL
                          AND {NOT_STOPPED})
    """  # noqa: S608 - a constant
    values = {
        "id": execution.id,
        "fence": execution.fence,
        "position": push.position,
        "slots_key": push.slots_key,
        "slots_for": push.slots_for,
    }
    return execute(connection, sql, values) == 1


def select_unchanged(connection: Connection, ready: Sequence[BegunPush]) -> set[str]:
    """Return the executions that nobody has stopped or taken since they were made ready."""
    sql = f"""
        SELECT id FROM executions
          JOIN unnest(%(ids)s::text[], %(fences)s::int[]) AS ready (id, fence) USING (id, fence)
         WHERE ended_at IS NULL AND {NOT_STOPPED}
    """  # noqa: S608 - a constant
    return set(fetch_values(connection, sql, _fences(ready)))


def needs_slots(connection: Connection, one: BegunPush) -> bool:
    """Return whether anybody may still send under the slots that were reserved for this push."""
    sql = f"""
        SELECT true FROM execution_pushes p
          JOIN executions ON executions.id = p.execution_id
         WHERE p.execution_id = %(id)s AND p.position = %(position)s AND p.slots_key = %(key)s
           AND (p.started_at IS NOT NULL
                OR (executions.ended_at IS NULL AND {NOT_STOPPED}))
    """  # noqa: S608 - a constant
    push = one.push
    values = {"id": one.after.id, "position": push.position, "key": push.slots_key}
    return bool(fetch_values(connection, sql, values))


#: The database's own clock has the last word: nothing begins before its instant.
_BEGIN: Final = f"""
      WITH ready AS (
           SELECT * FROM unnest(%(ids)s::text[], %(fences)s::int[]) AS ready (id, fence)),
           free AS MATERIALIZED (
           SELECT executions.id
             FROM executions
             JOIN ready ON ready.id = executions.id AND ready.fence = executions.fence
            WHERE executions.ended_at IS NULL AND executions.due_at <= clock_timestamp()
              AND {NOT_STOPPED}
              FOR NO KEY UPDATE OF executions SKIP LOCKED)
    UPDATE executions e
       SET phase = %(live)s, due_at = %(again_at)s, fence = e.fence + 1, failures = 0,
           waits_for = NULL, attempt = 0, preparation = NULL
      FROM free
     WHERE e.id = free.id
    RETURNING e.id
"""  # noqa: S608 - a constant


def begin_together(
    connection: Connection, ready: Sequence[BegunPush], now: datetime, again_at: datetime
) -> set[str]:
    """Begin these pushes by a few statements for all; return the executions that have begun.

    What is stopped, taken by another engine, not due, or locked by another transaction does not
    begin. Units: the pushes are watched from `again_at` on.
    """
    values = {**_fences(ready), "live": Phase.LIVE_EXECUTION, "again_at": again_at}
    begun = set(fetch_values(connection, _BEGIN, values))
    gone = [one for one in ready if one.after.id in begun]
    if gone:
        _save_phases(connection, [one for one in gone if one.goes_live], now)
        _save_pushes(connection, gone)
        sent = [ResultPush(one.after, one.push.position, one.push.due_at or now) for one in gone]
        insert_result_pushes(connection, sent)
        _save_log(connection, gone, now)
    return begun


def _fences(ready: Sequence[BegunPush]) -> dict[str, object]:
    return {
        "ids": [one.before.id for one in ready],
        "fences": [one.before.fence for one in ready],
    }


def _save_phases(connection: Connection, live: Sequence[BegunPush], now: datetime) -> None:
    sql = """
        INSERT INTO execution_phases (execution_id, phase, entered_at) VALUES %s
            ON CONFLICT DO NOTHING
    """
    insert_many(connection, sql, [(one.after.id, Phase.LIVE_EXECUTION, now) for one in live])


def _save_pushes(connection: Connection, gone: Sequence[BegunPush]) -> None:
    sql = """
        UPDATE execution_pushes p
           SET due_at = v.due_at, status = coalesce(v.status, p.status),
               started_at = coalesce(v.started_at, p.started_at)
          FROM unnest(%(ids)s::text[], %(positions)s::int[], %(due)s::timestamptz[],
                      %(statuses)s::text[], %(started)s::timestamptz[])
               AS v (execution_id, position, due_at, status, started_at)
         WHERE p.execution_id = v.execution_id AND p.position = v.position
    """
    rows = [
        (one.after.id, push, one.push.position == push.position)
        for one in gone
        for push in one.after.pushes
    ]
    values = {
        "ids": [execution_id for execution_id, _, _ in rows],
        "positions": [push.position for _, push, _ in rows],
        "due": [push.due_at for _, push, _ in rows],
        "statuses": [PushStatus.SENDING if is_begun else None for _, _, is_begun in rows],
        "started": [push.started_at if is_begun else None for _, push, is_begun in rows],
    }
    execute(connection, sql, values)


def _save_log(connection: Connection, gone: Sequence[BegunPush], now: datetime) -> None:
    sql = "INSERT INTO execution_log (execution_id, at, level, stage, message) VALUES %s"
    rows = [
        (one.after.id, now, LogLevel.INFO, Phase.LIVE_EXECUTION, text)
        for one in gone
        for text in _announce(one)
    ]
    insert_many(connection, sql, rows)


def _announce(one: BegunPush) -> list[str]:
    begun = one.push.announcement
    return [begun, Phase.LIVE_EXECUTION.announcement] if one.goes_live else [begun]
