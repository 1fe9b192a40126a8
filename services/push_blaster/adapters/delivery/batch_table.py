"""The table `send_batches`: slices of a push's frozen audience, each sent by one job."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg2.extras import execute_values

from chassis.postgres import Connection
from push_blaster.domain.audiences.audience import Batch
from push_blaster.domain.delivery.rate_limit import PER_BATCH


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenBatch:
    """A batch in our hands, until its fence is raised again."""

    execution_id: str
    position: int
    number: int
    offset: int
    rows: int
    fence: int
    failures: int


def insert_batches(
    connection: Connection, execution_id: str, position: int, batches: Sequence[Batch]
) -> None:
    """Lay out the batches of one push; safe to repeat."""
    with connection.cursor() as cursor:
        execute_values(
            cursor,
            """
            INSERT INTO send_batches (execution_id, position, batch, start_offset, row_count)
            VALUES %s
                ON CONFLICT DO NOTHING
            """,
            [(execution_id, position, b.number, b.offset, b.rows) for b in batches],
            page_size=1_000,
        )


def hand_out_batches(
    connection: Connection, now: datetime, again_before: datetime, limit: int
) -> list[tuple[str, int, int]]:
    """Return open batches of live executions as (execution, position, batch), marking them.

    Units: one handed out before `again_before` and not done is handed out again; at most `limit`
    are out at a time, so that no execution keeps the others waiting. Of an execution with a rate
    of its own only so many are out, or rest between their turns, as share it; see
    domain/own_rate.py.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH live AS MATERIALIZED (
                 SELECT id, ceil((snapshot #>> '{settings,ratePerMinute}')::numeric
                                 / %(per_batch)s) AS at_once
                   FROM executions
                  WHERE phase = 'live_execution'),
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
               SET handed_out_at = %(now)s
             WHERE (execution_id, position, batch) IN (
                   SELECT b.execution_id, b.position, b.batch
                     FROM send_batches b
                     JOIN live ON live.id = b.execution_id
                    WHERE b.done_at IS NULL
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
            """,
            {
                "now": now,
                "again_before": again_before,
                "limit": limit,
                "per_batch": PER_BATCH,
            },
        )
        return sorted(cursor.fetchall(), key=lambda row: row[2])


def take_batch(
    connection: Connection, key: tuple[str, int, int], taken_by: str
) -> TakenBatch | None:
    """Take a batch that is not done: raise its fence; None if it is done or nothing may be sent.

    Shape: `key` is (execution, position, batch); `taken_by` names the engine.
    """
    execution_id, position, number = key
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE send_batches b
               SET fence = b.fence + 1, taken_by = %(taken_by)s
              FROM executions e
             WHERE b.execution_id = %(id)s AND b.position = %(position)s AND b.batch = %(number)s
               AND b.done_at IS NULL
               AND e.id = b.execution_id AND e.phase = 'live_execution'
            RETURNING b.start_offset, b.row_count, b.fence, b.failures
            """,
            {"id": execution_id, "position": position, "number": number, "taken_by": taken_by},
        )
        row = cursor.fetchone()
    if row is None:
        return None
    return TakenBatch(
        execution_id=execution_id,
        position=position,
        number=number,
        offset=row[0],
        rows=row[1],
        fence=row[2],
        failures=row[3],
    )


def keep_batch(connection: Connection, batch: TakenBatch, now: datetime) -> bool:
    """Say that the batch is being worked on, and return whether it still is ours to send.

    Until the transaction ends, neither a stop nor another engine can come between.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT 1 FROM executions
             WHERE id = %(id)s AND phase = 'live_execution'
               FOR SHARE
            """,
            {"id": batch.execution_id},
        )
        if cursor.fetchone() is None:
            return False
        cursor.execute(
            """
            UPDATE send_batches SET handed_out_at = %(now)s
             WHERE execution_id = %(id)s AND position = %(position)s AND batch = %(number)s
               AND fence = %(fence)s AND done_at IS NULL
            """,
            {**_key(batch), "now": now},
        )
        return cursor.rowcount == 1


def add_to_tally(
    connection: Connection, batch: TakenBatch, sent: int, failed: int
) -> tuple[int, int]:
    """Count outcomes of the batch; return how many of the whole push were sent, and failed."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE send_batches SET sent = sent + %(sent)s, failed = failed + %(failed)s
             WHERE execution_id = %(id)s AND position = %(position)s AND batch = %(number)s
            """,
            {**_key(batch), "sent": sent, "failed": failed},
        )
        cursor.execute(
            """
            SELECT coalesce(sum(sent), 0), coalesce(sum(failed), 0) FROM send_batches
             WHERE execution_id = %(id)s AND position = %(position)s
            """,
            _key(batch),
        )
        row = cursor.fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def finish_batch(
    connection: Connection, batch: TakenBatch, now: datetime, tracked_at: datetime | None
) -> None:
    """Mark the batch as done, if it still is ours; `tracked_at` is when cadence was told."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE send_batches SET done_at = %(now)s, tracked_at = %(tracked_at)s
             WHERE execution_id = %(id)s AND position = %(position)s AND batch = %(number)s
               AND fence = %(fence)s
            """,
            {**_key(batch), "now": now, "tracked_at": tracked_at},
        )


def put_off_batch(
    connection: Connection, batch: TakenBatch, not_before: datetime, *, rests: bool
) -> None:
    """Let the batch be handed out again from `not_before` on, if it still is ours.

    One that `rests` until then, by its automation's own rate, keeps others from going before it.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE send_batches
               SET not_before = %(not_before)s, rests = %(rests)s, handed_out_at = NULL
             WHERE execution_id = %(id)s AND position = %(position)s AND batch = %(number)s
               AND fence = %(fence)s
            """,
            {**_key(batch), "not_before": not_before, "rests": rests},
        )


def select_left_open(
    connection: Connection, ended_before: datetime, limit: int
) -> list[tuple[str, int, int]]:
    """Return batches that were begun, and whose executions ended without them."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT b.execution_id, b.position, b.batch
              FROM send_batches b
              JOIN executions e ON e.id = b.execution_id AND e.ended_at <= %(before)s
             WHERE b.done_at IS NULL AND b.fence > 0
             LIMIT %(limit)s
            """,
            {"before": ended_before, "limit": limit},
        )
        return list(cursor.fetchall())


def close_batch(
    connection: Connection, execution_id: str, position: int, number: int, now: datetime
) -> None:
    """Mark the batch as done and told, whoever had it."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE send_batches SET done_at = %(now)s, tracked_at = %(now)s
             WHERE execution_id = %(id)s AND position = %(position)s AND batch = %(number)s
            """,
            {"id": execution_id, "position": position, "number": number, "now": now},
        )


def close_untouched(connection: Connection, now: datetime) -> None:
    """Mark batches as done that nobody began, and whose executions have ended."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE send_batches b SET done_at = %(now)s, tracked_at = %(now)s
              FROM executions e
             WHERE e.id = b.execution_id AND e.ended_at IS NOT NULL
               AND b.done_at IS NULL AND b.fence = 0
            """,
            {"now": now},
        )


def count_failure(connection: Connection, batch: TakenBatch) -> int:
    """Count one more failed attempt of the batch, and return how many there were in all."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE send_batches SET failures = failures + 1
             WHERE execution_id = %(id)s AND position = %(position)s AND batch = %(number)s
            RETURNING failures
            """,
            _key(batch),
        )
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def count_open_batches(connection: Connection, execution_id: str, position: int) -> int:
    """Return how many batches of the push are not done."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT count(*) FROM send_batches
             WHERE execution_id = %(id)s AND position = %(position)s AND done_at IS NULL
            """,
            {"id": execution_id, "position": position},
        )
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def select_rest(connection: Connection, execution_id: str, now: datetime) -> datetime:
    """Return until when every open batch of the execution is put off; `now` if one is not."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT min(coalesce(not_before, %(now)s)) FROM send_batches
             WHERE execution_id = %(id)s AND done_at IS NULL
            """,
            {"id": execution_id, "now": now},
        )
        row = cursor.fetchone()
    rest: datetime = (row and row[0]) or now
    return rest


def _key(batch: TakenBatch) -> dict[str, object]:
    return {
        "id": batch.execution_id,
        "position": batch.position,
        "number": batch.number,
        "fence": batch.fence,
    }
