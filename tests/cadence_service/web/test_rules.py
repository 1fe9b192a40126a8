"""Routes about layers and rules."""

from typing import Any

import pytest
from flask.testing import FlaskClient

RULE: dict[str, Any] = {
    "name": "two_a_day",
    "appliesToLayers": [2],
    "countedLayers": [2, 3],
    "windowHours": 24,
    "maxCount": 2,
}


def test_the_seeded_rules_are_listed_in_order_of_precedence(cadence: FlaskClient) -> None:
    answer = cadence.get("/rules").json

    assert answer
    assert answer["version"] == 1
    assert [
        (r["name"], r["appliesToLayers"], r["countedLayers"], r["windowHours"], r["maxCount"])
        for r in answer["rules"]
    ] == [
        ("layer_3_cooldown_hours", [3], [3], 72, 1),
        ("combined_l2_l3_limit_hours", [2, 3], [2, 3], 168, 3),
        ("layer_5_cooldown_hours", [5], [5], 96, 1),
    ]


def test_the_layers_say_which_ones_are_exempt(cadence: FlaskClient) -> None:
    answer = cadence.get("/api/layers").json

    assert answer
    assert {layer["id"]: layer["isExempt"] for layer in answer["layers"]} == {
        1: True,
        2: False,
        3: False,
        4: True,
        5: False,
    }


def test_a_new_set_is_in_force_at_once_and_can_be_sent_back_as_it_was_read(
    cadence: FlaskClient,
) -> None:
    replaced = cadence.put("/rules", json={"rules": [RULE]}).json

    again = cadence.put("/rules", json=cadence.get("/rules").json)

    assert replaced
    assert replaced["version"] > 1
    assert again.status_code == 200
    assert again.json
    assert again.json["rules"] == replaced["rules"]
    one = cadence.get("/rules/two_a_day").json
    assert one
    assert one["maxCount"] == 2
    assert cadence.get("/rules/layer_3_cooldown_hours").status_code == 404


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"maxCount": 0}, "rules[0].maxCount"),
        ({"windowHours": 0}, "rules[0].windowHours"),
        ({"countedLayers": []}, "rules[0].countedLayers"),
        ({"appliesToLayers": [7]}, "rules[0].appliesToLayers[0]: Layers are 1 to 5; 7 is none."),
        ({"name": "no spaces"}, "rules[0].name"),
        ({"window_hours": 3}, "rules[0].window_hours: Unknown field."),
    ],
)
def test_a_rule_that_does_not_fit_changes_nothing(
    cadence: FlaskClient, changes: dict[str, Any], named: str
) -> None:
    response = cadence.put("/rules", json={"rules": [{**RULE, **changes}]})

    assert response.status_code == 400
    assert response.json
    assert named in response.json["error"]
    unchanged = cadence.get("/rules").json
    assert unchanged
    assert unchanged["version"] == 1


def test_a_name_given_twice_is_refused(cadence: FlaskClient) -> None:
    response = cadence.put("/rules", json={"rules": [RULE, RULE]})

    assert response.status_code == 400
    assert response.json
    assert response.json["error"] == "rules: Named twice: two_a_day."


@pytest.mark.parametrize("path", ["/health", "/api/health"])
def test_health_needs_no_token_and_tells_more_with_one(cadence: FlaskClient, path: str) -> None:
    told = cadence.get(path)
    del cadence.environ_base["HTTP_AUTHORIZATION"]

    response = cadence.get(path)

    assert response.status_code == 200
    assert response.json == {"status": "healthy"}
    assert response.headers["X-Health-Status"] == "healthy"
    assert response.headers["Cache-Control"] == "no-store"
    assert cadence.get("/health/ready").json == {"status": "ready"}
    assert told.json
    assert told.json["database"] == "connected"


def test_rules_ask_for_the_admin_and_filters_for_the_service(cadence: FlaskClient) -> None:
    cadence.environ_base["HTTP_AUTHORIZATION"] = "Bearer narrow"

    assert cadence.put("/rules", json={"rules": [RULE]}).status_code == 403
    assert cadence.post("/filter-audience", json={}).status_code == 400


def test_a_rule_is_added_changed_and_removed_each_a_new_version(cadence: FlaskClient) -> None:
    added = cadence.post("/rules", json=RULE)
    changed = cadence.put("/rules/two_a_day", json={**RULE, "maxCount": 5})
    read = cadence.get("/rules/two_a_day").get_json()
    removed = cadence.delete("/rules/two_a_day")

    assert (added.status_code, changed.status_code, removed.status_code) == (201, 200, 200)
    versions = [a.get_json()["version"] for a in (added, changed, removed)]
    assert versions == sorted(set(versions))
    assert added.headers["ETag"] == f'"{versions[0]}"'
    assert read["maxCount"] == 5
    assert [r["name"] for r in changed.get_json()["rules"]][-1] == "two_a_day"
    assert cadence.get("/rules/two_a_day").status_code == 404
    early = cadence.get(f"/rules?version={versions[0]}").get_json()
    assert early["rules"][-1]["maxCount"] == 2
    assert cadence.get("/rules?version=999999").status_code == 404


def test_the_audit_trail_says_who_changed_what_from_what_to_what(cadence: FlaskClient) -> None:
    cadence.post("/rules?changedBy=mia&note=spring", json=RULE)
    cadence.put("/rules/two_a_day?changedBy=leo", json={**RULE, "maxCount": 5})
    cadence.put("/layers/2?changedBy=mia&note=moment", json={"isExempt": True})

    layer, changed, added = cadence.get("/rules/history").get_json()["changes"]

    assert (added["action"], added["subject"], added["changedBy"], added["note"]) == (
        "rule_added",
        "two_a_day",
        "mia",
        "spring",
    )
    assert added["before"] == []
    assert (changed["before"][0]["maxCount"], changed["after"][0]["maxCount"]) == (2, 5)
    assert (layer["action"], layer["subject"]) == ("layer_changed", "2")
    assert (layer["before"]["is_exempt"], layer["after"]["is_exempt"]) == (False, True)
    second = cadence.get(f"/rules/history?limit=1&before={changed['id']}").get_json()["changes"]
    assert [change["id"] for change in second] == [added["id"]]
    assert {change["caller"] for change in (layer, changed, added)} == {"admin"}


def test_an_exempt_layer_is_held_back_by_no_rule(cadence: FlaskClient) -> None:
    sent = {
        "userId": "a11ce000-0000-4000-8000-000000000001",
        "layerId": 3,
        "pushTitle": "T",
        "pushBody": "B",
        "audienceDescription": "A",
    }
    cadence.post("/track-notification", json=sent)
    question = {"userIds": [sent["userId"]], "layerId": 3}

    before = cadence.post("/filter-audience", json=question).get_json()["excludedCount"]
    cadence.put("/layers/3", json={"isExempt": True})
    after = cadence.post("/filter-audience", json=question).get_json()["excludedCount"]

    assert (before, after) == (1, 0)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("POST", "/rules", {**RULE, "name": "layer_5_cooldown_hours"}, 409, "already"),
        ("POST", "/rules", {**RULE, "windowHours": 0}, 400, "windowHours: "),
        ("PUT", "/rules/none", RULE, 400, "name: A rule keeps its name"),
        ("PUT", "/rules/two_a_day", RULE, 404, "There is no rule 'two_a_day'"),
        ("DELETE", "/rules/none", None, 404, "There is no rule 'none'"),
        ("PUT", "/layers/9", {"isExempt": True}, 404, "There is no layer 9"),
        ("PUT", "/layers/3", {"exempt": True}, 400, "exempt: Unknown field."),
        ("PUT", "/layers/3", {"name": "Test"}, 409, "name: another layer is called 'Test'"),
        ("PUT", "/layers/3", {"name": "a\x00b"}, 400, "NUL"),
        ("POST", "/rules", {**RULE, "windowHours": 1e-9}, 400, "windowHours: A window lasts"),
        ("POST", "/rules?note=a%00b", RULE, 400, "NUL"),
        ("GET", f"/imports/{2**70}", None, 400, "bigint out of range"),
        ("DELETE", f"/imports/{2**70}", None, 400, "bigint out of range"),
    ],
)
def test_a_change_that_does_not_fit_says_why_and_changes_nothing(
    cadence: FlaskClient, method: str, path: str, body: object, status: int, said: str
) -> None:
    before = cadence.get("/rules").get_json()

    refused = cadence.open(path, method=method, json=body)

    assert refused.status_code == status
    assert said in refused.get_json()["error"]
    assert cadence.get("/rules").get_json() == before
    assert cadence.get("/rules/history").get_json()["changes"] == []


def test_a_stale_if_match_changes_nothing(cadence: FlaskClient) -> None:
    version = cadence.get("/rules").headers["ETag"]
    cadence.post("/rules", json=RULE, headers={"If-Match": version})

    stale = cadence.delete("/rules/two_a_day", headers={"If-Match": version})

    assert stale.status_code == 412
    assert cadence.get("/rules/two_a_day").status_code == 200
