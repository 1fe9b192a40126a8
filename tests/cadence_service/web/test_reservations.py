"""Reservations, over a real PostgreSQL."""

import csv
from base64 import b64encode
from collections import Counter
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from chassis.clock import utc_now
from chassis.postgres import BulkDatabase
from tests.people import ALICE, BOB, CAROL

NOON = utc_now().replace(microsecond=0)


def reserve(cadence: FlaskClient, key: str, *users: UUID, **more: Any) -> Any:
    body = {
        "userIds": [str(user) for user in users],
        "layerId": 3,
        "scheduledFor": NOON.isoformat(),
        "explain": True,
        "reservation": {"key": key, "ttlSeconds": 60},
        **more,
    }
    return cadence.post("/filter-audience", json=body)


def eligible(response: Any) -> list[UUID]:
    assert response.status_code == 200, response.json
    return [UUID(text) for text in response.get_json()["eligibleUserIds"]]


def settle(cadence: FlaskClient, key: str, **who: Any) -> Any:
    texts = {"pushTitle": "T", "pushBody": "B", "audienceDescription": "A"}
    return cadence.post("/track-notification", json={"reservationKey": key, **texts, **who})


def rows(database: BulkDatabase) -> list[tuple[Any, ...]]:
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT user_id, 0 FROM held_slots UNION ALL SELECT user_id, 1 FROM user_notifications"
            " ORDER BY 1, 2"
        )
        return cursor.fetchall()


def run_out(database: BulkDatabase, key: str) -> None:
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(
            "UPDATE reservations SET expires_at = now() - interval '1 s' WHERE key = %s", (key,)
        )


def test_a_slot_that_is_held_is_nobody_elses(cadence: FlaskClient) -> None:
    first = reserve(cadence, "a", ALICE, BOB)

    second = reserve(cadence, "b", BOB, CAROL)

    assert eligible(first) == [ALICE, BOB]
    assert eligible(second) == [CAROL]
    held = second.get_json()["excluded"][0]
    assert (held["userId"], held["rule"]) == (str(BOB), "layer_3_cooldown_hours")
    assert held["countedSends"] == [NOON.isoformat()]
    assert held["nextEligibleAt"] == (NOON + timedelta(hours=72)).isoformat()
    assert first.get_json()["reservation"]["key"] == "a"
    expires_at = datetime.fromisoformat(first.get_json()["reservation"]["expiresAt"])
    assert timedelta(seconds=50) < expires_at - utc_now() <= timedelta(seconds=60)


def test_a_plain_question_sees_held_slots_and_takes_none(
    cadence: FlaskClient, database: BulkDatabase
) -> None:
    reserve(cadence, "a", ALICE)

    plain = reserve(cadence, "", ALICE, BOB, reservation=None)
    body = {"userIds": [str(ALICE), str(BOB)], "layerId": 3, "scheduledFor": NOON.isoformat()}
    plain = cadence.post("/filter-audience", json=body)

    assert eligible(plain) == [BOB]
    assert "reservation" not in plain.get_json()
    assert rows(database) == [(ALICE, 0)]


def test_asked_again_the_verdict_is_the_same_and_nothing_more_is_taken(
    cadence: FlaskClient, database: BulkDatabase
) -> None:
    reserve(cadence, "before", BOB)
    first = reserve(cadence, "a", ALICE, BOB)
    cadence.delete("/reservations/before")

    again = reserve(cadence, "a", BOB, ALICE)

    assert eligible(again) == eligible(first) == [ALICE]
    assert again.get_json()["excluded"] == first.get_json()["excluded"]
    assert rows(database) == [(ALICE, 0)]


def test_a_key_is_for_one_question(cadence: FlaskClient) -> None:
    reserve(cadence, "a", ALICE)

    for other in (
        reserve(cadence, "a", ALICE, BOB),
        reserve(cadence, "a", ALICE, layerId=2),
        reserve(cadence, "a", ALICE, scheduledFor=(NOON + timedelta(hours=1)).isoformat()),
    ):
        assert other.status_code == 409
        assert "reservation.key: 'a' was used before" in other.get_json()["error"]


def test_a_settlement_confirms_who_was_sent_to_and_releases_the_rest(
    cadence: FlaskClient, database: BulkDatabase
) -> None:
    reserve(cadence, "a", ALICE, BOB, CAROL)

    answers = [settle(cadence, "a", sentUserIds=[str(ALICE), str(BOB)]) for _ in range(2)]

    assert [a.status_code for a in answers] == [200, 200]
    first = answers[0].get_json()
    assert (first["recorded"], first["released"], first["late"]) == (2, 1, 0)
    assert rows(database) == [(ALICE, 1), (BOB, 1)]
    assert eligible(reserve(cadence, "b", ALICE, CAROL)) == [CAROL]
    assert reserve(cadence, "a", ALICE, BOB, CAROL).status_code == 409


def test_a_settlement_may_say_who_was_sent_to_in_bytes(
    cadence: FlaskClient, database: BulkDatabase
) -> None:
    reserve(cadence, "a", ALICE, BOB)

    for nonsense in (7, "not base64", b64encode(ALICE.bytes[1:]).decode()):
        assert settle(cadence, "a", sentUserBytes=nonsense).status_code == 400
    settle(cadence, "a", sentUserBytes=b64encode(BOB.bytes + ALICE.bytes).decode())

    assert rows(database) == [(ALICE, 1), (BOB, 1)]


def test_a_settlement_may_name_who_failed_instead(
    cadence: FlaskClient, database: BulkDatabase
) -> None:
    reserve(cadence, "a", ALICE, BOB)

    settle(cadence, "a", failedUserIds=[str(BOB)])

    assert rows(database) == [(ALICE, 1)]


def test_a_settlement_that_says_nothing_or_both_is_refused(cadence: FlaskClient) -> None:
    reserve(cadence, "a", ALICE)

    nobody: list[str] = []
    for who in ({}, {"sentUserIds": nobody, "failedUserIds": nobody}):
        refused = settle(cadence, "a", **who)
        assert refused.status_code == 400
        assert "sentUserBytes or failedUserIds" in refused.get_json()["error"]
    assert settle(cadence, "none", sentUserIds=[]).status_code == 404


def test_notifications_under_a_reservation_take_its_slots(
    cadence: FlaskClient, database: BulkDatabase
) -> None:
    reserve(cadence, "a", ALICE, BOB)
    texts = {"layerId": 3, "pushTitle": "T", "pushBody": "B", "audienceDescription": "A"}
    body = {
        "reservationKey": "a",
        "notifications": [{"userId": str(ALICE), "idempotencyKey": "k", **texts}],
    }

    for _ in range(2):
        assert cadence.post("/track-notification", json=body).status_code == 200

    assert rows(database) == [(ALICE, 1), (BOB, 0)]


def test_what_runs_out_is_free_again_and_what_was_sent_is_recorded_all_the_same(
    cadence: FlaskClient, database: BulkDatabase
) -> None:
    reserve(cadence, "a", ALICE)
    run_out(database, "a")

    assert cadence.get("/reservations/a").get_json()["state"] == "expired"
    assert eligible(reserve(cadence, "b", ALICE)) == [ALICE]
    late = settle(cadence, "a", sentUserIds=[str(ALICE)]).get_json()
    assert (late["recorded"], late["late"]) == (1, 1)
    assert rows(database) == [(ALICE, 0), (ALICE, 1)]


def test_one_that_ran_out_can_be_asked_for_anew(
    cadence: FlaskClient, database: BulkDatabase
) -> None:
    reserve(cadence, "a", ALICE, BOB)
    run_out(database, "a")
    reserve(cadence, "b", BOB)

    assert eligible(reserve(cadence, "a", ALICE, BOB)) == [ALICE]
    assert rows(database) == [(ALICE, 0), (BOB, 0)]


def test_a_long_send_holds_its_slots_longer(cadence: FlaskClient, database: BulkDatabase) -> None:
    reserve(cadence, "a/1", ALICE)

    body = {"key": "a/1", "ttlSeconds": 3_600}
    longer = cadence.post("/extend-reservation", json=body)
    shorter = cadence.post("/extend-reservation", json={"key": "a/1", "ttlSeconds": 1})
    run_out(database, "a/1")
    late = cadence.post("/extend-reservation", json=body)

    expires_at = datetime.fromisoformat(longer.get_json()["expiresAt"])
    assert expires_at - utc_now() > timedelta(minutes=59)
    assert shorter.get_json() == longer.get_json(), "never cut short"
    assert late.status_code == 409
    assert "is expired" in late.get_json()["error"]
    assert cadence.post("/extend-reservation", json={"key": "none"}).status_code == 404


def test_what_was_decided_can_be_asked_later_as_json_and_csv(cadence: FlaskClient) -> None:
    reserve(cadence, "news@1/1/0", BOB)
    reserve(cadence, "news@2/1/0", ALICE, BOB)

    told = cadence.get("/reservations/news@2/1/0").get_json()
    table = cadence.get("/reservations/news@2/1/0", headers={"Accept": "text/csv"}).text

    assert (told["state"], told["layerId"], told["eligibleCount"]) == ("reserved", 3, 1)
    assert (told["rulesVersion"], told["scheduledFor"]) == (1, NOON.isoformat())
    (held,) = told["excluded"]
    (row,) = csv.DictReader(table.splitlines())
    assert row["userId"] == held["userId"] == str(BOB)
    assert row["rule"] == held["rule"] == "layer_3_cooldown_hours"
    assert row["nextEligibleAt"] == held["nextEligibleAt"]
    assert cadence.get("/reservations/none").status_code == 404


def test_a_release_gives_everything_back_and_can_be_repeated(
    cadence: FlaskClient, database: BulkDatabase
) -> None:
    reserve(cadence, "a", ALICE, BOB)

    answers = [cadence.delete("/reservations/a").get_json() for _ in range(2)]

    assert answers == [{"released": 2}, {"released": 0}]
    assert rows(database) == []
    assert cadence.get("/reservations/a").get_json()["state"] == "released"


def test_an_exempt_layer_reserves_without_being_held_back(
    cadence: FlaskClient, database: BulkDatabase
) -> None:
    for key in ("a", "b"):
        assert eligible(reserve(cadence, key, ALICE, layerId=1)) == [ALICE]

    assert rows(database) == [(ALICE, 0), (ALICE, 0)]


def test_without_rules_a_reservation_fails_open_and_still_counts(
    cadence: FlaskClient, database: BulkDatabase
) -> None:
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE cadence_rules SET is_active = false")

    answer = reserve(cadence, "a", ALICE)

    assert answer.get_json()["failedOpen"] is True
    assert eligible(answer) == [ALICE]
    assert rows(database) == [(ALICE, 0)]


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({}, "reservation.key: Missing data"),
        ({"key": ""}, "reservation.key: "),
        ({"key": "a", "ttlSeconds": 0}, "reservation.ttlSeconds: "),
        ({"key": "a", "ttl": 1}, "reservation.ttl: Unknown field."),
        ("a", "reservation: "),
    ],
)
def test_a_wish_that_does_not_fit_is_named(cadence: FlaskClient, wish: object, said: str) -> None:
    refused = reserve(cadence, "", ALICE, reservation=wish)

    assert refused.status_code == 400
    assert said in refused.get_json()["error"]


def test_a_large_audience_is_decided_in_parts_that_agree(
    cadence: FlaskClient, database: BulkDatabase
) -> None:
    users = [UUID(int=n * 2**116 + n) for n in range(1, 4_001)] + [ALICE]
    reserve(cadence, "before", *users[:50])

    answers = [reserve(cadence, "large", *users, explain=False) for _ in range(2)]

    assert [eligible(a) for a in answers] == [users[50:]] * 2
    assert Counter(state for _, state in rows(database)) == {0: len(users)}


def track(cadence: FlaskClient, key: str, *users: UUID, sent_at: datetime = NOON) -> Any:
    """Report sends one by one under a reservation, as an engine does that was interrupted."""
    texts = {"pushTitle": "T", "pushBody": "B", "audienceDescription": "A", "layerId": 3}
    notifications = [
        {
            **texts,
            "userId": str(user),
            "sentAt": sent_at.isoformat(),
            "idempotencyKey": f"run/1/live/{user}",
        }
        for user in users
    ]
    body = {"notifications": notifications, "reservationKey": key}
    return cadence.post("/track-notification", json=body)


LATER = NOON + timedelta(minutes=20)


@pytest.mark.parametrize("sent_at", [NOON, LATER], ids=["on time", "late"])
@pytest.mark.parametrize("is_swept", [False, True], ids=["in time", "after the slots ran out"])
@pytest.mark.parametrize("settles_first", [False, True], ids=["one by one first", "settled first"])
def test_two_engines_that_report_the_same_sends_count_once(
    cadence: FlaskClient,
    database: BulkDatabase,
    settles_first: bool,
    is_swept: bool,
    sent_at: datetime,
) -> None:
    """One engine paused before it reported; another one reported; the first one wakes."""
    reserve(cadence, "a", ALICE, BOB)
    if is_swept:
        run_out(database, "a")
        reserve(cadence, "b", CAROL)
    sent = [str(ALICE), str(BOB)]
    reports = [
        lambda: track(cadence, "a", ALICE, BOB, sent_at=sent_at),
        lambda: settle(cadence, "a", sentUserIds=sent),
    ]
    for report in reversed(reports) if settles_first else reports:
        assert report().status_code == 200
        assert report().status_code == 200

    assert [user for user, kind in rows(database) if kind] == [ALICE, BOB]


def test_a_send_that_the_settlement_did_not_know_counts_when_it_is_reported(
    cadence: FlaskClient, database: BulkDatabase
) -> None:
    reserve(cadence, "a", ALICE, BOB)
    settle(cadence, "a", sentUserIds=[str(ALICE)])

    assert track(cadence, "a", ALICE, BOB).get_json()["recorded"] == 1

    assert [user for user, kind in rows(database) if kind] == [ALICE, BOB]
