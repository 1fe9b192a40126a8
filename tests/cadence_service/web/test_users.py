"""GET /users/<id>/cadence."""

from datetime import timedelta

from flask.testing import FlaskClient

from chassis.clock import utc_now
from chassis.postgres import BulkDatabase
from tests.people import ALICE

NOON = utc_now().replace(microsecond=0)
TEXTS = {"pushTitle": "T", "pushBody": "B", "audienceDescription": "A"}


def standing(cadence: FlaskClient) -> dict[int, dict[str, object]]:
    answer = cadence.get(f"/users/{ALICE}/cadence", query_string={"at": NOON.isoformat()})
    assert answer.status_code == 200
    return {layer["layerId"]: layer for layer in answer.get_json()["layers"]}


def test_a_user_without_history_may_get_everything(cadence: FlaskClient) -> None:
    layers = standing(cadence)

    assert sorted(layers) == [1, 2, 3, 4, 5]
    assert all(layer["eligible"] for layer in layers.values())


def test_each_layer_says_which_rule_holds_and_until_when(cadence: FlaskClient) -> None:
    times = [NOON - timedelta(hours=hours) for hours in (1, 30, 60)]
    for layer, at in zip((3, 2, 2), times, strict=True):
        body = {"userId": str(ALICE), "layerId": layer, "sentAt": at.isoformat(), **TEXTS}
        cadence.post("/track-notification", json=body)

    layers = standing(cadence)

    assert {n: layer["rule"] for n, layer in layers.items()} == {
        1: None,
        2: "combined_l2_l3_limit_hours",
        3: "layer_3_cooldown_hours",
        4: None,
        5: None,
    }
    assert layers[2]["countedSends"] == sorted(at.isoformat() for at in times)
    assert layers[2]["nextEligibleAt"] == (times[2] + timedelta(hours=168)).isoformat()
    assert layers[3]["nextEligibleAt"] == (times[2] + timedelta(hours=168)).isoformat()


def test_a_layer_that_nobody_checks_says_so(cadence: FlaskClient, database: BulkDatabase) -> None:
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE cadence_rules SET is_active = false WHERE 5 = ANY(counted_layers)")

    layers = standing(cadence)

    assert layers[5]["eligible"] is True
    assert "no active cadence rule" in str(layers[5]["failOpenReason"])
    assert layers[3]["failOpenReason"] is None


def test_an_id_that_is_none_is_not_found(cadence: FlaskClient) -> None:
    assert cadence.get("/users/alice/cadence").status_code == 404
