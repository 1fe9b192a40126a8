"""The pages about executions, and the dashboard, without an engine: what is started waits."""

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from chassis.postgres import Database
from push_blaster.adapters.execution_log import append_log
from tests.builders import NOON, a_document
from tests.push_blaster.web.pages.conftest import Visitor


@pytest.fixture
def started(client: FlaskClient) -> str:
    client.post("/api/automation/recipes", json=a_document(id="news", name="News & more"))
    body: dict[str, Any] = {"automationId": "news", "cancellationWindowMinutes": 5}
    execution_id: str = client.post("/api/executions", json=body).get_json()["id"]
    return execution_id


def test_the_dashboard_shows_what_runs_and_how_to_stop_it(operator: Visitor, started: str) -> None:
    page = operator.get("/")

    assert "News &amp; more" in page
    assert f"/executions/{started}/stop" in page
    assert "No engine runs: nothing is sent." in page
    assert page.count("News &amp; more") == operator.get("/live/dashboard").count("News &amp; more")


def test_a_viewer_sees_no_buttons(viewer: Visitor, started: str) -> None:
    assert "/stop" not in viewer.get("/")
    assert "/stop" not in viewer.get(f"/executions/{started}")


def test_the_dashboard_shows_the_sends_of_the_next_day(
    viewer: Visitor, client: FlaskClient
) -> None:
    client.post("/api/automation/recipes", json=a_document(status="active", isActive=True))

    page = viewer.get("/")

    assert "1 planned live sends" in page
    assert "Every day at" in page


def test_a_broken_file_is_shown_first(viewer: Visitor, started: str, tmp_path: Path) -> None:
    (tmp_path / "automations" / "torn.json").write_text("{")

    page = viewer.get("/")

    assert "torn.json" in page
    assert page.index("torn.json") < page.index("News &amp; more")


def test_an_execution_is_shown_with_its_log(
    viewer: Visitor, started: str, database: Database
) -> None:
    with database.transaction() as connection:
        for number in range(300):
            append_log(connection, started, "script", f"line <{number}>", NOON)

    page = viewer.get(f"/executions/{started}")

    assert "line &lt;299&gt;" in page
    assert "line &lt;50&gt;" not in page
    assert "Behaviour-responsive" in page


def test_a_live_stop_is_confirmed_by_typing(operator: Visitor, started: str) -> None:
    asked = operator.get(f"/executions/{started}/stop")
    careless = operator.post(f"/executions/{started}/stop", word="yes")
    still_running = operator.client.get(f"/api/executions/{started}").get_json()["phase"]
    meant = operator.post(f"/executions/{started}/stop", word="stop", reason="Wrong text")

    assert "Type <kbd>STOP</kbd>" in asked
    assert careless.location.endswith("/stop")
    assert still_running == "waiting"
    assert meant.location == f"/executions/{started}"
    page = operator.get(meant.location)
    assert "Receipt:" in page
    assert "Wrong text" in page


def test_a_cancel_is_one_click_after_its_question(operator: Visitor, started: str) -> None:
    operator.post(f"/executions/{started}/cancel")

    phase = operator.client.get(f"/api/executions/{started}").get_json()["phase"]
    assert phase == "cancelled"
    assert "Cancelled" in operator.get("/executions?show=ended")
    assert "News" not in operator.get("/executions?show=failed")


def test_the_list_goes_on_at_its_cursor(viewer: Visitor, started: str) -> None:
    cursor = "2026-01-01T00:00:00+00:00|x"

    assert "News" in viewer.get("/executions")
    assert "News" not in viewer.get(f"/executions?before={cursor.replace('+', '%2B')}")
    assert viewer.client.get("/executions?before=rubbish").status_code == 400
