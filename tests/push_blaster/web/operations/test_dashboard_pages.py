"""The dashboard: what needs a person, whether messages arrive, and where they go."""

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from chassis.clock import utc_now
from chassis.rows import execute
from push_blaster.adapters.operations.engine_table import beat
from push_blaster.app import create_app
from push_blaster.domain.executions.approval import Approval, Hashes
from push_blaster.domain.executions.execution import Execution
from push_blaster.use_cases.executions.approve_execution import approve_execution
from tests.people import ALICE
from tests.push_blaster.bench import Bench
from tests.push_blaster.settings import settings_for
from tests.push_blaster.web.one_off.ad_hoc_pushes import post, register
from tests.push_blaster.web.page_support import Visitor
from tests.push_blaster.web.recipes import create

ASKS = {"requireApproval": True, "cancellationWindowMinutes": 5}


@pytest.fixture
def today(bench: Bench) -> Bench:
    bench.now = utc_now() - timedelta(minutes=10)
    return bench


def needs_a_person(viewer: Visitor) -> str:
    """Return the part of the dashboard that lists what needs a person."""
    page = viewer.get("/live/dashboard")
    found = re.search(r'id="attention".*?</section>', page, re.DOTALL)
    return found[0] if found else ""


def send_ad_hoc(bench: Bench, client: FlaskClient) -> Execution:
    return bench.run(post(client).get_json()["jobId"])


def test_a_one_off_send_that_failed_needs_a_person(
    today: Bench, client: FlaskClient, viewer: Visitor
) -> None:
    failed = send_ad_hoc(today, client)

    assert failed.phase == "failed", "Alice has no device"
    assert f"/executions/{failed.id}" in needs_a_person(viewer)


def test_a_one_off_send_that_worked_needs_nobody(
    today: Bench, client: FlaskClient, viewer: Visitor
) -> None:
    register(today, ALICE)

    assert send_ad_hoc(today, client).phase == "completed"
    assert needs_a_person(viewer) == ""


def test_what_nobody_approved_needs_a_person_and_no_longer_waits(
    today: Bench, viewer: Visitor
) -> None:
    execution_id = today.start(settings=ASKS)
    today.work()
    waiting = needs_a_person(viewer), viewer.get(f"/executions/{execution_id}")
    skipped = today.run(execution_id)
    page = viewer.get(f"/executions/{execution_id}")

    assert all("aits for approval" in text for text in waiting)
    assert skipped.phase == "skipped"
    assert "Nobody approved it during its window." in needs_a_person(viewer)
    assert "Nobody approved it during its window." in page
    assert "aits for approval" not in page + needs_a_person(viewer)


def test_what_is_approved_waits_for_nobody(today: Bench, viewer: Visitor) -> None:
    execution_id = today.start(settings=ASKS)
    today.work()

    approval = Approval(by="Alice", at=today.now, hashes=Hashes("", ""))
    approve_execution(today.database, today.context.cadence, execution_id, approval)
    in_its_window = needs_a_person(viewer)
    today.run(execution_id)

    assert in_its_window == ""
    assert needs_a_person(viewer) == ""
    assert "Approved by Alice." in viewer.get(f"/executions/{execution_id}")


def test_what_went_out_unchecked_is_not_green_there(today: Bench, viewer: Visitor) -> None:
    today.run(today.start())
    with today.database.transaction() as connection:
        execute(connection, "UPDATE executions SET uncapped_reason = 'Cadence was away.'")

    attention = needs_a_person(viewer)

    assert "Cadence was away." in attention
    assert "Uncapped" in attention
    assert "good" not in attention
    assert "Completed" not in attention


def test_a_provider_that_takes_nothing_is_not_green(
    today: Bench, client: FlaskClient, viewer: Visitor
) -> None:
    register(today, ALICE)
    send_ad_hoc(today, client)
    with today.database.transaction() as connection:
        beat(connection, "here:1", utc_now(), utc_now(), {"breaker": "closed", "slowedTo": 1.0})
    good, health = viewer.get("/live/dashboard"), client.get("/health").get_json()
    with today.database.transaction() as connection:
        execute(connection, "UPDATE deliveries SET state = 'failed'")
        execute(connection, "UPDATE send_batches SET counts = NULL")
        execute(connection, "UPDATE execution_pushes SET funnel = NULL")

    bad, worse = viewer.get("/live/dashboard"), client.get("/health").get_json()

    assert '<span class="badge-dot good">Provider</span>' in good
    assert not any(problem.startswith("provider") for problem in health["problems"])
    assert '<span class="badge-dot bad">Provider</span>' in bad
    assert "It confirmed none of the 1 message of the last hour." in bad
    assert worse["status"] == "degraded"
    assert any("provider: It confirmed none" in problem for problem in worse["problems"])


def test_a_transport_that_can_send_nothing_is_not_green(
    today: Bench, client: FlaskClient, viewer: Visitor
) -> None:
    today.context.pacer.note_fault("No access token for FCM.")
    with today.database.transaction() as connection:
        beat(connection, "here:1", utc_now(), utc_now(), today.context.pacer.describe())

    page, health = viewer.get("/live/dashboard"), client.get("/health").get_json()

    assert '<span class="badge-dot bad">Provider</span>' in page
    assert "None of the last messages was sent: No access token for FCM." in page
    assert health["status"] == "degraded"
    assert any("No access token for FCM." in problem for problem in health["problems"])


def test_who_waits_until_the_morning_is_shown_so(today: Bench, viewer: Visitor) -> None:
    now = utc_now()
    today.now = now
    night = {
        "start": f"{now - timedelta(hours=1):%H:%M}",
        "end": f"{now + timedelta(hours=1):%H:%M}",
    }
    quiet = {"quietHours": {**night, "timezone": "UTC"}, "deliverWithinMinutes": 720}
    execution_id = today.start(settings=quiet)
    today.work()

    words = f"wait until {night['end']} their time"
    page = viewer.get(f"/executions/{execution_id}")

    assert f"10 {words}" in viewer.get("/live/dashboard")
    assert words.capitalize() in page
    assert "Not sent" not in page
    assert '<span class="badge-dot live">Sending</span>' not in page


def test_a_send_that_reached_nobody_is_not_green(
    today: Bench, client: FlaskClient, viewer: Visitor
) -> None:
    create(client, id="again")
    today.run(today.start())
    again = today.run(today.start(id="again"))

    page = viewer.get(f"/executions/{again.id}")

    assert again.phase == "completed", "cadence caps everybody"
    assert "Nobody reached" in page
    assert "good" not in re.findall(r'badge-dot (\w+)"', page.split('<ol class="axis"')[0])
    for path in ("/executions", "/automations", "/automations/again", "/"):
        assert "Completed, nobody reached" in viewer.get(path), path


@pytest.mark.parametrize("to_file", [True, False])
def test_where_messages_go_is_told(to_file: bool, push_url: str, tmp_path: Path) -> None:
    settings = settings_for(push_url, tmp_path)
    delivery = replace(settings.delivery, to_file=to_file)
    app = create_app(replace(settings, delivery=delivery))

    visitor = Visitor(app, "viewer")
    pages = [visitor.get(path) for path in ("/", "/executions", "/automations")]
    headers = {"Authorization": "Bearer viewer"}
    health = app.test_client().get("/health", headers=headers).get_json()

    assert {"Messages go to a file" in page for page in pages} == {to_file}
    assert health["transport"] == ("file" if to_file else "providers")
