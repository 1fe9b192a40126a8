"""The route that erases all that is known of a user."""

from datetime import timedelta

from flask.testing import FlaskClient

from chassis.clock import utc_now
from chassis.postgres import BulkDatabase
from tests.erasures import describe_tables, find_in_tables
from tests.people import ALICE, BOB

PATH = f"/users/{ALICE}/history"


def record(cadence: FlaskClient, user: str, **changes: object) -> None:
    sent = {
        "userId": user,
        "layerId": 3,
        "pushTitle": "Hello",
        "pushBody": "There is news.",
        "audienceDescription": "Gardeners",
        "sentAt": (utc_now() - timedelta(days=9)).isoformat(),
        "idempotencyKey": f"of {user}",
        **changes,
    }
    assert cadence.post("/track-notification", json=sent).status_code == 200


def reserve(cadence: FlaskClient, key: str) -> None:
    asked = {
        "userIds": [str(ALICE), str(BOB)],
        "layerId": 3,
        "reservation": {"key": key},
    }
    assert cadence.post("/filter-audience", json=asked).status_code == 200


def test_nothing_of_an_erased_user_is_left_and_all_of_the_others_is(
    cadence: FlaskClient, cadence_database: BulkDatabase
) -> None:
    for user in (ALICE, BOB):
        record(cadence, str(user))
    reserve(cadence, "first")
    reserve(cadence, f"second, for {str(ALICE).upper()}")
    record(cadence, str(BOB), deepLink=f"https://garden.example.com/by/{ALICE}")
    before = describe_tables(cadence_database)

    answer = cadence.delete(PATH)

    after = describe_tables(cadence_database)
    assert answer.get_json() == {"deleted": 4}
    assert find_in_tables(cadence_database, str(ALICE)) == set()
    fewer = {name: before[name] - after[name] for name in before if after[name] < before[name]}
    assert fewer == {
        "held_slots": 1,
        "notification_keys": 1,
        "reservation_exclusions": 1,
        "user_notifications": 1,
    }
    assert "user_notifications" in find_in_tables(cadence_database, str(BOB))


def test_the_record_of_an_erasure_does_not_say_whose_it_was(
    cadence: FlaskClient, cadence_database: BulkDatabase
) -> None:
    record(cadence, str(ALICE))

    first, again = cadence.delete(PATH), cadence.delete(PATH)

    changes = cadence.get("/history-changes").get_json()["changes"]
    assert (first.get_json(), again.get_json()) == ({"deleted": 2}, {"deleted": 0})
    assert [(one["action"], one["asked"]) for one in changes] == [("user_erased", {})] * 2
    assert find_in_tables(cadence_database, str(ALICE)) == set()


def test_two_texts_that_become_equal_stay_two(
    cadence: FlaskClient, cadence_database: BulkDatabase
) -> None:
    for spelled in (str(ALICE), ALICE.hex):
        record(cadence, str(BOB), pushBody=f"For {spelled}", idempotencyKey=spelled)

    assert cadence.delete(PATH).status_code == 200

    assert find_in_tables(cadence_database, str(ALICE)) == set()
    assert describe_tables(cadence_database)["messages"] == 2
