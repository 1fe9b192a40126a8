"""The page of the audit log says in words who did what to which thing."""

import re
from html import unescape

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.builders import a_document
from tests.push_blaster.web.page_support import Visitor

ADA = {"name": "ada", "role": "admin"}


@pytest.fixture
def ada(app: Flask, client: FlaskClient) -> Visitor:
    """Ada, at the pages, with a token of her own."""
    return Visitor(app, client.post("/api/tokens", json=ADA).get_json()["token"])


@pytest.fixture
def win_back(client: FlaskClient) -> str:
    document = a_document(id="win-back", name="Win back", status="active", isActive=True)
    client.post("/api/automation/recipes?acceptFindings=true", json=document)
    return "win-back"


def told(admin: Visitor, **query: str) -> list[str]:
    """Return the rows of the page as they are read, without the raw forms."""
    text = admin.client.get("/audit-log", query_string=query).text
    rows = re.findall(r"<tr>(.*?)</tr>", text, re.DOTALL)[1:]
    seen = [
        re.sub(r'<span class="visually-hidden">[A-Z]+ .*?</details>', "", row, flags=re.DOTALL)
        for row in rows
    ]
    return [" ".join(unescape(re.sub(r"<[^>]+>", " ", row)).split()) for row in seen]


def test_somebody_paused_an_automation(ada: Visitor, admin: Visitor, win_back: str) -> None:
    ada.post(f"/automations/{win_back}/pause", reason="Too many complaints.")

    (row,) = told(admin, actor="ada", about="automations")

    assert "ada paused 'Win back'" in row
    assert "Reason: Too many complaints." in row
    assert "Status: active → paused" in row
    assert row.endswith("Done")


def test_the_same_by_the_api_reads_the_same(
    client: FlaskClient, admin: Visitor, win_back: str
) -> None:
    body = {"automationId": win_back, "action": "pause"}
    client.post("/api/automation/control", json=body)

    assert "paused 'Win back'" in told(admin, about="automations")[0]


def test_changed_fields_stand_before_and_after_in_the_words_of_the_form(
    ada: Visitor, admin: Visitor, client: FlaskClient, win_back: str
) -> None:
    document = client.get(f"/api/automation/recipes/{win_back}").get_json()["data"]
    schedule = {**document["schedule"], "executionTime": "18:30"}
    pushes = [{**document["pushSequence"][0], "title": "Come back"}]
    changes = {"schedule": schedule, "pushSequence": pushes}
    client.put(f"/api/automation/recipes/{win_back}?acceptFindings=true", json=changes)

    row = told(admin, about="automations")[0]

    assert "changed the automation 'Win back'" in row
    assert re.search(r"Live send time: \d\d:\d\d → 18:30", row)
    assert re.search(r"Push 1: Title: .+ → Come back", row)
    assert "updatedAt" not in row


def test_what_is_gone_keeps_its_name(client: FlaskClient, admin: Visitor, win_back: str) -> None:
    client.delete(f"/api/automation/recipes/{win_back}")

    assert "deleted the automation 'Win back'" in told(admin, about="automations")[0]


def test_what_was_refused_is_not_told_as_done(
    ada: Visitor, admin: Visitor, client: FlaskClient, win_back: str
) -> None:
    ada.post("/stop-everything", word="stop")
    client.post("/api/automation/control", json={"automationId": "none", "action": "resume"})

    stopped, resumed = told(admin, actor="ada")[0], told(admin, about="automations")[0]

    assert "ada tried to stop everything" in stopped
    assert stopped.endswith("Refused")
    assert "tried to resume 'none'" in resumed
    assert resumed.endswith("Refused")


def test_a_refusal_that_a_page_shows_is_of_its_own_request_only(
    ada: Visitor, admin: Visitor, win_back: str
) -> None:
    token = ada.csrf_token()
    ada.post_bare("/stop-everything", word="stop", csrf_token=token)
    ada.post_bare(f"/automations/{win_back}/pause", csrf_token=token)

    newest = told(admin, actor="ada")[0]

    assert "ada paused 'Win back'" in newest
    assert newest.endswith("Done")


def test_an_execution_is_told_by_its_automation_and_its_time(
    client: FlaskClient, admin: Visitor, win_back: str
) -> None:
    started = client.post("/api/executions", json={"automationId": win_back}).get_json()["id"]
    client.post(f"/api/executions/{started}/cancel", json={"reason": "Not today."})

    cancelled, began = told(admin, about="executions")[:2]

    assert re.search(
        r"cancelled the execution of 'Win back' planned for \w{3} \d+ \w{3} ", cancelled
    )
    assert "Reason: Not today." in cancelled
    assert "started 'Win back'" in began


def test_a_form_that_was_only_rearranged_saved_nothing(
    ada: Visitor, admin: Visitor, win_back: str
) -> None:
    ada.save(f"/automations/{win_back}/edit", change="add")

    assert "rearranged the form of 'Win back', without saving" in told(admin, actor="ada")[0]


def test_who_signed_in_and_who_tried_to(ada: Visitor, admin: Visitor) -> None:
    ada.post_bare("/sign-in", token="a guess")

    guess, came = told(admin, about="access")[:2]

    assert "tried to sign in" in guess
    assert guess.endswith("Refused")
    assert "signed in" in came


def test_the_log_is_filtered_by_what_and_by_result(
    client: FlaskClient, admin: Visitor, win_back: str
) -> None:
    client.post("/api/devices", json={})

    assert all("device" in row for row in told(admin, about="devices"))
    assert "tried to register devices" in told(admin, about="devices", result="refused")[0]
    assert all(row.endswith("Done") for row in told(admin, result="done"))
    assert client.get("/api/audit-log?about=nothing").status_code == 400
    exported = client.get("/api/audit-log/export.csv?about=automations&result=done").text
    assert "/api/automation/recipes" in exported
    assert "/api/devices" not in exported


def test_the_raw_form_is_a_click_away(client: FlaskClient, admin: Visitor, win_back: str) -> None:
    page = admin.get("/audit-log?about=automations")

    raw = re.search(r"<details>\s*<summary[^>]*>Raw.*?</details>", page, re.DOTALL)

    assert raw
    assert "POST /api/automation/recipes" in raw[0]
    assert "&#34;name&#34;: &#34;Win back&#34;" in raw[0]
