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


def test_health_needs_no_token(cadence: FlaskClient) -> None:
    del cadence.environ_base["HTTP_AUTHORIZATION"]

    for path in ("/health", "/api/health"):
        response = cadence.get(path)
        assert response.status_code == 200
        assert response.json
        assert response.json["database"] == "connected"
        assert response.headers["X-Health-Status"] == "healthy"


def test_rules_ask_for_the_admin_and_filters_for_the_service(cadence: FlaskClient) -> None:
    cadence.environ_base["HTTP_AUTHORIZATION"] = "Bearer narrow"

    assert cadence.put("/rules", json={"rules": [RULE]}).status_code == 403
    assert cadence.post("/filter-audience", json={}).status_code == 400
