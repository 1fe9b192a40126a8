"""The filters of lists of executions and sends, on pages and in the API: mode, day and result."""

import re
from datetime import datetime
from typing import Any

import pytest
from flask.testing import FlaskClient

from chassis.postgres import Database
from chassis.rows import execute
from push_blaster.domain.executions.execution_filter import ModeChoice, Result, find_modes
from push_blaster.domain.executions.modes import Mode
from tests.people import ALICE
from tests.push_blaster.bench import Bench
from tests.push_blaster.web.one_off.ad_hoc_pushes import register
from tests.push_blaster.web.page_support import Visitor

#: Of each execution: its name, mode, phase, and live send time.
RUNS = [
    ("Failed", "live", "failed", "2026-11-23T23:59:59Z"),
    ("Done", "live", "completed", "2026-11-24T00:00:00Z"),
    ("Tried", "test-live-send", "completed", "2026-11-24T12:00:00Z"),
    ("Dry", "real-dry-run", "completed", "2026-11-25T00:00:00Z"),
    ("Runs", "live", "live_execution", "2026-11-25T12:00:00Z"),
    ("Played", "simulation", "cancelled", "2026-11-26T12:00:00Z"),
]


@pytest.fixture
def runs(bench: Bench) -> list[str]:
    """One execution of each kind, as the database holds them."""
    bench.write_script("")
    ids = []
    for name, mode, phase, slot in RUNS:
        execution_id = bench.start(id=name.lower(), name=name)
        with bench.database.transaction() as connection:
            ended = None if phase == "live_execution" else datetime.fromisoformat(slot)
            sql = (
                "UPDATE executions SET mode = %s, phase = %s, slot = %s, ended_at = %s,"
                " due_at = %s WHERE id = %s"
            )
            due = None if ended else slot
            execute(connection, sql, (mode, phase, slot, ended, due, execution_id))
        ids.append(execution_id)
    return ids


FILTERS = [
    ("", "Failed Done Tried Dry Runs Played"),
    ("mode=live", "Failed Done Runs"),
    ("mode=test", "Tried"),
    ("mode=dry-run", "Dry"),
    ("mode=simulation", "Played"),
    ("mode=real-dry-run", "Dry"),
    ("mode=live&mode=test", "Failed Done Tried Runs"),
    ("result=failed", "Failed"),
    ("result=running", "Runs"),
    ("result=failed&result=cancelled", "Failed Played"),
    ("from=2026-11-24", "Done Tried Dry Runs Played"),
    ("until=2026-11-24", "Failed Done Tried"),
    ("from=2026-11-24&until=2026-11-24", "Done Tried"),
    ("until=2026-11-24T12:00:00Z", "Failed Done"),
    ("from=2026-11-24T13:00:00%2B01:00&until=2026-11-25T12:00:00Z", "Tried Dry"),
    ("mode=live&result=completed&from=2026-11-24", "Done"),
    ("mode=test&result=failed", ""),
]


@pytest.mark.parametrize(("query", "expected"), FILTERS)
def test_pages_and_both_lists_of_the_api_take_the_same_filters(
    viewer: Visitor, client: FlaskClient, runs: list[str], query: str, expected: str
) -> None:
    page = viewer.get(f"/executions?{query}")
    listed = client.get(f"/api/executions?{query}").get_json()["executions"]
    logs = client.get(f"/api/push-logs?{query}").get_json()["logs"]

    wanted = set(expected.split())
    assert {name for name, *_ in RUNS if f">{name}</a>" in page} == wanted
    assert {one["automationId"].capitalize() for one in listed} == wanted
    assert {one["automationId"].capitalize() for one in logs} == wanted


def test_the_page_counts_each_choice_keeps_the_others_and_can_be_cleared(
    viewer: Visitor, runs: list[str]
) -> None:
    page = viewer.get("/executions?mode=live&from=2026-11-24")

    assert "2 executions" in page
    assert "Live (2)" in page
    assert "Test (1)" in page
    assert re.search(r'href="([^"]*result=completed[^"]*)">Completed <span class="count">1<', page)
    (link,) = re.findall(r'href="([^"]*result=completed[^"]*)"', page)
    assert "mode=live" in link
    assert "from=2026-11-24" in link
    assert '<a href="/executions">Clear filters</a>' in page
    assert "Clear filters" not in viewer.get("/executions")


def test_the_api_counts_on_request(client: FlaskClient, runs: list[str]) -> None:
    counted = client.get("/api/executions?result=completed&counts=true&limit=1").get_json()
    usual = client.get("/api/executions").get_json()

    assert counted["counts"]["total"] == 3
    assert {name: n for name, n in counted["counts"]["byMode"].items() if n} == {
        "live": 1,
        "test": 1,
        "dry-run": 1,
    }
    assert counted["counts"]["byResult"]["failed"] == 1
    assert usual["counts"] is None


def test_phases_and_results_are_taken_together(client: FlaskClient, runs: list[str]) -> None:
    def names(query: str) -> list[str]:
        found = client.get(f"/api/executions?{query}").get_json()["executions"]
        return [one["automationId"] for one in found]

    assert names("phase=failed&result=failed") == ["failed"]
    assert names("phase=failed&result=completed") == []


def test_older_links_of_the_list_still_lead_to_the_same(viewer: Visitor, runs: list[str]) -> None:
    ended = viewer.get("/executions?show=ended")
    one = viewer.get("/executions?show=failed&automation=failed")

    assert ">Done</a>" in ended
    assert ">Runs</a>" not in ended
    assert ">Failed</a>" in one
    assert "Only executions of <b>failed</b>" in one
    assert ">Done</a>" not in one


@pytest.mark.parametrize(
    "query",
    [
        "from=yesterday",
        "until=2026-11-24T12:00:00",
        "from=0001-01-01",
        "from=0001-01-01T00:00:00%2B14:00",
        "until=9999-12-31T23:59:59-14:00",
        "mode=all",
    ],
)
def test_what_is_no_filter_is_refused_with_its_name(
    viewer: Visitor, client: FlaskClient, query: str
) -> None:
    refused = client.get(f"/api/executions?{query}")

    assert refused.status_code in {400, 422}
    assert query.partition("=")[0] in refused.get_json()["error"]
    assert viewer.client.get(f"/executions?{query}").status_code == 400


def test_the_messages_of_a_user_take_them_too(
    viewer: Visitor, client: FlaskClient, bench: Bench, database: Database
) -> None:
    bench.write_script(ONE_USER)
    register(bench, ALICE)
    for mode in (Mode.LIVE, Mode.REAL_DRY_RUN):
        bench.run(bench.start(mode, id=mode.value, name=mode.value, pushes=[{"layerId": 1}]))

    def modes(query: str) -> set[Any]:
        path = f"/users/{ALICE}/deliveries?{query}"
        page = viewer.get(f"/deliveries?user={ALICE}&{query}")
        found = client.get(f"/api{path}").get_json()["deliveries"]
        assert len(re.findall(r"<tr>\s*<td>", page)) == len(found)
        return {one["mode"] for one in found}

    assert modes("") == {"live", "real-dry-run"}
    assert modes("mode=live") == {"live"}
    assert modes("mode=dry-run&result=dry_run") == {"real-dry-run"}
    assert modes("result=failed") == set()
    assert modes("until=2026-11-23") == set()
    assert modes("from=2026-11-24&until=2026-11-24") == {"live", "real-dry-run"}


ONE_USER = f"""
import csv, os
with open("default.csv", "w") as file:
    file.write("user_id,first_name\\n{ALICE},Alice\\n")
"""


def test_every_mode_and_every_result_can_be_chosen() -> None:
    assert find_modes(ModeChoice) == frozenset(Mode)
    assert {one.value for one in Result} - {"running"} == {
        *("completed", "failed", "cancelled", "missed", "skipped")
    }
