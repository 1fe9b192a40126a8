"""Forecasts and simulations, against the pure rules."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cadence_service.adapters.rule_table import select_rule_set
from cadence_service.domain.cadence import (
    CadenceRule,
    Send,
    find_breach,
    find_rules,
    find_stretches,
    replay,
)
from chassis.clock import utc_now
from chassis.postgres import BulkDatabase
from tests.people import ALICE, BOB, CAROL

NOON = utc_now().replace(microsecond=0)
HOUR = timedelta(hours=1)


def record(cadence: FlaskClient, user_id: UUID, layer: int, at: datetime) -> None:
    body = {
        "userId": str(user_id),
        "layerId": layer,
        "sentAt": at.isoformat(),
        "pushTitle": "T",
        "pushBody": "B",
        "audienceDescription": "A",
    }
    assert cadence.post("/track-notification", json=body).status_code == 200


def forecast(cadence: FlaskClient, *user_ids: object, **more: Any) -> dict[str, Any]:
    body = {
        "userIds": [str(u) for u in user_ids],
        "layerId": 3,
        "from": NOON.isoformat(),
        **more,
    }
    response = cadence.post("/forecast", json=body)
    assert response.status_code == 200, response.json
    answer: dict[str, Any] = response.get_json()
    return answer


def test_the_reach_grows_as_windows_end(cadence: FlaskClient) -> None:
    record(cadence, ALICE, 3, NOON - 70 * HOUR)
    record(cadence, BOB, 3, NOON - 71.5 * HOUR)

    answer = forecast(cadence, ALICE, BOB, CAROL, "nobody", hours=4)

    assert (answer["askedCount"], answer["invalidUuid"]) == (4, 1)
    assert [point["eligible"] for point in answer["reach"]] == [1, 2, 3, 3, 3]
    assert answer["reach"][0]["exclusionBreakdown"]["layer_3_cooldown_hours"] == 2
    assert answer["reach"][1]["at"] == (NOON + HOUR).isoformat()


def test_what_a_running_reservation_holds_is_not_in_reach(cadence: FlaskClient) -> None:
    body = {
        "userIds": [str(ALICE)],
        "layerId": 3,
        "scheduledFor": (NOON + 100 * HOUR).isoformat(),
        "reservation": {"key": "later"},
    }
    cadence.post("/filter-audience", json=body)

    reach = [point["eligible"] for point in forecast(cadence, ALICE)["reach"]]

    assert len(reach) == 169
    assert reach[:29] == [1] * 29, "a send now leaves 72 hours before the reserved one"
    assert reach[29:] == [0] * 140


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    history=st.lists(
        st.tuples(
            st.sampled_from([2, 3]),
            st.integers(-400, 400).map(lambda quarter: timedelta(minutes=15 * quarter)),
        ),
        max_size=6,
    )
)
def test_stretches_are_the_rule_at_every_instant(
    database: BulkDatabase, history: list[tuple[int, timedelta]]
) -> None:
    with database.transaction() as connection:
        rule_set = select_rule_set(connection)
    assert rule_set
    rules = find_rules(rule_set.rules, 3)
    sends = [Send(layer, NOON + offset) for layer, offset in history]

    stretches = find_stretches(rules, sends, NOON, NOON + 100 * HOUR)

    for quarter in range(400):
        at = NOON + quarter * HOUR / 4
        standing = [s for s in stretches if s.start <= at][-1]
        breach = find_breach(rules, sends, at)
        assert standing.rule == (breach.rule.name if breach else None)


def test_a_forecast_that_does_not_fit_is_named(cadence: FlaskClient) -> None:
    refused = cadence.post("/forecast", json={"userIds": [], "layerId": 6, "hours": -1})

    assert refused.status_code == 400
    fields = {line.partition(":")[0] for line in refused.get_json()["errors"]}
    assert fields == {"userIds", "layerId", "hours"}


def forecast_pushes(cadence: FlaskClient, *pushes: tuple[int, timedelta]) -> list[Any]:
    body = {
        "userIds": [str(ALICE), str(BOB), str(CAROL), "nobody"],
        "pushes": [
            {"layerId": layer, "scheduledFor": (NOON + after).isoformat()}
            for layer, after in pushes
        ],
    }
    response = cadence.post("/forecast-pushes", json=body)
    assert response.status_code == 200, response.json
    found: list[Any] = response.get_json()["pushes"]
    return found


def test_a_push_counts_those_before_it_for_whoever_gets_them(cadence: FlaskClient) -> None:
    record(cadence, ALICE, 3, NOON - 10 * HOUR)

    first, early, exempt, late = forecast_pushes(
        cadence, (3, 0 * HOUR), (3, 1 * HOUR), (1, 2 * HOUR), (3, 62 * HOUR)
    )

    cooldown = "layer_3_cooldown_hours"
    assert (first["eligible"], first["exclusionBreakdown"][cooldown]) == (2, 1)
    assert (early["eligible"], early["exclusionBreakdown"][cooldown]) == (0, 3)
    assert (exempt["eligible"], exempt["excludedCount"]) == (3, 1)
    assert (late["eligible"], late["exclusionBreakdown"]["invalidUuid"]) == (1, 1)
    assert not any(push["failedOpen"] for push in (first, early, exempt, late))


def test_pushes_that_nothing_checks_are_forecast_as_open(
    cadence: FlaskClient, database: BulkDatabase
) -> None:
    with database.transaction() as connection:
        connection.execute("UPDATE cadence_rules SET is_active = false")

    checked, exempt = forecast_pushes(cadence, (3, 0 * HOUR), (1, 0 * HOUR))

    assert (checked["eligible"], checked["failedOpen"]) == (3, True)
    assert "layer 3" in checked["failOpenReason"]
    assert (exempt["failedOpen"], exempt["failOpenReason"]) == (False, None)


@pytest.mark.slow
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    history=st.lists(
        st.tuples(
            st.sampled_from([ALICE, BOB]),
            st.sampled_from([1, 2, 3, 5]),
            st.integers(-200, 200).map(lambda hours: timedelta(hours=hours)),
        ),
        max_size=10,
    ),
    layer=st.sampled_from([2, 3, 5]),
)
def test_one_push_is_forecast_as_the_filter_would_judge_it(
    cadence: FlaskClient,
    database: BulkDatabase,
    history: list[tuple[UUID, int, timedelta]],
    layer: int,
) -> None:
    with database.transaction() as connection:
        connection.execute("TRUNCATE user_notifications")
    for user_id, sent_on, offset in history:
        record(cadence, user_id, sent_on, NOON + offset)

    (push,) = forecast_pushes(cadence, (layer, 0 * HOUR))

    body = {"userIds": [str(ALICE), str(BOB), str(CAROL), "nobody"], "layerId": layer}
    filtered = cadence.post(
        "/filter-audience", json={**body, "scheduledFor": NOON.isoformat()}
    ).get_json()
    assert push["eligible"] == len(filtered["eligibleUserIds"])
    assert push["excludedCount"] == filtered["excludedCount"]
    by_rule = {rule: n for rule, n in filtered["exclusionBreakdown"].items() if n}
    assert {rule: n for rule, n in push["exclusionBreakdown"].items() if n} == by_rule


def simulate(cadence: FlaskClient, *rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    body = {"rules": list(rules), "until": (NOON + HOUR).isoformat(), **more}
    response = cadence.post("/simulate", json=body)
    assert response.status_code == 200, response.json
    answer: dict[str, Any] = response.get_json()
    return answer


def a_rule(name: str, layers: list[int], hours: float, most: int) -> dict[str, Any]:
    return {
        "name": name,
        "appliesToLayers": layers,
        "countedLayers": layers,
        "windowHours": hours,
        "maxCount": most,
    }


def test_a_simulation_tells_what_other_rules_would_have_held_back(cadence: FlaskClient) -> None:
    for hours_ago in (0, 10, 20, 30):
        record(cadence, ALICE, 2, NOON - hours_ago * HOUR)
    record(cadence, BOB, 2, NOON)
    record(cadence, BOB, 1, NOON + HOUR / 2)

    answer = simulate(cadence, a_rule("one_a_day", [1, 2], 24, 1))

    assert answer["total"] == {"allowed": 4, "heldBack": 2}
    assert answer["byRule"] == {"one_a_day": 2}
    assert answer["byLayer"] == {
        "1": {"allowed": 1, "heldBack": 0},
        "2": {"allowed": 3, "heldBack": 2},
    }
    assert sum(day["heldBack"] for day in answer["byDay"].values()) == 2
    assert (answer["users"], answer["usersAffected"]) == (2, 1)


def test_what_happened_before_the_span_counts_and_is_not_judged(cadence: FlaskClient) -> None:
    record(cadence, ALICE, 2, NOON - 30 * HOUR)
    record(cadence, ALICE, 2, NOON - 20 * HOUR)

    answer = simulate(
        cadence, a_rule("one", [2], 24, 1), **{"from": (NOON - 24 * HOUR).isoformat()}
    )

    assert answer["total"] == {"allowed": 0, "heldBack": 1}


def test_no_rules_hold_nobody_back_and_a_share_is_always_the_same(cadence: FlaskClient) -> None:
    for number in range(60):
        record(cadence, UUID(int=number), 3, NOON)

    whole = simulate(cadence)
    halves = [simulate(cadence, shareOfUsers=0.5) for _ in range(2)]

    assert whole["total"] == {"allowed": 60, "heldBack": 0}
    assert halves[0] == halves[1]
    assert 10 < halves[0]["users"] < 50


def test_a_span_that_ends_before_it_begins_is_refused(cadence: FlaskClient) -> None:
    body = {"rules": [], "from": (NOON + 2 * HOUR).isoformat(), "until": NOON.isoformat()}

    refused = cadence.post("/simulate", json=body)

    assert refused.status_code == 400
    assert "from: " in refused.get_json()["error"]


def test_what_is_held_back_uses_up_nothing() -> None:
    rule = CadenceRule(
        name="pause",
        applies_to_layers=frozenset({3}),
        counted_layers=frozenset({3}),
        window=timedelta(hours=24),
        max_count=1,
    )
    sends = [Send(3, NOON + n * 16 * HOUR) for n in range(4)]

    assert replay([rule], [1, 4], [], sends) == [None, "pause", None, "pause"]
