"""What automations did: by page, as CSV, and in short."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.adapters.csv_cells import guard
from tests.push_blaster.web.execution_support import started
from tests.push_blaster.web.recipes import create

HISTORY = "/api/automation/news/history"
RECENT = "/api/automation/executions?automationId=news"


def ended(
    client: FlaskClient, database: Database, phase: str, minutes_ago: int, sent: int = 0
) -> str:
    """Return the id of an execution that ended a minute after its start."""
    execution_id = started(client)
    with database.transaction() as connection, connection.cursor() as cursor:
        at = utc_now() - timedelta(minutes=minutes_ago)
        cursor.execute(
            "UPDATE executions SET phase = %s, due_at = NULL, created_at = %s, ended_at = %s"
            " WHERE id = %s",
            (phase, at, at + timedelta(minutes=1 + sent), execution_id),
        )
        cursor.execute(
            "UPDATE execution_pushes SET status = %s, distinct_users = 9,"
            " funnel = jsonb_build_object('sent', %s) WHERE execution_id = %s",
            ("sent" if phase == "completed" else "failed", sent, execution_id),
        )
    return execution_id


def page(client: FlaskClient, **query: Any) -> dict[str, Any]:
    response = client.get(HISTORY, query_string=query)
    assert response.status_code == 200, response.json
    data: dict[str, Any] = response.get_json()["data"]
    return data


def ids(data: dict[str, Any]) -> list[str]:
    return [execution["executionId"] for execution in data["executions"]]


def test_a_history_is_paged_sorted_and_filtered(client: FlaskClient, database: Database) -> None:
    create(client)
    old = ended(client, database, "completed", 3 * 24 * 60, sent=5)
    failed = ended(client, database, "failed", 60)
    new = ended(client, database, "completed", 30, sent=2)
    running = started(client)

    first, last = page(client, limit=3), page(client, limit=3, page=2)

    assert ids(first) == [running, new, failed]
    assert ids(last) == [old]
    assert first["pagination"] == {
        "page": 1,
        "limit": 3,
        "total": 4,
        "totalPages": 2,
        "hasNext": True,
        "hasPrev": False,
    }
    assert (last["pagination"]["hasNext"], last["pagination"]["hasPrev"]) == (False, True)
    assert ids(page(client, sortBy="sent", status="completed")) == [old, new]
    assert ids(page(client, sortBy="duration", sortOrder="asc", status="completed")) == [new, old]
    assert ids(page(client, status="running")) == [running]
    yesterday = (utc_now() - timedelta(days=2)).date().isoformat()
    assert ids(page(client, endDate=yesterday)) == [old]
    assert old not in ids(page(client, startDate=yesterday))
    whole_day = (utc_now() - timedelta(days=3)).date().isoformat()
    assert ids(page(client, startDate=whole_day, endDate=whole_day)) == [old]
    shown = last["executions"][0]
    assert (shown["status"], shown["duration"]) == ("completed", 360_000)
    assert shown["metrics"] == {
        "totalSentCount": 5,
        "totalAudienceSize": 9,
        "failedPushes": 0,
        "successfulPushes": 1,
    }


@pytest.mark.parametrize(
    "query",
    [
        {"page": 0},
        {"limit": 101},
        {"status": "odd"},
        {"sortBy": "name"},
        {"sortOrder": "up"},
        {"startDate": "soon"},
        {"endDate": "2026-11-24T10:00:00"},
    ],
)
def test_a_history_that_cannot_be_read_names_the_field(
    client: FlaskClient, query: dict[str, Any]
) -> None:
    refused = client.get(HISTORY, query_string=query)

    assert refused.status_code == 400
    assert next(iter(query)) in refused.get_json()["error"]


def test_an_export_can_be_opened_in_a_spreadsheet(client: FlaskClient, database: Database) -> None:
    title = "=HYPERLINK(1)"
    create(client, name="@News, weekly", pushSequence=[{"title": title, "body": "B", "layerId": 3}])
    execution_id = ended(client, database, "completed", 5, sent=4)
    path = f"/api/automation/news/executions/{execution_id}/export"

    whole = client.get(path)
    pushes = list(csv.DictReader(io.StringIO(client.get(f"{path}?include=pushes").text)))

    assert whole.mimetype == "text/csv"
    name = whole.headers["Content-Disposition"]
    assert name.startswith(f'attachment; filename="News-weekly_{utc_now():%Y}')
    assert name.endswith('.csv"')
    assert whole.text.startswith("field,value\r\nexecutionId,news@")
    assert 'automationName,"\'@News, weekly"' in whole.text
    assert "\r\nphase,enteredAt\r\nwaiting," in whole.text
    assert pushes[0]["title"] == f"'{title}"
    assert (pushes[0]["sent"], pushes[0]["status"]) == ("4", "sent")
    assert client.get(f"{path}?include=odd").status_code == 400
    assert client.get(path.replace("/news/", "/other/")).status_code == 404


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@a", "\tx", "\rx"])
def test_what_looks_like_a_formula_gets_an_apostrophe(text: str) -> None:
    assert guard(text) == f"'{text}"


@pytest.mark.parametrize("cell", ["a=1", "1", 0, "", None])
def test_other_cells_stay_as_they_are(cell: object) -> None:
    assert guard(cell) == ("" if cell is None else str(cell))


def test_the_newest_executions_come_with_how_they_went(
    client: FlaskClient, database: Database
) -> None:
    create(client)
    assert client.get(RECENT).get_json()["data"]["stats"]["lastExecution"] is None
    ended(client, database, "failed", 60)
    newest = ended(client, database, "completed", 30, sent=2)

    data = client.get(RECENT).get_json()["data"]

    assert data["history"][0]["executionId"] == newest
    assert len(client.get(f"{RECENT}&limit=1").get_json()["data"]["history"]) == 1
    stats = data["stats"]
    assert stats["totalExecutions"] == 2
    assert (stats["successfulExecutions"], stats["failedExecutions"]) == (1, 1)
    assert (stats["recentSuccessRate"], stats["lastRunWithin24h"]) == (0.5, True)
    assert stats["lastExecution"]["status"] == "completed"
    assert stats["lastExecution"]["audienceSize"] == 9
