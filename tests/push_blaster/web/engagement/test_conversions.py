"""Conversions: each key counts once, for the pushes that offered the user a turn before it."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from chassis.clock import utc_now
from chassis.postgres import Database
from chassis.rows import execute, fetch_all, fetch_value
from push_blaster.domain.delivery.ledger import HELD_OUT, HELD_OUT_OF_ALL
from push_blaster.domain.engagement.results import GLOBAL_HOLDOUT, OWN_HOLDOUT
from push_blaster.use_cases.engagement.fold_reports import look_at_ended
from push_blaster.use_cases.engagement.take_conversions import take_conversions
from tests.people import ALICE, BOB, CAROL
from tests.push_blaster.engagement import SentPush, counted, fold

DAVE = UUID("da4e0000-0000-4000-8000-000000000004")
MINUTE = timedelta(minutes=1)
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def report(client: FlaskClient, *conversions: Any, status: int = 202) -> dict[str, Any]:
    answer = client.post("/api/conversions", json={"conversions": list(conversions)})
    assert answer.status_code == status, answer.get_data()
    body: dict[str, Any] = answer.get_json()
    return body


def bought(key: str, user: UUID = ALICE, **changes: Any) -> dict[str, Any]:
    return {"userId": str(user), "goal": "bought", "key": key, **changes}


def end(
    database: Database,
    push: SentPush,
    ended_at: datetime | None = None,
    resumes: SentPush | None = None,
) -> None:
    """Let the execution of a push have ended, which resumed that of another one."""
    ended = ended_at or utc_now() - 2 * MINUTE
    sql = """
        INSERT INTO executions (id, automation_id, automation_name, automation_version, mode,
                                trigger, slot, begins_at, phase, snapshot, created_at, ended_at,
                                resumes)
        VALUES (%(id)s, %(automation)s, 'News', 1, 'live', 'schedule', %(at)s, %(at)s, 'completed',
                '{}', %(at)s, %(at)s, %(resumes)s)
    """
    values = {"id": push.execution_id, "automation": push.automation_id, "at": ended}
    values["resumes"] = resumes.execution_id if resumes else None
    with database.transaction() as connection:
        execute(connection, sql, values)


def totals(database: Database) -> dict[int, Mapping[str, Any]]:
    """Return the counters by execution, of all positions and variants."""
    return {key[0]: counts for key, counts in counted(database).items()}


def test_a_conversion_counts_for_the_push_before_it_with_its_value(
    client: FlaskClient, database: Database
) -> None:
    push = SentPush(goal="bought", hours=24, variants=["a", "b"]).insert(database)
    push.offer(database, variant="b")
    push.offer(database, BOB, state="held_back")

    told = report(
        client,
        bought("1", value=12.5),
        bought("2", value="0.10"),
        bought("3", BOB),
        bought("4", goal="read"),
    )
    fold(database)

    assert told == {
        "accepted": 4,
        "repeated": 0,
        "neverInAudience": 0,
        "refused": 0,
        "problems": [],
    }
    assert counted(database) == {
        (1, 1, 2): {
            "conversions": 2,
            "value": Decimal("12.60"),
            "converted": 1,
            "first_converted": 1,
        },
        (1, 1, 0): {"conversions": 1, "converted": 1, "first_converted": 1},
    }


def test_a_key_counts_once_within_a_request_and_later(
    client: FlaskClient, database: Database
) -> None:
    SentPush(goal="bought", hours=24).insert(database).offer(database)

    first = report(client, bought("1", value=2), bought("1", value=2))
    fold(database)
    again = report(client, bought("1", value=2, at=(utc_now() - MINUTE).isoformat()))
    fold(database)

    assert (first["accepted"], first["repeated"]) == (1, 1)
    assert (again["accepted"], again["repeated"]) == (0, 1)
    assert totals(database)[1]["conversions"] == 1


def test_workers_that_get_the_same_keys_at_once_accept_each_once(
    client: FlaskClient, database: Database
) -> None:
    offered = SentPush(goal="bought", hours=24).insert(database)
    offered.offer(database)
    items = [bought(f"order {number}") for number in range(60)]
    dice = Random(7)  # noqa: S311 - a sample, no secret
    requests = [dice.sample(items, len(items)) for _ in range(8)]

    with ThreadPoolExecutor(4) as workers:
        taken = list(
            workers.map(lambda some: take_conversions(database, some, utc_now()), requests)
        )
    fold(database)

    assert sum(one.accepted for one in taken) == 60
    assert {one.accepted + one.repeated for one in taken} == {60}
    assert totals(database)[1]["conversions"] == 60


def test_a_key_of_another_conversion_is_refused_by_name(
    client: FlaskClient, database: Database
) -> None:
    report(client, bought("1"))

    told = report(client, bought("1", BOB), bought("1", goal="read"), bought("1"))

    assert [(p["index"], p["reason"]) for p in told["problems"]] == [
        (0, "key_used"),
        (1, "key_used"),
    ]
    assert (told["accepted"], told["repeated"], told["refused"]) == (0, 1, 2)


def test_users_who_were_never_in_an_audience_are_accepted_and_told(
    client: FlaskClient, database: Database
) -> None:
    SentPush(goal="bought", hours=24).insert(database).offer(database)

    told = report(client, bought("1"), bought("2", BOB), bought("3", BOB))
    fold(database)

    assert (told["accepted"], told["neverInAudience"]) == (3, 2)
    assert totals(database)[1]["conversions"] == 1


@pytest.mark.parametrize(
    ("before_send", "counts"),
    [(-MINUTE, True), (timedelta(0), True), (MINUTE, False)],
    ids=["after the send", "at the send", "before the send"],
)
def test_only_what_comes_after_the_send_counts(
    client: FlaskClient, database: Database, before_send: timedelta, counts: bool
) -> None:
    push = SentPush(goal="bought", hours=1, ago=30 * MINUTE).insert(database)
    push.offer(database)
    with database.transaction() as connection:
        sent_at = fetch_value(connection, "SELECT sent_at FROM result_pushes")

    report(client, bought("1", at=(sent_at - before_send).isoformat()))
    fold(database)

    assert (1 in totals(database)) is counts


@pytest.mark.parametrize(
    ("after_send", "counts"), [(HOUR - timedelta(microseconds=1), True), (HOUR, False)]
)
def test_the_hours_of_the_goal_end_exactly(
    client: FlaskClient, database: Database, after_send: timedelta, counts: bool
) -> None:
    SentPush(goal="bought", hours=1, ago=2 * HOUR).insert(database).offer(database)
    with database.transaction() as connection:
        sent_at = fetch_value(connection, "SELECT sent_at FROM result_pushes")

    report(client, bought("1", at=(sent_at + after_send).isoformat()))
    fold(database)

    assert (1 in totals(database)) is counts


def test_the_two_holdouts_and_those_who_were_offered_a_turn_are_apart(
    client: FlaskClient, database: Database
) -> None:
    push = SentPush(goal="bought", hours=24).insert(database)
    push.offer(database, state="no_token")
    push.offer(database, BOB, state="holdout", reason=HELD_OUT)
    push.offer(database, CAROL, state="holdout", reason=HELD_OUT_OF_ALL)
    push.offer(database, DAVE, state="sent_before")

    report(client, *(bought(str(user), user) for user in (ALICE, BOB, CAROL, DAVE)))
    fold(database)

    found = {key[2]: counts["converted"] for key, counts in counted(database).items()}
    assert found == {0: 1, OWN_HOLDOUT: 1, GLOBAL_HOLDOUT: 1}


def test_a_conversion_counts_once_for_each_automation_for_the_latest_push(
    client: FlaskClient, database: Database
) -> None:
    pushes = [
        SentPush(number=1, goal="bought", hours=72, ago=2 * DAY),
        SentPush(number=2, goal="bought", hours=72, ago=DAY),
        SentPush(number=3, goal="bought", hours=72, automation_id="offers"),
        SentPush(number=4, goal="read", hours=72, automation_id="other"),
    ]
    for push in pushes:
        push.insert(database).offer(database)

    report(client, bought("1"))
    fold(database)

    assert {number: one["conversions"] for number, one in totals(database).items()} == {2: 1, 3: 1}


def test_a_conversion_counts_for_the_first_execution_of_a_chain_that_had_the_user(
    client: FlaskClient, database: Database
) -> None:
    """The same execution counts the user as assigned."""
    pushes = [
        SentPush(number=n, goal="bought", hours=72, ago=(4 - n) * HOUR).insert(database)
        for n in (1, 2, 3)
    ]
    for push, before in zip(pushes, (None, *pushes), strict=False):
        end(database, push, resumes=before)
    states = {
        ALICE: ("holdout", "holdout", "holdout"),
        BOB: ("held_back", "sent", "sent_before"),
        CAROL: (None, "failed", "sent"),
        DAVE: (None, None, "sent"),
    }
    for user, of_user in states.items():
        for push, state in zip(pushes, of_user, strict=True):
            if state:
                reason = HELD_OUT if state == "holdout" else None
                push.offer(database, user, state=state, reason=reason)

    report(client, *(bought(str(user), user) for user in states))
    fold(database)

    assert {key: counts["converted"] for key, counts in counted(database).items()} == {
        (1, 1, OWN_HOLDOUT): 1,
        (1, 1, 0): 1,
        (2, 1, 0): 1,
        (3, 1, 0): 1,
    }


def test_a_sequence_counts_from_its_first_push_at_the_users_first_one(
    client: FlaskClient, database: Database
) -> None:
    first = SentPush(goal="bought", hours=2, ago=90 * MINUTE).insert(database)
    second = SentPush(position=2, goal="bought", hours=2, ago=5 * MINUTE).insert(database)
    first.offer(database)
    second.offer(database)
    second.offer(database, BOB)

    for key, user in (("1", ALICE), ("2", BOB)):
        report(client, bought(key, user, at=(utc_now() - HOUR).isoformat()))
    fold(database)

    assert {key[1]: counts["converted"] for key, counts in counted(database).items()} == {
        1: 1,
        2: 1,
    }


def test_who_is_offered_a_turn_only_later_counts_when_the_execution_has_ended(
    client: FlaskClient, database: Database
) -> None:
    push = SentPush(goal="bought", hours=24).insert(database)
    push.offer(database, state="deferred", tries=0)
    report(client, bought("1"), bought("2", BOB))
    fold(database)
    before = counted(database)

    with database.transaction() as connection:
        execute(connection, "UPDATE deliveries SET state = 'sent', variant = NULL")
    push.offer(database, BOB, state="held_back")
    end(database, push)
    waiting_again = [look_at_ended(database, utc_now()) for _ in range(2)]
    fold(database)

    assert before == {}
    assert waiting_again == [2, 0]
    assert totals(database)[1]["converted"] == 2


def test_tests_and_dry_runs_have_no_conversions(client: FlaskClient, database: Database) -> None:
    SentPush(goal="bought", hours=24, is_counted=False).insert(database).offer(database)
    SentPush(number=2, goal="bought", hours=24).insert(database).offer(database, is_test=True)

    report(client, bought("1"))
    fold(database)

    assert counted(database) == {}


@pytest.mark.parametrize("hours", [23, -23, 16, 5.504168])
def test_a_conversion_may_have_any_offset(
    client: FlaskClient, database: Database, hours: float
) -> None:
    at = utc_now() - HOUR
    odd = at.astimezone(timezone(timedelta(hours=hours)))

    assert report(client, bought("1", at=odd.isoformat()), bought("2"))["accepted"] == 2
    with database.transaction() as connection:
        sql = "SELECT at FROM conversions WHERE key = '1'"
        assert fetch_value(connection, sql) == at


def test_what_does_not_fit_is_refused_by_its_place_with_the_field(
    client: FlaskClient, database: Database
) -> None:
    now = utc_now()
    told = report(
        client,
        bought("0", value=-1),
        bought("1", value="NaN"),
        bought("2", value="٣"),
        bought("3", value=True),
        bought("4", value=1_000_000_001),
        bought("5", at=(now + 6 * MINUTE).isoformat()),
        bought("6", at=(now - 32 * DAY).isoformat()),
        bought("7", at="2026-11-24"),
        bought("8", goal=" "),
        bought("x" * 101),
        bought("9", user="alice"),  # type: ignore[arg-type]  # what a backend might send
        {"userId": str(ALICE), "goal": "bought"},
        bought("10", currency="EUR"),
        [],
        bought("11", at=(now + MINUTE).isoformat(), value=0.1 + 0.2),
        bought("12", at=(now - 30 * DAY).isoformat(), value=None),
    )

    fields = [problem["message"].partition(":")[0] for problem in told["problems"]]
    assert fields == [
        *["value"] * 5,
        *["at"] * 3,
        *["goal", "key", "userId", "key", "currency", "Send an object."],
    ]
    assert {p["reason"] for p in told["problems"]} == {"bad_field", "future", "expired"}
    assert told["accepted"] == 2
    with database.transaction() as connection:
        rows = fetch_all(connection, "SELECT key, value, at <= now() FROM conversions ORDER BY key")
    assert rows == [("11", Decimal("0.3"), True), ("12", None, True)]


def test_conversions_need_an_operator_and_are_in_the_audit_log_without_users(
    client: FlaskClient, database: Database
) -> None:
    body = {"conversions": [bought("1")]}

    answers = [
        client.post("/api/conversions", json=body, headers={"Authorization": f"Bearer {token}"})
        for token in ("viewer", "operator")
    ]
    stranger = client.application.test_client().post("/api/conversions", json=body)

    assert [answer.status_code for answer in (*answers, stranger)] == [403, 202, 401]
    with database.transaction() as connection:
        sql = "SELECT what FROM audit_log WHERE path = '/api/conversions' ORDER BY id DESC LIMIT 1"
        what = fetch_value(connection, sql)
    assert "bought" in what
    assert str(ALICE) not in what
