"""The cadence check and the record of sends, each beside the way that asks user by user."""

import random
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from cadence_service.adapters.notification_record import MessageTexts, Notification
from cadence_service.adapters.partitions import make_partitions
from cadence_service.cli import MIGRATIONS
from cadence_service.use_cases.filter_audience import Question, filter_audience
from cadence_service.use_cases.record_notifications import record_notifications
from chassis.clock import utc_now
from chassis.migrations import migrate
from chassis.postgres import Database
from local_stack.embedded_postgres import EmbeddedPostgres
from tests.bench.rounds import compare

USERS = 200_000
ROWS = 1_000_000
ASKED = 10_000
TOLD = 5_000

TEXTS = MessageTexts("Title", "Body", "Bench", None)


def measure_cadence(postgres: EmbeddedPostgres, _: Path) -> None:
    database = Database(postgres.create_database("bench_cadence"), max_connections=2)
    migrate(database, MIGRATIONS)
    _fill(database)
    dice = random.Random(1)  # noqa: S311 - a sample, no secret
    asked = [str(UUID(int=n)) for n in dice.sample(range(USERS), ASKED)]
    question = Question(asked, 3, utc_now())
    ways = {
        "one count a user and rule": lambda: _ask_one_by_one(database, asked),
        "filter_audience, one statement": lambda: _ask(database, question),
    }
    compare(f"Filter {ASKED:,} of {USERS:,} users over {ROWS:,} rows", ways, ASKED, "ids")
    rounds = iter(range(1_000))
    ways = {
        "one INSERT a user": lambda: _tell_one_by_one(database, next(rounds)),
        "record_notifications": lambda: _tell(database, next(rounds)),
    }
    compare(f"Record {TOLD:,} notifications with their keys", ways, TOLD, "sends")
    database.close()


def _fill(database: Database) -> None:
    with database.transaction() as connection, connection.cursor() as cursor:
        make_partitions(connection, utc_now())
        cursor.execute(
            "INSERT INTO messages (digest, push_title, push_body, audience_description)"
            " VALUES ('x', 'T', 'B', 'A')"
        )
        cursor.execute("SET statement_timeout = 0")
        cursor.execute(
            """
            INSERT INTO user_notifications (user_id, sent_at, layer_id, message_id, rule_set,
                                            actually_sent_at)
            SELECT lpad(to_hex((random() * %(users)s)::int), 32, '0')::uuid, at,
                   1 + (random() * 4)::int, (SELECT min(id) FROM messages), 1, at
              FROM (SELECT now() - random() * interval '28 days' AS at
                      FROM generate_series(1, %(rows)s)) t
            """,
            {"users": USERS, "rows": ROWS},
        )
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _ask(database: Database, question: Question) -> None:
    answer = filter_audience(database, question)
    if answer.fail_open_reason or not 0 < len(answer.eligible) < ASKED:
        raise RuntimeError(f"no real check: {answer.fail_open_reason}, {len(answer.eligible)}")


def _ask_one_by_one(database: Database, asked: list[str]) -> None:
    with database.transaction() as connection, connection.cursor() as cursor:
        for user_id in asked:
            for layers, hours in (([3], 72), ([2, 3], 168)):
                cursor.execute(
                    "SELECT count(*) FROM user_notifications WHERE user_id = %s"
                    " AND layer_id = ANY(%s) AND sent_at > now() - %s",
                    (user_id, layers, timedelta(hours=hours)),
                )
                cursor.fetchone()


def _tell_one_by_one(database: Database, number: int) -> None:
    now = utc_now()
    with database.transaction() as connection, connection.cursor() as cursor:
        for n in range(TOLD):
            user_id = UUID(int=number * TOLD + n)
            cursor.execute(
                "INSERT INTO notification_keys (user_id, key, sent_at) VALUES (%s, %s, %s)"
                " ON CONFLICT DO NOTHING",
                (user_id, f"one-{number}".encode(), now),
            )
            cursor.execute(
                "INSERT INTO user_notifications (user_id, sent_at, layer_id, message_id,"
                " rule_set, actually_sent_at) SELECT %s, %s, 3, min(id), 1, %s FROM messages",
                (user_id, now, now),
            )


def _tell(database: Database, number: int) -> None:
    now = utc_now()
    sends = [
        Notification(
            user_id=UUID(int=number * TOLD + n),
            layer_id=3,
            texts=TEXTS,
            sent_at=now,
            actually_sent_at=now,
            idempotency_key=f"many-{number}",
        )
        for n in range(TOLD)
    ]
    with database.transaction() as connection:
        record_notifications(connection, sends)
