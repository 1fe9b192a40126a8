"""The reader chooses the zone and the hours of all pages; every time on them follows."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from chassis.clock import utc_now
from chassis.postgres import Database
from chassis.rows import execute
from push_blaster.adapters.executions.execution_log import append_log
from push_blaster.adapters.executions.execution_view import select_execution
from push_blaster.adapters.executions.violation_table import insert_violation
from push_blaster.app import create_app
from push_blaster.domain.executions.safeguards import Severity, Violation, ViolationType
from tests.builders import a_document
from tests.people import ALICE
from tests.push_blaster.settings import settings_for
from tests.push_blaster.web.page_support import Visitor
from tests.stray_times import CHOICE, find_stray_times

AT = datetime(2026, 11, 24, 17, 30, tzinfo=UTC)
STAMP = AT.isoformat()


def choose(visitor: Visitor, zone: str, hours: str, **more: str) -> int:
    return visitor.post("/times", zone=zone, hours=hours, **more).status_code


@pytest.fixture
def troubled(client: FlaskClient, database: Database) -> str:
    """An execution with a time in every text that the system may write about it."""
    settings = {
        "quietHours": {"start": "22:00", "end": "08:00"},
        "requireApproval": True,
        "cancellationWindowMinutes": 30,
    }
    schedule = {"frequency": "daily", "timezone": "Europe/Vienna", "executionTime": "18:30"}
    document = a_document(id="news", settings=settings, schedule=schedule)
    push = document["pushSequence"][0]
    document["pushSequence"] = [push, {**push, "timing": {"absoluteTime": "20:15"}}]
    client.post("/api/automation/recipes?acceptFindings=true", json=document)
    id_: str = client.post("/api/executions", json={"automationId": "news"}).get_json()["id"]
    text = f"It waits until {STAMP}, or until 2026-11-24 17:30:00 UTC, or until 07:20."
    with database.transaction() as connection:
        append_log(connection, id_, "safeguards", text, AT)
        violation = Violation(ViolationType.AUDIENCE_DRIFT, Severity.WARNING, text)
        insert_violation(connection, select_execution(connection, id_), violation, utc_now())
        execute(
            connection,
            "UPDATE executions SET uncapped_reason = %(text)s, reason = %(text)s,"
            " approval_reason = %(text)s, waits_for = %(text)s WHERE id = %(id)s",
            {"text": text, "id": id_},
        )
    return id_


def test_every_page_shows_times_as_the_reader_chose(viewer: Visitor, troubled: str) -> None:
    assert choose(viewer, "america/new york", "12", next="/executions?limit=5") == 303

    page = viewer.get(f"/executions/{troubled}")

    assert "Tue 24 Nov 2026, 12:30 pm EST" in page
    assert ">12:30:00 pm</time>" in page
    assert "Times: America/New_York, 12-hour" in page
    assert "times in America/New_York" in page


def test_the_choice_stays_with_the_browser_when_somebody_else_signs_in(viewer: Visitor) -> None:
    choose(viewer, "Asia/Tokyo", "12")
    viewer.post("/sign-out")
    viewer.post_bare("/sign-in", token="admin")

    assert "Times: Asia/Tokyo, 12-hour" in viewer.get("/executions")


def test_an_unknown_zone_is_told_and_nothing_changes(viewer: Visitor) -> None:
    answer = viewer.post("/times", zone="Vienna/Europe", hours="24")

    assert answer.status_code == 400
    assert "is no time zone. Choose one of the list" in answer.text
    assert "Times: UTC, 24-hour" in viewer.get("/executions")


@pytest.mark.parametrize("cookie", ["No/Zone:12", "", ":::", "../../etc/passwd:12", "x" * 4_000])
def test_a_cookie_that_names_no_zone_shows_the_usual_zone(viewer: Visitor, cookie: str) -> None:
    viewer.client.set_cookie(CHOICE[0], cookie)

    assert "Times: UTC," in viewer.get("/executions")


def test_a_choice_leads_back_to_pages_of_this_service_only(viewer: Visitor) -> None:
    there = viewer.post("/times", zone="UTC", hours="24", next="/executions?mode=live")
    elsewhere = viewer.post("/times", zone="UTC", hours="24", next="//evil.example/")

    assert there.location == "/executions?mode=live"
    assert elsewhere.location == "/"


def test_until_somebody_chooses_the_zone_is_the_one_of_the_settings(
    push_url: str, tmp_path: Path, database: Database
) -> None:
    settings = replace(settings_for(push_url, tmp_path), timezone="Europe/Vienna")

    page = Visitor(create_app(settings), "viewer").get("/executions")

    assert "Times: Europe/Vienna, 24-hour" in page


def test_the_schedule_stays_in_the_zone_of_the_automation(viewer: Visitor, troubled: str) -> None:
    choose(viewer, "America/New_York", "12")

    page = viewer.get("/automations/news")

    assert "Every day at 6:30 pm, Europe/Vienna" in page
    assert ">6:30 pm</time> in Europe/Vienna" in page
    assert "10:00 pm to 8:00 am in each user" in page
    assert "8:15 pm in Europe/Vienna" in page


def test_no_page_shows_a_time_in_another_way(
    admin: Visitor, client: FlaskClient, app: Flask, troubled: str, database: Database
) -> None:
    admin.client.set_cookie(*CHOICE)
    client.post("/api/tokens", json={"name": "ada", "role": "viewer"})
    client.post("/api/devices", json={"userId": str(ALICE), "token": "t", "kind": "fcm"})
    paths = (
        *("/", "/live/dashboard", "/times", "/tokens", "/audit-log", "/automations", "/executions"),
        *(f"/executions/{troubled}{rest}" for rest in ("", "/failures", "/stop", "/approve")),
        *(f"/live/executions/{troubled}{rest}" for rest in ("", "/log")),
        *(f"/automations/news{rest}" for rest in ("", "/edit", "/test", "/run", "/pause")),
        *(f"/devices?user={ALICE}", f"/deliveries?user={ALICE}", "/scripts", "/none-at-all"),
    )

    pages = {path: admin.client.get(path).text for path in paths}

    strays = {path: find_stray_times(page) for path, page in pages.items()}
    assert {path: found for path, found in strays.items() if found} == {}
    assert "UTC+05:45</time>" in pages[f"/executions/{troubled}"]


def test_a_time_that_is_written_in_another_way_is_found() -> None:
    page = (
        '<p>at 18:30</p><p title="at 18:30">x</p><time>18:30</time><td>2026-11-24T17:30:00Z</td>'
        '<time title="6:30 pm">6:30 pm</time><code>18:30</code><svg><title>6:30 pm</title></svg>'
    )

    assert find_stray_times(page) == ["at 18:30", "at 18:30", "18:30", "2026-11-24T17:30:00Z"]
    assert find_stray_times("<p>until 7:20 am their time</p>") == []


def test_the_clocks_of_an_automation_name_their_zone_where_they_change(
    viewer: Visitor, client: FlaskClient
) -> None:
    tomorrow = utc_now() + timedelta(days=1)
    schedule = {
        "frequency": "once",
        "timezone": "Europe/Vienna",
        "executionTime": "02:30",
        "startDate": f"{tomorrow.year + 1}-03-{_last_sunday(tomorrow.year + 1)}",
    }
    document = a_document(id="gap", schedule=schedule, status="active", isActive=True)
    client.post("/api/automation/recipes?acceptFindings=true", json=document)
    choose(viewer, "Asia/Tokyo", "12")

    page = viewer.get("/automations/gap")

    assert "2:30 am does not exist in Europe/Vienna" in page


def _last_sunday(year: int) -> int:
    return max(day for day in range(25, 32) if datetime(year, 3, day, tzinfo=UTC).weekday() == 6)
