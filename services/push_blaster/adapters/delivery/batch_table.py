"""The table `send_batches`: slices of a push's frozen audience, each sent by one job."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from chassis.postgres import Connection
from chassis.rows import execute, fetch_all, fetch_one, fetch_value, insert_many
from push_blaster.adapters.operations.execution_stops import NOT_STOPPED
from push_blaster.domain.audiences.audience import Batch
from push_blaster.domain.delivery.ledger import BatchKey, LedgerPage
from push_blaster.domain.delivery.rate_limit import PER_BATCH

_WHICH: Final = "execution_id = %(execution_id)s AND position = %(position)s AND batch = %(number)s"


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenBatch:
    """A batch that this worker holds, until somebody raises its fence again."""

    key: BatchKey
    offset: int
    rows: int
    fence: int
    failures: int


class Tally(NamedTuple):
    """How many messages of a push were sent, and how many failed."""

    sent: int
    failed: int


def insert_batches(
    connection: Connection, execution_id: str, position: int, batches: Sequence[Batch]
) -> None:
    """Insert the batches of one push; safe to repeat."""
    sql = """
        INSERT INTO send_batches (execution_id, position, batch, start_offset, row_count)
        VALUES %s
            ON CONFLICT DO NOTHING
    """
    insert_many(
        connection, sql, [(execution_id, position, b.number, b.offset, b.rows) for b in batches]
    )


#: A condition on a row `b`: its push has begun. Batches are inserted a moment before that is
#: written; until then nobody knows when their users get the push.
_HAS_BEGUN: Final = """EXISTS (SELECT FROM execution_pushes p
                       WHERE p.execution_id = b.execution_id AND p.position = b.position
                         AND p.started_at IS NOT NULL)"""

#: `paced` ranks the open batches of executions that have a rate of their own: batches that are
#: dispatched, or rest between two turns, come first.
_DISPATCH: Final = f"""
      WITH live AS MATERIALIZED (
           SELECT id, ceil((snapshot #>> '{{settings,ratePerMinute}}')::numeric
                           / %(per_batch)s) AS at_once
             FROM executions
            WHERE phase = 'live_execution' AND {NOT_STOPPED}),
           paced AS MATERIALIZED (
           SELECT b.execution_id, b.position, b.batch, live.at_once,
                  row_number() OVER (
                      PARTITION BY b.execution_id
                      ORDER BY b.rests OR coalesce(b.handed_out_at >= %(again_before)s,
                                                   false) DESC,
                               b.position, b.batch) AS turn
             FROM send_batches b
             JOIN live ON live.id = b.execution_id AND live.at_once IS NOT NULL
            WHERE b.done_at IS NULL
              AND (b.rests OR b.not_before IS NULL OR b.not_before <= %(now)s))
    UPDATE send_batches
       SET handed_out_at = %(now)s, worked_at = coalesce(worked_at, %(now)s)
     WHERE (execution_id, position, batch) IN (
           SELECT b.execution_id, b.position, b.batch
             FROM send_batches b
             JOIN live ON live.id = b.execution_id
            WHERE b.done_at IS NULL AND {_HAS_BEGUN}
              AND (live.at_once IS NULL
                   OR (b.execution_id, b.position, b.batch) IN (
                      SELECT execution_id, position, batch
                        FROM paced
                       WHERE turn <= at_once))
              AND (b.handed_out_at IS NULL OR b.handed_out_at < %(again_before)s)
              AND (b.not_before IS NULL OR b.not_before <= %(now)s)
            ORDER BY b.batch, b.execution_id
            LIMIT greatest(0, %(limit)s - (
                  SELECT count(*) FROM send_batches
                   WHERE done_at IS NULL AND handed_out_at >= %(again_before)s))
              FOR UPDATE OF b SKIP LOCKED)
    RETURNING execution_id, position, batch
"""  # noqa: S608 - a constant


def dispatch_batches(
    connection: Connection, now: datetime, again_before: datetime, limit: int
) -> list[BatchKey]:
    """Return open batches of live executions, and mark them as dispatched.

    Units: a batch dispatched before `again_before` and not done is dispatched again; at most
    `limit` are dispatched at a time, so that no execution keeps the others waiting. An execution
    with a rate of its own has only as many batches dispatched or resting as share the rate; see
    domain/delivery/rate_limit.
    """
    values = {"now": now, "again_before": again_before, "limit": limit, "per_batch": PER_BATCH}
    keys = fetch_all(connection, _DISPATCH, values, make=BatchKey)
    return sorted(keys, key=lambda key: key.number)


def take_batch(connection: Connection, key: BatchKey, taken_by: str) -> TakenBatch | None:
    """Take a batch that is not done and raise its fence; None if it may not be sent.

    Shape: `taken_by` names the engine.
    """
    sql = f"""
        UPDATE send_batches b
           SET fence = b.fence + 1, taken_by = %(taken_by)s, counts = NULL
          FROM executions
         WHERE b.execution_id = %(execution_id)s AND b.position = %(position)s
           AND b.batch = %(number)s AND b.done_at IS NULL
           AND executions.id = b.execution_id AND executions.phase = 'live_execution'
           AND {NOT_STOPPED} AND {_HAS_BEGUN}
        RETURNING b.start_offset, b.row_count, b.fence, b.failures
    """  # noqa: S608 - a constant
    return fetch_one(
        connection,
        sql,
        {**key._asdict(), "taken_by": taken_by},
        make=lambda offset, rows, fence, failures: TakenBatch(
            key=key, offset=offset, rows=rows, fence=fence, failures=failures
        ),
    )


def keep_batch(connection: Connection, batch: TakenBatch, now: datetime) -> bool:
    """Note that the batch is being sent, and return whether it may still be sent from here.

    Until the transaction ends, neither a stop nor another engine can come between.
    """
    sql = (
        "SELECT true FROM executions"  # noqa: S608 - a constant
        f" WHERE id = %s AND phase = 'live_execution' AND {NOT_STOPPED} FOR SHARE"
    )
    is_live = fetch_value(connection, sql, (batch.key.execution_id,))
    return bool(is_live) and _update_taken(
        connection,
        batch,
        "handed_out_at = %(now)s, worked_at = %(now)s",
        "done_at IS NULL",
        now=now,
    )


def add_to_tally(connection: Connection, batch: TakenBatch, tally: Tally) -> Tally:
    """Add the results of messages of the batch, and return the tally of the whole push."""
    values = batch.key._asdict()
    sql = (
        f"UPDATE send_batches SET sent = sent + %(sent)s, failed = failed + %(failed)s"  # noqa: S608
        f" WHERE {_WHICH}"
    )
    execute(connection, sql, {**values, **tally._asdict()})
    sql = """
        SELECT coalesce(sum(sent), 0)::int, coalesce(sum(failed), 0)::int FROM send_batches
         WHERE execution_id = %(execution_id)s AND position = %(position)s
    """
    whole = fetch_one(connection, sql, values, make=Tally)
    return whole or Tally(0, 0)


def note_first_message(connection: Connection, page: LedgerPage, at: datetime) -> bool:
    """Note when the first message of a push went to the provider; False if another one did."""
    sql = """
        UPDATE execution_pushes SET first_message_at = %(at)s
         WHERE execution_id = %(execution_id)s AND position = %(position)s
           AND first_message_at IS NULL
    """
    noted = execute(connection, sql, {**page._asdict(), "at": at})
    return noted == 1


def finish_batch(
    connection: Connection, batch: TakenBatch, now: datetime, tracked_at: datetime | None
) -> None:
    """Mark the batch as done, if it is still held; `tracked_at` is when cadence was notified."""
    assigned = "done_at = %(now)s, tracked_at = %(tracked_at)s"
    _update_taken(connection, batch, assigned, now=now, tracked_at=tracked_at)


def defer_batch(
    connection: Connection, batch: TakenBatch, not_before: datetime, *, rests: bool
) -> None:
    """Let the batch be dispatched again from `not_before` on, if it is still held.

    A batch that `rests` because of its automation's own rate keeps its place before other batches.
    """
    assigned = (
        "not_before = %(not_before)s, rests = %(rests)s, handed_out_at = NULL, worked_at = NULL"
    )
    _update_taken(connection, batch, assigned, not_before=not_before, rests=rests)


def select_unfinished(connection: Connection, ended_before: datetime, limit: int) -> list[BatchKey]:
    """Return batches that were begun, and whose executions ended without them."""
    sql = """
        SELECT b.execution_id, b.position, b.batch
          FROM send_batches b
          JOIN executions e ON e.id = b.execution_id AND e.ended_at <= %(before)s
         WHERE b.done_at IS NULL AND b.fence > 0
         LIMIT %(limit)s
    """
    return fetch_all(connection, sql, {"before": ended_before, "limit": limit}, make=BatchKey)


def close_batch(connection: Connection, key: BatchKey, now: datetime) -> None:
    """Mark the batch as done and tracked, whoever held it."""
    sql = f"UPDATE send_batches SET done_at = %(now)s, tracked_at = %(now)s WHERE {_WHICH}"  # noqa: S608
    execute(connection, sql, {**key._asdict(), "now": now})


def close_untouched(connection: Connection, now: datetime) -> None:
    """Mark batches as done that nobody began, and whose executions have ended."""
    sql = """
        UPDATE send_batches b SET done_at = %(now)s, tracked_at = %(now)s
          FROM executions e
         WHERE e.id = b.execution_id AND e.ended_at IS NOT NULL
           AND b.done_at IS NULL AND b.fence = 0
    """
    execute(connection, sql, {"now": now})


def count_failure(connection: Connection, batch: TakenBatch) -> int:
    """Count one more failed attempt of the batch, and return how many there were in all."""
    sql = f"UPDATE send_batches SET failures = failures + 1 WHERE {_WHICH} RETURNING failures"  # noqa: S608
    counted: int | None = fetch_value(connection, sql, batch.key._asdict())
    return counted or 0


def count_open_batches(connection: Connection, execution_id: str, position: int) -> int:
    """Return how many batches of the push are not done."""
    sql = """
        SELECT count(*) FROM send_batches
         WHERE execution_id = %(id)s AND position = %(position)s AND done_at IS NULL
    """
    return int(fetch_value(connection, sql, {"id": execution_id, "position": position}))


def select_rest(connection: Connection, execution_id: str, now: datetime) -> datetime:
    """Return until when every open batch of the execution is deferred; `now` if a batch is not."""
    sql = """
        SELECT min(coalesce(not_before, %(now)s)) FROM send_batches
         WHERE execution_id = %(id)s AND done_at IS NULL
    """
    rest: datetime | None = fetch_value(connection, sql, {"id": execution_id, "now": now})
    return rest or now


def _update_taken(
    connection: Connection,
    batch: TakenBatch,
    assigned: str,
    condition: str = "true",
    **values: object,
) -> bool:
    """Change a batch, unless somebody has raised its fence; return whether it was changed."""
    sql = (
        f"UPDATE send_batches SET {assigned}"  # noqa: S608 - constants of this module
        f" WHERE {_WHICH} AND fence = %(fence)s AND {condition}"
    )
    changed = execute(connection, sql, {**batch.key._asdict(), "fence": batch.fence, **values})
    return changed == 1
