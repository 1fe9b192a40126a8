"""POST /track-notification, over a real PostgreSQL."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from chassis.postgres import BulkDatabase
from tests.people import ALICE, BOB


def notification(**changes: Any) -> dict[str, Any]:
    return {
        "userId": str(ALICE),
        "layerId": 3,
        "pushTitle": "Title",
        "pushBody": "Body",
        "audienceDescription": "Everybody",
        **changes,
    }


def rows(database: BulkDatabase, sql: str) -> list[tuple[Any, ...]]:
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def test_one_notification_is_remembered_with_its_texts_and_instants(
    cadence: FlaskClient, database: BulkDatabase
) -> None:
    sent = notification(
        deepLink="https://example.com",
        sentAt="2026-11-24T12:30:00Z",
        actuallySentAt="2026-11-24T12:30:04Z",
    )

    response = cadence.post("/track-notification", json=sent)

    assert response.status_code == 200
    assert response.json
    assert response.json["recorded"] == 1
    assert rows(
        database,
        "SELECT user_id, layer_id, sent_at::text, push_title, push_body, audience_description,"
        " deep_link FROM notification_history",
    ) == [(ALICE, 3, "2026-11-24 12:30:00+00", "Title", "Body", "Everybody", "https://example.com")]
    assert rows(database, "SELECT actually_sent_at::text, rule_set FROM user_notifications") == [
        ("2026-11-24 12:30:04+00", 1)
    ]


def test_the_same_key_twice_counts_once_whatever_else_changed(
    cadence: FlaskClient, database: BulkDatabase
) -> None:
    first = notification(idempotencyKey="k", sentAt="2026-11-24T12:30:00Z")
    again = notification(idempotencyKey="k", sentAt="2026-11-24T13:00:00Z")

    answers = [cadence.post("/track-notification", json=body).json for body in (first, again)]

    assert [(a["recorded"], a["duplicates"]) for a in answers if a] == [(1, 0), (0, 1)]
    assert len(rows(database, "SELECT 1 FROM user_notifications")) == 1


def test_many_are_recorded_at_once_and_a_key_counts_once_among_them(
    cadence: FlaskClient, database: BulkDatabase
) -> None:
    many = [
        notification(idempotencyKey="a"),
        notification(idempotencyKey="a"),
        notification(userId=str(BOB), idempotencyKey="a"),
        notification(),
        notification(),
    ]

    answer = cadence.post("/track-notification", json={"notifications": many}).json

    assert answer
    assert (answer["recorded"], answer["duplicates"]) == (4, 1)
    assert len(rows(database, "SELECT 1 FROM messages")) == 1


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"userId": "nobody"}, "notifications[1].userId: Not a valid UUID."),
        ({"layerId": 9}, "notifications[1].layerId: Layers are 1 to 5; 9 is none."),
        ({"pushTitle": ""}, "notifications[1].pushTitle"),
        ({"sentAt": "yesterday"}, "notifications[1].sentAt"),
        ({"sentAt": "2026-11-24T12:30:00"}, "notifications[1].sentAt"),
    ],
)
def test_one_bad_notification_refuses_all_and_is_named(
    cadence: FlaskClient, database: BulkDatabase, changes: dict[str, Any], named: str
) -> None:
    body = {"notifications": [notification(), notification(**changes)]}

    response = cadence.post("/track-notification", json=body)

    assert response.status_code == 400
    assert response.json
    assert named in response.json["error"]
    assert rows(database, "SELECT 1 FROM user_notifications") == []


@pytest.mark.parametrize("missing", sorted(notification()))
def test_a_missing_field_is_named(cadence: FlaskClient, missing: str) -> None:
    body = {name: value for name, value in notification().items() if name != missing}

    response = cadence.post("/api/track-notification", json=body)

    assert response.status_code == 400
    assert response.json
    assert response.json["error"] == f"{missing}: Missing data for required field."


def test_an_old_or_far_notification_finds_a_place_too(
    cadence: FlaskClient, database: BulkDatabase
) -> None:
    for at in ("2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"):
        assert cadence.post("/track-notification", json=notification(sentAt=at)).status_code == 200

    assert len(rows(database, "SELECT 1 FROM user_notifications_strays")) == 2
