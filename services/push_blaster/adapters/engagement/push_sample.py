"""The table `sampled_pushes`: the pushes that were planned for a sample of users.

The sample has the users whose hash ends in so many zeros, so that the same users stay in it. It is
halved whenever it has more rows than a page can read in an instant.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from chassis.postgres import Connection
from chassis.rows import execute, fetch_all, fetch_value, stream_rows
from push_blaster.adapters.engagement.conversion_table import IS_ASSIGNED
from push_blaster.adapters.engagement.result_counting import BATCHES_AT_ONCE, UncountedPush
from push_blaster.domain.engagement.fatigue import LEVELS, Exposure, StratumPair
from push_blaster.domain.engagement.fatigue_curve import PERIOD, RECENT
from push_blaster.domain.engagement.results import WINDOW

#: The sample has at most so many rows, or few more for some seconds.
MAX_ROWS: Final = 200_000
#: How many pushes one transaction finishes.
PUSHES_AT_ONCE: Final = 2_000
#: How long a row is of use: for a whole period, and for the pushes before its first day.
KEPT_FOR: Final = PERIOD + RECENT + WINDOW + timedelta(days=1)
#: Whether a user is in the sample; the hash is the one that partitions by hash use.
_IN_SAMPLE: Final = "uuid_hash_extended(user_id, 22) & ((1::bigint << halvings) - 1) = 0"


def sample_batches(connection: Connection, push: UncountedPush) -> None:
    """Add the users of the sample that are in the next batches of a push; safe to repeat."""
    sql = f"""
        WITH sample AS (SELECT halvings FROM user_sample FOR SHARE)
        INSERT INTO sampled_pushes (user_id, execution_number, position, layer_id, at, is_sent)
        SELECT user_id, r.execution_number, r.position, r.layer_id,
               greatest(r.sent_at, d.held_until), d.state = 'sent'
          FROM sample
          JOIN result_pushes r ON r.execution_number = %(number)s AND r.position = %(position)s
          JOIN deliveries d ON d.execution_id = r.execution_id AND NOT d.is_test
               AND d.position = r.position
               AND d.batch >= %(first)s AND d.batch < %(first)s + %(batches)s
         WHERE {IS_ASSIGNED} AND d.state <> 'holdout' AND {_IN_SAMPLE}
         ORDER BY user_id
            ON CONFLICT DO NOTHING
    """  # noqa: S608 - constants
    values = {
        "number": push.execution_number,
        "position": push.position,
        "first": push.next_batch,
        "batches": BATCHES_AT_ONCE,
    }
    execute(connection, sql, values)


def shrink_sample(connection: Connection) -> bool:
    """Leave half of the users out if the sample is too large; return whether it was."""
    sql = "SELECT count(*) FROM (SELECT FROM sampled_pushes LIMIT %s) AS rows"
    if fetch_value(connection, sql, (MAX_ROWS + 1,)) <= MAX_ROWS:
        return False
    execute(connection, "UPDATE user_sample SET halvings = halvings + 1")
    execute(
        connection,
        f"DELETE FROM sampled_pushes USING user_sample WHERE NOT ({_IN_SAMPLE})",  # noqa: S608
    )
    return True


#: The events of the push `s` of the week `r.week` within a day.
_EVENT: Final = """
    FROM events e
   WHERE e.week = r.week AND e.execution_number = s.execution_number AND e.position = s.position
     AND e.user_id = s.user_id AND e.at <= s.at + %(window)s
"""


def finish_pushes(connection: Connection, now: datetime) -> int:
    """Note what users did with pushes that are a day old, and how many they had before."""
    sql = f"""
        WITH due AS (
          SELECT user_id, execution_number, position FROM sampled_pushes
           WHERE is_sent AND recent IS NULL AND at <= %(until)s
           ORDER BY at LIMIT {PUSHES_AT_ONCE} FOR UPDATE SKIP LOCKED)
        UPDATE sampled_pushes s
           SET recent = (
               SELECT count(*) FROM sampled_pushes b
                WHERE b.user_id = s.user_id AND b.is_sent AND b.at > s.at - %(recent)s
                  AND (b.at, b.execution_number, b.position)
                      < (s.at, s.execution_number, s.position)),
               is_opened = EXISTS (SELECT {_EVENT} AND e.event = 'opened'),
               is_opted_out = EXISTS (SELECT {_EVENT} AND e.event = 'opted_out')
          FROM due LEFT JOIN result_pushes r USING (execution_number, position)
         WHERE s.user_id = due.user_id AND s.execution_number = due.execution_number
           AND s.position = due.position
    """  # noqa: S608 - constants
    values = {"until": now - WINDOW, "recent": RECENT, "window": WINDOW}
    return execute(connection, sql, values)


def delete_old_samples(connection: Connection, before: datetime, limit: int) -> int:
    """Delete some rows of pushes before then; return how many."""
    sql = """
        DELETE FROM sampled_pushes WHERE ctid = ANY(ARRAY(
               SELECT ctid FROM sampled_pushes WHERE at < %(before)s LIMIT %(limit)s))
    """
    return execute(connection, sql, {"before": before, "limit": limit})


#: What each user did with the pushes of each level.
_BY_USER: Final = f"""
    SELECT user_id, least(recent + 1, {LEVELS}) AS level, count(*)::int AS pushes,
           count(*) FILTER (WHERE is_opened)::int AS opened,
           count(*) FILTER (WHERE is_opted_out)::int AS opted_out
      FROM sampled_pushes
     WHERE at >= %(since)s AND at < %(until)s AND recent IS NOT NULL
       AND (%(layer_id)s::smallint IS NULL OR layer_id = %(layer_id)s)
     GROUP BY 1, 2
"""  # noqa: S608 - a constant


class Span(NamedTuple):
    """The instants of the pushes of a curve: from `since` to before `until`."""

    since: datetime
    until: datetime


def find_span(connection: Connection, now: datetime) -> Span | None:
    """Return the span of a curve; None while the sample is not a week and a day old."""
    oldest = fetch_value(connection, "SELECT min(at) FROM sampled_pushes")
    until = now - WINDOW
    if oldest is None or oldest + RECENT >= until:
        return None
    return Span(max(until - PERIOD, oldest + RECENT), until)


class LevelCounts(NamedTuple):
    """The pushes of users with equally many planned pushes at one level, and what users did."""

    planned: int
    level: int
    pushes: int
    opened: int
    opted_out: int


class SampleCounts(NamedTuple):
    """What a curve is made of.

    Shape: `users` of the sample have pushes in the span; `pairs` are what users opened at level 1
    and at another level, and users with equal counts are one.
    """

    users: int
    levels: Sequence[LevelCounts]
    pairs: Sequence[StratumPair]


def read_share(connection: Connection) -> float:
    """Return which share of all users the sample has."""
    return float(fetch_value(connection, "SELECT 0.5 ^ halvings FROM user_sample"))


def count_sample(connection: Connection, span: Span, layer_id: int | None) -> SampleCounts:
    """Return the counts of the pushes of one layer, or of all, in one pass over the sample."""
    sql = f"""
        WITH pushes AS MATERIALIZED ({_BY_USER}),
        planned AS MATERIALIZED (
          SELECT user_id, count(*)::int AS planned FROM sampled_pushes
           WHERE at >= %(since)s AND at < %(until)s
           GROUP BY 1)
        SELECT 0, count(*)::int, 0, 0, 0, 0, 0 FROM planned
         UNION ALL
        SELECT 1, planned, level, sum(pushes)::int, sum(opened)::int, sum(opted_out)::int, 0
          FROM planned JOIN pushes USING (user_id)
         GROUP BY 2, 3
         UNION ALL
        SELECT 2, o.level, f.pushes, f.opened, o.pushes, o.opened, count(*)::int
          FROM pushes f JOIN pushes o USING (user_id)
         WHERE f.level = 1 AND o.level > 1
         GROUP BY 2, 3, 4, 5, 6
    """  # noqa: S608 - constants
    found: tuple[list[list[int]], ...] = ([], [], [])
    for kind, *numbers in fetch_all(connection, sql, {**span._asdict(), "layer_id": layer_id}):
        found[kind].append(numbers)
    ((users, *_),), levels, pairs = found
    return SampleCounts(
        users,
        [LevelCounts(*numbers[:5]) for numbers in levels],
        [
            StratumPair(level, Exposure(*counts[:2]), Exposure(*counts[2:]), alike)
            for level, *counts, alike in pairs
        ],
    )


class GotPush(NamedTuple):
    """A push that a user of the sample got."""

    user_id: UUID
    layer_id: int
    at: datetime
    is_opened: bool


def stream_pushes(connection: Connection, until: datetime) -> Iterator[GotPush]:
    """Yield the pushes that users got, user by user, in the order of time."""
    sql = """
        SELECT user_id, layer_id, at, is_opened FROM sampled_pushes
         WHERE is_sent AND recent IS NOT NULL AND at < %s
         ORDER BY user_id, at, execution_number, position
    """
    return map(GotPush._make, stream_rows(connection, sql, (until,)))
