"""The calendar as page and route: weeks, layers, paused ones, collisions, and very many of them."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from chassis.clock import utc_now
from tests.push_blaster.web.page_support import Visitor
from tests.push_blaster.web.recipes import create

#: The Monday of the week after next.
MONDAY = utc_now().date() + timedelta(days=14 - utc_now().weekday())
WEEK = f"/calendar?from={MONDAY}"


def weekly(client: FlaskClient, name: str, *days: int, layer: int = 3, **changes: Any) -> None:
    schedule = {"timezone": "UTC", "frequency": "weekly", "executionTime": "12:30"}
    create(
        client,
        id=name.lower(),
        name=name,
        schedule={**schedule, "daysOfWeek": list(days), **changes.pop("schedule", {})},
        pushSequence=[{"title": "T", "body": "B", "layerId": layer}],
        **{"status": "active", "isActive": True, **changes},
    )


@pytest.fixture
def planned(app_beside_cadence: Flask, app: Flask, cadence_service: str) -> Visitor:
    return Visitor(app_beside_cadence, "viewer")


def items(planned: Visitor, query: str = "") -> list[dict[str, Any]]:
    answer = planned.client.get(f"/api/calendar?from={MONDAY}{query}")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.get_json()["items"]
    return found


def test_a_week_shows_each_push_on_its_day_under_its_layer(
    planned: Visitor, client: FlaskClient
) -> None:
    weekly(client, "News", 1, 3)
    weekly(client, "Sale", 1, layer=2)

    page = planned.get(WEEK)

    assert page.count(">News</a>") == 2
    assert page.count(">Sale</a>") == 1
    assert "3 · Behaviour-responsive" in page
    assert page.index("2 · Product") < page.index("3 · Behaviour")
    assert [(one["automationId"], one["at"][:10]) for one in items(planned)] == [
        ("news", f"{MONDAY}"),
        ("sale", f"{MONDAY}"),
        ("news", f"{MONDAY + timedelta(days=2)}"),
    ]


def test_weeks_follow_each_other_by_links_and_none_lies_before_this_week(
    planned: Visitor, client: FlaskClient
) -> None:
    weekly(client, "News", 1)
    page, now = planned.get(WEEK), planned.get("/calendar")

    assert f'href="/calendar?from={MONDAY - timedelta(days=7)}"' in page
    assert f'href="/calendar?from={MONDAY + timedelta(days=7)}"' in page
    assert "Week before" not in now
    assert planned.get(f"/calendar?from={MONDAY + timedelta(days=3)}").count("News") == 1
    for day in ("x", "0001-01-01", "9999-12-31"):
        assert planned.client.get(f"/calendar?from={day}").status_code == 404
        assert planned.client.get(f"/calendar/{day}").status_code == 404
        assert planned.client.get(f"/api/calendar?from={day}").status_code in {400, 422}


def test_paused_ones_are_shown_on_request_and_collide_with_nothing(
    planned: Visitor, client: FlaskClient
) -> None:
    weekly(client, "News", 1)
    weekly(client, "Rests", 1, status="paused")
    weekly(client, "Sketch", 1, status="draft", isActive=False)

    usual, all_of_them = planned.get(WEEK), planned.get(f"{WEEK}&paused=1")

    assert ">Rests</a>" not in usual
    assert ">Rests</a>" in all_of_them
    assert ">paused</span>" in all_of_them
    assert "Sketch" not in all_of_them
    assert "collision" not in all_of_them.replace("/collisions", "")
    assert [one["isPaused"] for one in items(planned, "&paused=true")] == [False, True]
    assert [one["isPaused"] for one in items(planned)] == [False]


def test_a_collision_says_what_the_rules_will_do(planned: Visitor, client: FlaskClient) -> None:
    weekly(client, "News", 1)
    weekly(client, "Sale", 1, schedule={"executionTime": "15:00"})

    page = planned.get(WEEK)
    answer = planned.client.get(f"/api/calendar?from={MONDAY}").get_json()

    assert "1 collision<" in page
    assert "gets News (12:30). The person does not get Sale (15:00): capped by the rule" in page
    (collision,) = answer["collisions"]
    assert collision["automationIds"] == ["news", "sale"]
    assert (collision["day"], collision["layerIds"]) == (f"{MONDAY}", [3])
    assert all(message in page for message in collision["messages"])


def test_a_cancelled_slot_is_not_planned_any_more_and_one_that_passed_is_not_shown(
    planned: Visitor, client: FlaskClient
) -> None:
    weekly(client, "News", *range(7), schedule={"executionTime": "00:00"})
    today = utc_now().date()

    found = planned.client.get(f"/api/calendar?from={today}&days=1").get_json()["items"]

    assert found == [], "midnight is over"
    assert planned.get("/calendar").count(">News</a>") == 6 - today.weekday()


def test_without_cadence_the_plan_is_there_and_says_that_collisions_are_unknown(
    viewer: Visitor, client: FlaskClient
) -> None:
    weekly(client, "News", 1)
    weekly(client, "Sale", 1)

    page = viewer.get(WEEK)

    assert ">News</a>" in page
    assert "The cadence rules cannot be read, so collisions are unknown" in page


def test_an_edit_and_a_removal_are_seen_at_once(planned: Visitor, client: FlaskClient) -> None:
    weekly(client, "News", 1)
    assert len(items(planned)) == 1

    schedule = {"timezone": "UTC", "frequency": "daily", "executionTime": "12:30"}
    client.put("/api/automation/recipes/news", json={"schedule": schedule})
    daily = len(items(planned))
    client.delete("/api/automation/recipes/news")

    assert daily == 7
    assert items(planned) == []


def test_pages_of_the_route_follow_by_cursor_and_leave_nothing_out(
    planned: Visitor, client: FlaskClient
) -> None:
    for name in ("a", "a-b", "a.b", "b"):
        weekly(client, name, 1, 2)
    found, cursor = [], ""
    for _ in range(4):
        path = f"/api/calendar?from={MONDAY}&limit=3{cursor}"
        answer = planned.client.get(path).get_json()
        found += [(one["automationId"], one["at"]) for one in answer["items"]]
        if answer["nextCursor"] is None:
            break
        cursor = f"&cursor={answer['nextCursor']}"

    assert len(found) == len(set(found)) == 8


def test_a_busy_day_names_a_few_and_links_to_all(planned: Visitor, client: FlaskClient) -> None:
    for number in range(8):
        weekly(client, f"Many{number}", 1)
    weekly(client, "Often", 2, schedule={"frequency": "custom", "cronExpression": "0 * * * *"})

    page = planned.get(WEEK)
    day = planned.get(f"/calendar/{MONDAY}?layer=3")

    assert "4 more automations" in page
    assert "and 23 more" in page
    assert sum(f">Many{number}</a>" in day for number in range(8)) == 8
    assert planned.get(f"/calendar/{MONDAY}?layer=2").count("No push is planned on this day.") == 1
    assert "1 to 100 of" not in day


def test_an_empty_week_and_a_broken_file_are_told(planned: Visitor, tmp_path: Path) -> None:
    (tmp_path / "automations" / "torn.json").write_text("{")

    assert "No push is planned in this week." in planned.get(WEEK)


def test_a_zone_of_the_route_moves_the_days(planned: Visitor, client: FlaskClient) -> None:
    weekly(client, "News", 1, schedule={"executionTime": "23:30"})
    tuesday = MONDAY + timedelta(days=1)

    path = f"/api/calendar?from={tuesday}&days=1&timezone=Asia/Tokyo"
    (push,) = planned.client.get(path).get_json()["items"]

    assert datetime.fromisoformat(push["at"]).date() == MONDAY
    assert planned.client.get("/api/calendar?timezone=Tokyo").status_code in {400, 422}
