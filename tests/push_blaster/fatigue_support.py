"""Pushes of several weeks in the ledger, and what the sample of users makes of them."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from chassis.clock import utc_now
from chassis.postgres import Database
from chassis.rows import execute, fetch_all, insert_many
from push_blaster.adapters.engagement.push_sample import KEPT_FOR
from push_blaster.use_cases.engagement.count_results import count_results
from push_blaster.use_cases.engagement.tend_sample import tend_sample

DAY = timedelta(days=1)
#: When the curve is read.
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
_PUSH = """
    INSERT INTO result_pushes (execution_number, position, execution_id, automation_id,
                               automation_name, push_id, layer_id, mode, is_counted, variants,
                               texts_digest, zone, sent_at, week, next_batch)
    VALUES %s
"""
_EXECUTION = """
    INSERT INTO executions (id, automation_id, automation_name, automation_version, mode, trigger,
                            slot, begins_at, phase, snapshot, created_at, ended_at, number)
    VALUES %s
"""
_EXECUTION_PUSH = """
    INSERT INTO execution_pushes (execution_id, position, status, started_at, ended_at,
                                  distinct_users, funnel) VALUES %s
"""
_DELIVERY = """
    INSERT INTO deliveries (execution_id, position, is_test, user_id, state, batch, claimed_at,
                            held_until, reason)
    VALUES %s
"""
_EVENT = """
    INSERT INTO events (week, execution_number, position, user_id, event, variant, at, received_at)
    VALUES %s
"""


class Got(NamedTuple):
    """A user of a push, and what became of it."""

    user_id: UUID
    state: str = "sent"
    opened: timedelta | None = None
    opted_out: timedelta | None = None
    held_until: datetime | None = None


class Planned(NamedTuple):
    """A push of an execution of its own, which has ended."""

    at: datetime
    users: Sequence[Got]
    layer_id: int = 3
    is_counted: bool = True
    number: int | None = None


def send_pushes(database: Database, pushes: Iterable[Planned]) -> None:
    """Write pushes, their ledger and their events, and let the engine count and finish them."""
    for number, planned in enumerate(pushes, start=1):
        _send(database, planned.number or number, planned)
    sample_pushes(database)


def sample_pushes(database: Database, now: datetime = NOW) -> None:
    """Do what the engine does."""
    for _ in range(20):
        count_results(database)
    tend_sample(database, now)


def read_rows(database: Database) -> list[tuple[object, ...]]:
    """Return the finished rows of the sample: user, recent pushes, what the user did."""
    sql = """
        SELECT user_id, recent, is_opened, is_opted_out FROM sampled_pushes
         WHERE recent IS NOT NULL ORDER BY at, user_id
    """
    with database.transaction() as connection:
        return fetch_all(connection, sql)


def _send(database: Database, number: int, planned: Planned) -> None:
    id_, at = f"news@{number}", planned.at
    week = at.date() - timedelta(days=at.weekday())
    push = (number, 1, id_, "news", "News", "p1", planned.layer_id, "live", planned.is_counted)
    execution = (id_, "news", "News", 1, "live", "schedule", at, at, "completed", "{}", at, at)
    events = [
        (week, number, 1, got.user_id, event, 0, at + after, at + after)
        for got in planned.users
        for event, after in (("opened", got.opened), ("opted_out", got.opted_out))
        if after is not None
    ]
    ledger = [
        (id_, 1, False, got.user_id, got.state, 0, at, got.held_until, None)
        for got in planned.users
    ]
    with database.transaction() as connection:
        insert_many(connection, _PUSH, [(*push, [], "texts", "UTC", at, week, None)])
        insert_many(connection, _EXECUTION, [(*execution, number)])
        insert_many(connection, _EXECUTION_PUSH, [(id_, 1, "sent", at, at, 1, "{}")])
        insert_many(connection, _DELIVERY, ledger)
        insert_many(connection, _EVENT, events)


def age_sample(database: Database) -> None:
    """Let the sample have begun as long ago as rows are kept."""
    sql = """
        INSERT INTO sampled_pushes (user_id, execution_number, position, layer_id, at, is_sent)
        VALUES (%s, 0, 1, 3, %s, false)
    """
    with database.transaction() as connection:
        execute(connection, sql, (UUID(int=0), NOW - KEPT_FOR))


def write_sample(database: Database, now: datetime | None = None) -> None:
    """Write finished pushes of layer 3 to 300 users: the second one in 7 days is opened less."""
    at = (now or utc_now()) - 10 * DAY
    users = [UUID(int=n) for n in range(1, 301)]
    first = [(user, 1, at, 0, n % 2 == 0, n % 10 == 0) for n, user in enumerate(users)]
    second = [(user, 2, at + DAY, 1, n % 5 == 1, n % 5 == 0) for n, user in enumerate(users)]
    rows = [
        (user, number, 1, 3, sent_at, True, recent, is_opened, is_opted_out)
        for user, number, sent_at, recent, is_opened, is_opted_out in first + second
    ]
    early = (UUID(int=0), 0, 1, 3, at - 20 * DAY, False, None, False, False)
    sql = """
        INSERT INTO sampled_pushes (user_id, execution_number, position, layer_id, at, is_sent,
                                    recent, is_opened, is_opted_out) VALUES %s
    """
    with database.transaction() as connection:
        insert_many(connection, sql, [*rows, early])
