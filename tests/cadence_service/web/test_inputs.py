"""Input that looks right and is not: refused by name, never a crash."""

import time
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.cadence_service.replicas import spread_users
from tests.people import ALICE

RULE = {
    "name": "cap",
    "appliesToLayers": [3],
    "countedLayers": [3],
    "windowHours": 72,
    "maxCount": 1,
}
LOG = {
    "title": "T",
    "timestamp": "2026-11-24T12:00:00Z",
    "status": "completed",
    "totalCount": 100,
    "deepLink": "https://garden.example.com",
}
ASKED = {"userIds": [str(ALICE)], "layerId": 3}
NOTIFICATION = {
    "userId": str(ALICE),
    "layerId": 3,
    "pushTitle": "T",
    "pushBody": "B",
    "audienceDescription": "A",
}
RULES, LAYER, FILTER, TRACK = "/rules", "/layers/3", "/filter-audience", "/track-notification"
MATCH, LINKS = "/find-matching-logs", "/update-deep-links"


def logs(**changes: Any) -> dict[str, Any]:
    return {"trackResultsLogs": [{**LOG, **changes}]}


@pytest.mark.parametrize(
    ("method", "path", "body", "said"),
    [
        ("POST", RULES, {**RULE, "name": "invalidUuid"}, "name: 'invalidUuid' has another meaning"),
        ("POST", RULES, {**RULE, "name": "history"}, "name: 'history' has another meaning"),
        ("POST", RULES, {**RULE, "name": "cap\n"}, "name: A name has no line break"),
        ("PUT", RULES, {"rules": [{**RULE, "name": "cap\n"}]}, "rules[0].name: "),
        ("PUT", RULES, {"rules": [{**RULE, "name": "invalidUuid"}]}, "rules[0].name: "),
        ("POST", RULES, {**RULE, "windowHours": "72"}, "windowHours: Send a number"),
        ("POST", RULES, {**RULE, "windowHours": True}, "windowHours: Not a valid number"),
        ("POST", RULES, {**RULE, "maxCount": "1"}, "maxCount: Not a valid integer"),
        ("POST", RULES, {**RULE, "isActive": "yes"}, "isActive: Send true or false"),
        ("POST", RULES, {**RULE, "isActive": 1}, "isActive: Send true or false"),
        ("POST", "/simulate", {"rules": [RULE], "shareOfUsers": "1"}, "shareOfUsers: "),
        ("PUT", LAYER, {"name": "   "}, "name: A name has no blanks around it"),
        ("PUT", LAYER, {"name": " Layer"}, "name: A name has no blanks around it"),
        ("PUT", LAYER, {"name": "Layer\nthree"}, "name: A name has no blanks around it"),
        ("PUT", LAYER, {"isExempt": "yes"}, "isExempt: Send true or false"),
        ("POST", FILTER, {**ASKED, "explain": "yes"}, "explain: Send true or false"),
        (
            "POST",
            FILTER,
            {**ASKED, "reservation": {"key": "k", "ttlSeconds": "60"}},
            "reservation.ttlSeconds: Send a number",
        ),
        ("POST", TRACK, {**NOTIFICATION, "deepLink": "x" * 10_000_000}, "deepLink: Longer than"),
        (
            "POST",
            TRACK,
            {"notifications": [{**NOTIFICATION, "deepLink": "x" * 4_001}]},
            "notifications[0].deepLink: Longer than",
        ),
        (
            "POST",
            MATCH,
            {**logs(totalCount="5"), "csvAudienceSize": 5},
            "trackResultsLogs[0].totalCount: Not a valid integer",
        ),
        (
            "POST",
            MATCH,
            {**logs(audienceSize=[5]), "csvAudienceSize": 5},
            "trackResultsLogs[0].audienceSize: Not a valid integer",
        ),
        ("POST", MATCH, {**logs(), "csvAudienceSize": "5"}, "csvAudienceSize: Not a valid integer"),
        ("POST", LINKS, {"trackResultsLogs": [[]]}, "trackResultsLogs[0]: Not a valid mapping"),
        ("POST", LINKS, logs(deepLink=["x"]), "trackResultsLogs[0].deepLink: Not a valid string"),
        ("POST", LINKS, logs(title=7), "trackResultsLogs[0].title: Not a valid string"),
        (
            "POST",
            LINKS,
            logs(timestamp="9999-12-31T23:59:59Z"),
            "trackResultsLogs[0].timestamp: Instants lie between 1970 and 2200",
        ),
        ("POST", LINKS, logs(timestamp="0001-01-01T00:00:00"), "trackResultsLogs[0].timestamp: "),
    ],
)
def test_what_does_not_fit_is_refused_by_name(
    cadence: FlaskClient, method: str, path: str, body: dict[str, Any], said: str
) -> None:
    refused = cadence.open(path, method=method, json=body)

    assert refused.status_code == 400, refused.get_json()
    assert said in refused.get_json()["error"]


def test_there_may_be_so_many_rules_and_no_more(cadence: FlaskClient) -> None:
    rules = [{**RULE, "name": f"cap{number}"} for number in range(201)]

    too_many = cadence.put(RULES, json={"rules": rules})
    enough = cadence.put(RULES, json={"rules": rules[:200]})
    one_more = cadence.post(RULES, json=rules[200])

    assert "rules: At most 200 rules may be in force." in too_many.get_json()["error"]
    assert enough.status_code == 200
    assert (one_more.status_code, one_more.get_json()["title"]) == (409, "Too many rules")
    assert "remove one first" in one_more.get_json()["error"]


@pytest.mark.slow
@pytest.mark.parametrize("reservation", [None, {"key": "k"}], ids=["filter", "reserve"])
def test_a_check_with_the_most_rules_stays_quick(
    cadence: FlaskClient, reservation: dict[str, str] | None
) -> None:
    rules = [{**RULE, "name": f"cap{n}", "windowHours": n + 1} for n in range(200)]
    users = [str(user) for user in spread_users(5_000)]
    assert cadence.put(RULES, json={"rules": rules}).status_code == 200
    sent = [{**NOTIFICATION, "userId": user} for user in users[:500]]
    assert cadence.post(TRACK, json={"notifications": sent}).status_code == 200

    begun = time.monotonic()
    body = {"userIds": users, "layerId": 3, "reservation": reservation}
    answer = cadence.post(FILTER, json=body).get_json()

    assert time.monotonic() - begun < 5
    assert (len(answer["eligibleUserIds"]), answer["excludedCount"]) == (4_500, 500)


@pytest.mark.parametrize("path", [FILTER, TRACK, RULES, MATCH, "/restore-historical-data"])
def test_another_content_type_is_named(cadence: FlaskClient, path: str) -> None:
    refused = cadence.post(path, data="{}", content_type="text/plain")

    assert refused.status_code == 415
    assert "application/json" in refused.text or "multipart/form-data" in refused.text


def test_a_rule_and_a_layer_of_a_plain_name_are_taken(cadence: FlaskClient) -> None:
    assert cadence.post(RULES, json=RULE).status_code == 201
    assert cadence.put(LAYER, json={"name": "Verhalten 3"}).status_code == 200
