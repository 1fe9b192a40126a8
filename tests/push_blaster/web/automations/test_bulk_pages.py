"""Many automations are paused and resumed at once, and each has its result."""

import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from chassis.clock import utc_now
from push_blaster.use_cases.automations.control_automation import Action, Control
from push_blaster.use_cases.automations.control_many import BulkControl
from tests.page_reader import form_value
from tests.push_blaster.bench import Bench
from tests.push_blaster.web.page_support import Visitor
from tests.push_blaster.web.recipes import RECIPES, create


@pytest.fixture
def many(client: FlaskClient) -> list[str]:
    ids = [f"a{number:02}" for number in range(60)]
    for one in ids[:55]:
        create(client, id=one, name=one.upper(), status="active", isActive=True)
    create(client, id=ids[55], name="Off", status="paused", isActive=True)
    create(client, id=ids[56], name="Sketch")
    return ids


def statuses(client: FlaskClient) -> dict[str, str]:
    data = client.get(f"{RECIPES}?limit=100").get_json()["data"]
    return {one["id"]: one["status"] for one in data}


def test_the_ticked_rows_are_counted_paused_and_resumed(
    operator: Visitor, client: FlaskClient, many: list[str]
) -> None:
    question = operator.get("/bulk/pause?id=a00&id=a01&id=a55&id=a00&id=gone")
    ids = _ids(question)
    before = statuses(client)
    result = operator.post("/bulk/pause", ids=ids, reason="Holiday").text
    again = operator.post("/bulk/pause", ids=ids).text

    assert "Pause 2 automations?" in question
    said = " ".join(question.split())
    assert "1 of those that you chose is not scheduled, and stays as it is." in said
    assert before["a00"] == "active", "asking changes nothing"
    assert "2 of 2 automations paused" in result
    assert {one: statuses(client)[one] for one in ("a00", "a01", "a02")} == {
        "a00": "paused",
        "a01": "paused",
        "a02": "active",
    }
    assert "0 of 2 automations paused" in again
    assert "The automation is paused, not scheduled: nothing to pause." in again


def _ids(page: str) -> str:
    found = re.search(r'name="ids"\s+value="([^"]*)"', page)
    assert found
    return found[1]


def test_all_that_match_are_more_than_one_page_and_the_search_counts(
    operator: Visitor, client: FlaskClient, many: list[str]
) -> None:
    everything = operator.get("/bulk/pause?all=1&q=&show=all")
    some = operator.get("/bulk/pause?all=1&q=A1&show=scheduled")

    assert "Pause 55 automations?" in everything
    assert "and 35 more" in everything
    assert "Pause 10 automations?" in some
    assert "All 57 that match" in operator.get("/automations")
    result = operator.post("/bulk/pause", ids=_ids(everything)).text
    assert "55 of 55 automations paused" in result
    assert set(statuses(client).values()) == {"paused", "draft"}


def test_matches_that_changed_since_the_list_or_the_question_are_told(
    operator: Visitor, client: FlaskClient, many: list[str]
) -> None:
    seen = form_value(operator.get("/automations?q=A1"), "seen")
    same = operator.get(f"/bulk/pause?all=1&q=A1&seen={seen}")
    create(client, id="a1new", name="A1 new", status="active", isActive=True)

    question = operator.get(f"/bulk/pause?all=1&q=A1&seen={seen}")
    create(client, id="a1late", name="A1 <late>", status="active", isActive=True)
    result = operator.post("/bulk/pause?all=1&q=A1", ids=_ids(question)).text

    assert "has changed" not in same
    assert "The list has changed since you saw it: now 11 match." in question
    assert "Pause 11 automations?" in question
    assert "11 of 11 automations paused" in result
    assert "stay as they are: A1 &lt;late&gt;." in " ".join(result.split())
    assert statuses(client)["a1late"] == "active"


def test_chosen_ones_that_are_gone_are_told(
    operator: Visitor, client: FlaskClient, many: list[str]
) -> None:
    client.delete(f"{RECIPES}/a01")

    question = operator.get("/bulk/pause?id=a00&id=a01")

    assert "1 of those that you chose is gone." in question
    assert "Pause 1 automation?" in question


def test_a_draft_is_not_resumed_and_one_that_would_fail_stays_paused(
    operator: Visitor, client: FlaskClient, many: list[str]
) -> None:
    past = {"frequency": "once", "startDate": "2020-01-01", "executionTime": "09:00"}
    create(client, id="past", status="paused", isActive=True, schedule=past)

    question = operator.get("/bulk/resume?id=a55&id=a56&id=past")
    result = operator.post("/bulk/resume", ids="a55 a56 past").text

    assert "Resume 2 automations?" in question
    assert "The automation is draft, not paused: nothing to resume." in result
    assert "It would surely fail, so it stays paused." in result
    assert statuses(client)["past"] == "paused"


def test_a_broken_file_and_a_missing_one_hinder_no_other(
    operator: Visitor, client: FlaskClient, many: list[str], tmp_path: Path
) -> None:
    (tmp_path / "automations" / "a00.json").write_text("{")
    (tmp_path / "automations" / "a01.json").unlink()

    result = operator.post("/bulk/pause", ids="a00 a01 a02").text

    assert "1 of 3 automations paused" in result
    assert statuses(client)["a02"] == "paused"


def test_what_is_not_done_in_time_is_offered_to_be_continued(
    bench: Bench, many: list[str], client: FlaskClient
) -> None:
    ids = ["a00", "a01", "a02", "a00"]
    control = Control(bench.web.files, bench.database)

    report = BulkControl(control, lambda *_: [], takes_s=-1).act(
        Action.PAUSE, ids, "Holiday", utc_now()
    )

    assert [one.is_done for one in report.results] == [True]
    assert report.remaining == ["a01", "a02"]
    assert statuses(client)["a01"] == "active"


def test_nothing_chosen_asks_for_a_choice_and_a_viewer_is_refused(
    operator: Visitor, viewer: Visitor, many: list[str]
) -> None:
    assert "Choose automations in the list first" in operator.get("/bulk/pause")
    assert viewer.client.get("/bulk/pause?id=a00").status_code == 403
    assert viewer.post("/bulk/pause", ids="a00").status_code == 403
    assert 'name="id"' not in viewer.get("/automations")


def test_the_api_answers_with_the_result_of_each_and_the_audit_log_has_it(
    client: FlaskClient, many: list[str]
) -> None:
    body = {"automationIds": ["a00", "a55", "gone"], "action": "pause", "reason": "Holiday"}
    log = "/api/audit-log?path=control-many"
    earlier = client.get(log).get_json()["changes"]  # the audit log outlives each test

    report = client.post("/api/automation/control-many", json=body).get_json()
    change, *others = client.get(log).get_json()["changes"]
    assert others == earlier

    assert [(one["automationId"], one["isDone"]) for one in report["results"]] == [
        ("a00", True),
        ("a55", False),
        ("gone", False),
    ]
    assert report["remaining"] == []
    assert "a00" in change["what"]
    refused = client.post("/api/automation/control-many", json={**body, "action": "cancel"})
    assert refused.status_code == 400


def test_ten_thousand_chosen_ids_fit_into_the_form(operator: Visitor, many: list[str]) -> None:
    ids = " ".join(["a00", *(f"{number:036}" for number in range(15_000))])

    assert operator.post("/bulk/resume", ids=ids).status_code == 200
