"""The cadence service beside the original's statements, in one run over the same history."""

import hashlib
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

from cadence_service.adapters.notification_record import MessageTexts, Notification
from cadence_service.use_cases.filter_audience import FilteredAudience, Question, filter_audience
from cadence_service.use_cases.record_notifications import record_notifications
from cadence_service.use_cases.reserve_audience import Wish, reserve_audience
from cadence_service.use_cases.settle_reservation import release_reservation
from chassis.clock import utc_now
from chassis.postgres import Database
from local_stack.embedded_postgres import run_postgres
from tests.bench.cadence_data import SERVER, fill
from tests.bench.rounds import compare

SIZES = (1_000, 10_000, 100_000, 1_000_000)
TOLD = 5_000
TEXTS = MessageTexts("Title", "Body", "Bench", None)


def measure_cadence(folder: Path, rows: int, users: int) -> None:
    """Print, for each size of audience, what each way takes; and the same for recording."""
    with run_postgres(folder / "cadence", SERVER) as postgres:
        database = fill(postgres, rows, users)
        print(f"{rows:,} notifications of {users:,} users over 28 days, in both shapes")
        dice = random.Random(1)  # noqa: S311 - a sample, no secret
        for size in SIZES:
            if size <= users:
                asked = [_user(number) for number in dice.sample(range(users), size)]
                _measure_filter(database, asked)
        _measure_record(database)
        database.close()


def _user(number: int) -> str:
    return str(UUID(hashlib.md5(str(number).encode()).hexdigest()))  # noqa: S324 - as the data


def _measure_filter(database: Database, asked: list[str]) -> None:
    now = utc_now()
    question = Question(asked, 3, now)
    expected = _ask_originally(database, asked, now)
    ways: dict[str, Callable[[], object]] = {
        "the original's statements": lambda: _ask_originally(database, asked, now),
        "filter_audience": lambda: _check(filter_audience(database, question), expected),
        "reserve_audience": lambda: _reserve(database, question, expected),
        "floor: scan and hash the window": lambda: _scan(database, now),
    }
    compare(f"Filter {len(asked):,} users", ways, len(asked), "ids", 3)


def _check(filtered: FilteredAudience, expected: int) -> None:
    if filtered.fail_open_reason or len(filtered.eligible) != expected:
        raise RuntimeError(f"{len(filtered.eligible)} eligible, not {expected}: {filtered}")


def _reserve(database: Database, question: Question, expected: int) -> None:
    key = uuid4().hex
    _check(reserve_audience(database, question, Wish(key, timedelta(hours=1))), expected)
    with database.transaction() as connection:
        release_reservation(connection, key)


def _ask_originally(database: Database, asked: list[str], now: datetime) -> int:
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(
            "SELECT DISTINCT user_id FROM original_notifications"
            " WHERE user_id = ANY(%s::uuid[]) AND layer_id = 3 AND sent_at > %s",
            (asked, now - timedelta(hours=72)),
        )
        held_back = {str(row[0]) for row in cursor}
        rest = [user for user in asked if user not in held_back]
        cursor.execute(
            "SELECT user_id FROM original_notifications"
            " WHERE user_id = ANY(%s::uuid[]) AND layer_id IN (2, 3) AND sent_at > %s"
            " GROUP BY user_id HAVING count(*) >= 3",
            (rest, now - timedelta(hours=168)),
        )
        held_back |= {str(row[0]) for row in cursor}
    return len([user for user in asked if user not in held_back])


def _scan(database: Database, now: datetime) -> None:
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM (SELECT user_id FROM user_notifications"
            " WHERE sent_at > %s AND layer_id IN (2, 3) GROUP BY user_id) AS users",
            (now - timedelta(hours=168),),
        )
        cursor.fetchone()


def _measure_record(database: Database) -> None:
    rounds = iter(range(1_000))
    ways: dict[str, Callable[[], object]] = {
        "one INSERT and commit a user": lambda: _tell_one_by_one(database),
        "record_notifications": lambda: _tell(database, next(rounds)),
    }
    compare(f"Record {TOLD:,} notifications", ways, TOLD, "sends", 3)


def _tell_one_by_one(database: Database) -> None:
    for _ in range(TOLD):
        with database.transaction() as connection, connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO original_notifications (id, user_id, layer_id, push_title, push_body,"
                " audience_description, sent_at) VALUES (gen_random_uuid(), %s, 3, 'T', 'B', 'A',"
                " now())",
                (uuid4(),),
            )


def _tell(database: Database, number: int) -> None:
    now = utc_now()
    sends = [
        Notification(
            user_id=uuid4(),
            layer_id=3,
            texts=TEXTS,
            sent_at=now,
            actually_sent_at=now,
            idempotency_key=f"bench-{number}",
        )
        for _ in range(TOLD)
    ]
    with database.transaction() as connection:
        record_notifications(connection, sends)
