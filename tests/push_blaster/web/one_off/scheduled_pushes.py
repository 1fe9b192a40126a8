"""Pushes that are scheduled over HTTP."""

from datetime import timedelta
from typing import Any

from flask.testing import FlaskClient

from chassis.clock import utc_now
from tests.people import ALICE

SCHEDULED_PUSHES = "/api/scheduled-pushes"
ALICE_ONLY = {"filters": {}, "manualUserIds": [str(ALICE)]}


def instant(hours: float = 2) -> str:
    return (utc_now() + timedelta(hours=hours)).isoformat()


def a_push(**changes: Any) -> dict[str, Any]:
    return {
        "scheduledFor": instant(),
        "title": "Hello",
        "body": "There is news.",
        "deepLink": "https://example.com/news",
        "audienceCriteria": ALICE_ONLY,
        "audienceDescription": "Alice",
        **changes,
    }


def scheduled(client: FlaskClient, **changes: Any) -> dict[str, Any]:
    response = client.post(SCHEDULED_PUSHES, json=a_push(**changes))
    assert response.status_code == 200, response.json
    push: dict[str, Any] = response.get_json()["scheduledPush"]
    return push
