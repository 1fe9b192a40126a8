"""The cadence service beside the original's statements, in one run over the same history."""

import hashlib
import json
import random
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

from chassis.clock import utc_now
from chassis.postgres import Database
from local_stack.embedded_postgres import run_postgres
from tests.bench.cadence_data import SERVER, fill
from tests.bench.cadence_service import Service, running
from tests.bench.callers import measure_callers, measure_upkeep
from tests.bench.exactness import measure_exactness
from tests.bench.rounds import Way, compare

SIZES: Final = (1_000, 10_000, 100_000, 1_000_000)
ROUNDS: Final = 3
#: Users that notifications are recorded for.
TOLD: Final = 20_000
TEXTS: Final = {"pushTitle": "Title", "pushBody": "Body", "audienceDescription": "Bench"}


def measure_cadence(folder: Path, rows: int, users: int) -> None:
    """Print, for each size of audience, what each way takes; and the same for recording."""
    with run_postgres(folder / "cadence", SERVER) as postgres:
        begun = time.perf_counter()
        fill(postgres, rows, users).close()
        print(f"{rows:,} notifications of {users:,} users over 28 days, in both shapes")
        print(f"(filled in {time.perf_counter() - begun:.0f} s)", flush=True)
        original = Database(postgres.url("bench_cadence"), statement_timeout=timedelta(hours=1))
        with running(original.url) as (service,):
            dice = random.Random(1)  # noqa: S311 - a sample, no secret
            for size in (size for size in SIZES if size <= users):
                asked = [_user(number) for number in dice.sample(range(users), size)]
                _measure_filter(service, original, asked)
            _measure_record(service, original)
        measure_exactness(original)
        measure_callers(original.url)
        measure_upkeep(original.url)
        original.close()


def _user(number: int) -> str:
    return str(UUID(hashlib.md5(str(number).encode()).hexdigest()))  # noqa: S324 - as the data


def _measure_filter(service: Service, original: Database, asked: list[str]) -> None:
    now = utc_now()
    question = {"userIds": asked, "layerId": 3, "scheduledFor": now.isoformat()}
    body = json.dumps(question).encode()
    octets = b"".join(UUID(user).bytes for user in asked)
    expected = json.loads(_ask_originally(original, body, now))

    def check(raw: bytes, key: str) -> None:
        answer = json.loads(raw)
        if answer["failedOpen"] or answer[key] != expected[key]:
            raise RuntimeError(f"not what the original says: {raw[:500]!r}")

    def reserve() -> None:
        reserved = service.post(
            "/filter-audience", body[:-1] + b', "reservation": {"key": "bench"}}'
        )
        answers.append(reserved)

    def filter_octets() -> bytes:
        return service.post(
            "/filter-audience",
            octets,
            params={"layerId": 3, "scheduledFor": now.isoformat()},
            headers={"Content-Type": "application/octet-stream"},
        )

    answers: list[bytes] = []
    size = len(asked)
    ways = {
        "the original's statements": Way(lambda: _ask_originally(original, body, now), size),
        "filter": Way(lambda: answers.append(service.post("/filter-audience", body)), size),
        "filter, ids as bytes": Way(filter_octets, size),
        "reserve": Way(reserve, size, lambda: _forget(service, original)),
        "floor: scan and hash the window": Way(lambda: _scan(original, now), size),
    }
    check(filter_octets(), "excludedCount")
    compare(f"Filter {size:,} users", ways, "ids", ROUNDS)
    for answer in answers:
        check(answer, "eligibleUserIds")


def _forget(service: Service, original: Database) -> None:
    """Give the slots back, and forget that they were asked for."""
    service.session.delete(f"{service.url}/reservations/bench", timeout=600).raise_for_status()
    with original.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM reservations")
    with original.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("TRUNCATE held_slots")


def _ask_originally(original: Database, body: bytes, now: datetime) -> bytes:
    """Do what the original did with a request, but for HTTP."""
    asked = json.loads(body)["userIds"]
    with original.transaction() as connection, connection.cursor() as cursor:
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
    eligible = [user for user in asked if user not in held_back]
    return json.dumps({"eligibleUserIds": eligible, "excludedCount": len(held_back)}).encode()


def _scan(original: Database, now: datetime) -> None:
    with original.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM (SELECT user_id FROM user_notifications"
            " WHERE sent_at > %s AND layer_id IN (2, 3) GROUP BY user_id) AS users",
            (now - timedelta(hours=168),),
        )
        cursor.fetchone()


def _measure_record(service: Service, original: Database) -> None:
    few, many = TOLD // 10, TOLD

    def notifications() -> None:
        told = [
            {"userId": str(uuid4()), "layerId": 3, "idempotencyKey": "bench", **TEXTS}
            for _ in range(few)
        ]
        service.post("/track-notification", {"notifications": told})

    def hold() -> None:
        users = [str(uuid4()) for _ in range(many)]
        wish = {"key": uuid4().hex, "ttlSeconds": 3_600}
        body = {"userIds": users, "layerId": 1, "reservation": wish}
        service.post("/filter-audience", body)
        held.append({"reservationKey": wish["key"], "sentUserIds": users, **TEXTS})

    held: list[dict[str, Any]] = []
    for _ in range(ROUNDS):
        hold()
    ways = {
        "one INSERT and commit a user": Way(lambda: _tell_one_by_one(original, few), few),
        "notifications, each with its key": Way(notifications, few),
        "settle a reservation": Way(lambda: service.post("/track-notification", held.pop()), many),
    }
    compare("Record notifications", ways, "sends", ROUNDS)


def _tell_one_by_one(original: Database, count: int) -> None:
    for _ in range(count):
        with original.transaction() as connection, connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO original_notifications (id, user_id, layer_id, push_title, push_body,"
                " audience_description, sent_at) VALUES (gen_random_uuid(), %s, 3, 'T', 'B', 'A',"
                " now())",
                (uuid4(),),
            )
