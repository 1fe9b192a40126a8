"""Pause, resume, cancel and emergency stop, of one automation and of all."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.executions.execution_table import (
    NewExecution,
    count_running,
    insert_execution,
)
from push_blaster.adapters.operations.emergency_stops import select_unfinished
from push_blaster.domain.executions.execution import Trigger
from push_blaster.domain.executions.modes import Mode
from push_blaster.use_cases.automations.control_automation import Control
from push_blaster.use_cases.schedule.open_executions import Clock
from tests.push_blaster.web.execution_support import CONTROL, DAILY, make_live, phase, started
from tests.push_blaster.web.recipes import RECIPES, create


def scheduled(client: FlaskClient, automation_id: str = "news") -> None:
    create(client, id=automation_id, status="active", isActive=True, schedule=DAILY)


def a_waiting_execution(document: dict[str, Any]) -> NewExecution:
    return NewExecution(
        id=f"{document['id']}@1",
        document=document,
        mode=Mode.LIVE,
        trigger=Trigger.SCHEDULE,
        slot=utc_now() + timedelta(hours=1),
        begins_at=utc_now(),
    )


def act(client: FlaskClient, action: str, automation_id: str = "news", **body: Any) -> Any:
    return client.post(CONTROL, json={"automationId": automation_id, "action": action, **body})


def test_a_pause_cancels_what_is_pending_and_keeps_the_schedule(client: FlaskClient) -> None:
    scheduled(client)
    execution_id = started(client)

    paused = act(client, "pause", reason="Holiday").get_json()

    document = client.get(f"{RECIPES}/news").get_json()["data"]
    assert paused["status"] == document["status"] == "paused"
    assert paused["cancelledExecutions"] == [execution_id]
    assert client.get(f"/api/executions/{execution_id}").get_json()["reason"] == "Holiday"
    assert document["schedule"]["executionTime"] == "12:30"
    assert document["metadata"]["nextExecutionAt"] is None
    assert act(client, "pause").status_code == 409


def test_a_resume_takes_up_at_the_next_slot_and_makes_up_for_none(
    client: FlaskClient, database: Database, tmp_path: Path
) -> None:
    now = utc_now()
    soon = (now + timedelta(minutes=70)).strftime("%H:%M")
    create(client, status="active", isActive=True, schedule={**DAILY, "executionTime": soon})
    files, clock = AutomationFiles(tmp_path / "automations"), Clock(database)

    def tick(minutes: int) -> list[str]:
        return clock.tick(files.read_all(), now + timedelta(minutes=minutes))

    assert tick(0) == []
    act(client, "pause")
    assert tick(75) == [], "its slot passes while it is paused"
    resumed = act(client, "resume").get_json()
    late = {**files.load("news"), "activatedAt": (now + timedelta(minutes=80)).isoformat()}
    files.replace(late | {"version": late["version"] + 1}, expected_version=late["version"])

    assert resumed["status"] == "active"
    assert tick(80) == [], "five minutes late, and within the grace: but it was paused"
    (tomorrow,) = tick(24 * 60 + 11)
    assert tomorrow.startswith("news@")
    assert act(client, "resume").status_code == 409


def test_a_cancel_leaves_later_slots_and_what_is_live(
    client: FlaskClient, database: Database
) -> None:
    scheduled(client)
    execution_id = started(client)

    cancelled = act(client, "cancel").get_json()

    assert cancelled["cancelledExecutions"] == [execution_id]
    assert cancelled["status"] == "active"
    live = started(client)
    make_live(database, live)
    refused = act(client, "cancel")
    assert refused.status_code == 409
    assert "emergency_stop" in refused.get_json()["error"]
    assert phase(client, live) == "live_execution"


def test_an_emergency_stop_stops_what_is_live_and_pauses(
    client: FlaskClient, database: Database
) -> None:
    scheduled(client)
    live = started(client)
    make_live(database, live)

    stopped = act(client, "emergency_stop", reason="Wrong text").get_json()

    assert stopped["stoppedExecutions"] == [{"id": live, "sent": 0, "inDoubt": 0}]
    assert (stopped["status"], phase(client, live)) == ("paused", "cancelled")
    again = act(client, "emergency_stop").get_json()
    assert (again["stoppedExecutions"], again["status"]) == ([], "paused")


def test_everything_can_be_stopped_at_once_even_what_has_no_file(
    client: FlaskClient, database: Database, tmp_path: Path
) -> None:
    for name in ("a", "b", "lost"):
        scheduled(client, name)
    create(client, id="off")
    waiting, live, orphan = started(client, "a"), started(client, "b"), started(client, "lost")
    make_live(database, live)
    (tmp_path / "automations" / "lost.json").unlink()

    answer = client.post("/api/automation/emergency-stop").get_json()

    assert {one["id"]: one["status"] for one in answer["automations"]} == {
        "a": "paused",
        "b": "paused",
        "lost": "lost",
    }
    assert [phase(client, one) for one in (waiting, live, orphan)] == ["cancelled"] * 3
    assert client.post("/api/automation/emergency-stop").get_json()["automations"] == []


@pytest.fixture
def sealed(client: FlaskClient, tmp_path: Path) -> tuple[str, str]:
    """Two running executions, and a folder of automations that takes no file at present."""
    for name in ("a", "b"):
        scheduled(client, name)
    running = started(client, "a"), started(client, "b")
    lock = tmp_path / "automations" / ".lock"
    lock.unlink()
    lock.mkdir()
    return running


def test_everything_that_runs_ends_even_if_no_automation_can_be_paused(
    client: FlaskClient, database: Database, tmp_path: Path, sealed: tuple[str, str]
) -> None:
    answer = client.post("/api/automation/emergency-stop", json={"reason": "A leak"})

    told = answer.get_json()
    assert answer.status_code == 200
    assert "2 of them are not paused yet: The folder automations/" in told["message"]
    assert "Is a directory" in told["message"]
    assert [(one["id"], one["status"]) for one in told["automations"]] == [
        ("a", "pausing"),
        ("b", "pausing"),
    ]
    assert all("It starts nothing; engines try again." in o["message"] for o in told["automations"])
    assert [phase(client, one) for one in sealed] == ["cancelled"] * 2

    (tmp_path / "automations" / ".lock").rmdir()
    Control(AutomationFiles(tmp_path / "automations"), database).finish_emergency_stop(utc_now())
    assert client.get(f"{RECIPES}?status=active").get_json()["data"] == []


def test_everything_that_runs_ends_even_if_no_automation_can_be_read(
    client: FlaskClient, database: Database, tmp_path: Path, sealed: tuple[str, str]
) -> None:
    folder = tmp_path / "automations"
    folder.rename(tmp_path / "elsewhere")
    folder.write_text("")

    answer = client.post("/api/automation/emergency-stop")

    assert answer.status_code == 503
    told = answer.get_json()["error"]
    assert f"Stopped: {sealed[0]}, 0 sent, 0 in doubt." in told
    assert "no automation is paused yet" in told
    assert "Not a directory" in told
    assert [phase(client, one) for one in sealed] == ["cancelled"] * 2
    with database.transaction() as connection:
        assert select_unfinished(connection), "the clock opens nothing, and engines finish it"


def test_an_emergency_stop_of_one_says_that_it_could_not_pause_it(
    client: FlaskClient, tmp_path: Path, sealed: tuple[str, str]
) -> None:
    refused = act(client, "emergency_stop", "a")

    assert refused.status_code == 503
    told = refused.get_json()["error"]
    assert f"Stopped: {sealed[0]}, 0 sent, 0 in doubt." in told
    assert "the automation 'a' is not paused, and its next send still goes out" in told
    assert [phase(client, one) for one in sealed] == ["cancelled", "waiting"]

    (tmp_path / "automations" / ".lock").rmdir()
    assert act(client, "emergency_stop", "a").get_json()["status"] == "paused"


def test_a_change_that_cannot_be_written_says_so(
    client: FlaskClient, sealed: tuple[str, str]
) -> None:
    paused = act(client, "pause", "a")
    edited = client.put(f"{RECIPES}/b", json={"description": "new"})

    assert (paused.status_code, edited.status_code) == (503, 503)
    assert "Make room on its disk" in paused.get_json()["error"]
    assert [phase(client, one) for one in sealed] == ["waiting"] * 2


def test_what_can_be_done_is_told(client: FlaskClient, database: Database) -> None:
    def look() -> dict[str, Any]:
        data: dict[str, Any] = client.get(f"{CONTROL}?id=news").get_json()["data"]
        return data

    create(client)
    assert look()["availableActions"] == ["resume"]
    scheduled(client, "on")
    client.delete(f"{RECIPES}/news")
    scheduled(client)
    assert look()["availableActions"] == ["pause", "emergency_stop"]
    execution_id = started(client)
    waiting = look()
    assert waiting["availableActions"] == ["pause", "cancel", "emergency_stop"]
    assert waiting["executionStatus"]["id"] == execution_id
    assert waiting["cancellationInfo"]["canCancel"] is True
    make_live(database, execution_id)
    assert look()["availableActions"] == ["pause", "emergency_stop"]
    assert look()["cancellationInfo"]["timeRemainingMinutes"] == 0


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({}, 400, "automationId: Missing data"),
        ({"automationId": "news", "action": "explode"}, 400, "action: Must be one of: pause"),
        ({"automationId": "none", "action": "pause"}, 404, "There is no automation 'none'"),
        ({"automationId": "none", "action": "emergency_stop"}, 404, "There is no automation"),
    ],
)
def test_a_control_that_does_not_fit_says_why(
    client: FlaskClient, body: dict[str, Any], status: int, said: str
) -> None:
    refused = client.post(CONTROL, json=body)

    assert refused.status_code == status
    assert said in refused.get_json()["error"]


def test_a_pause_wins_against_edits_at_the_same_moment(client: FlaskClient) -> None:
    scheduled(client)
    other = client.application.test_client()
    other.environ_base["HTTP_AUTHORIZATION"] = "Bearer admin"

    def edit(number: int) -> int:
        return int(other.put(f"{RECIPES}/news", json={"description": str(number)}).status_code)

    with ThreadPoolExecutor(2) as pool:
        edits = [pool.submit(edit, number) for number in range(20)]
        paused = act(client, "pause")

    assert paused.status_code == 200
    assert {edit.result() for edit in edits} <= {200, 409}
    assert client.get(f"{RECIPES}/news").get_json()["data"]["status"] == "paused"


@pytest.mark.slow
def test_many_executions_are_stopped_within_a_second_and_their_files_follow(
    client: FlaskClient, database: Database, tmp_path: Path
) -> None:
    """The web dies before it has paused the automations: an engine does it."""
    many, folder = 300, tmp_path / "automations"
    scheduled(client, "some")
    document = json.loads((folder / "some.json").read_text())
    with database.transaction() as connection:
        for number in range(many):
            own = {**document, "id": f"some-{number}", "name": f"Some {number}"}
            (folder / f"some-{number}.json").write_text(json.dumps(own))
            insert_execution(connection, a_waiting_execution(own), utc_now())

    client.get(f"{RECIPES}?limit=1")  # a web that runs knows its files
    begun, others = time.monotonic(), set(threading.enumerate())
    answer = client.post("/api/automation/emergency-stop", json={"reason": "Stop"}).get_json()
    took = time.monotonic() - begun
    for pausing in set(threading.enumerate()) - others:
        pausing.join(30)  # or it writes into the folder of the next test

    assert took < 3
    assert sum(len(one["stoppedExecutions"]) for one in answer["automations"]) == many
    with database.transaction() as connection:
        assert count_running(connection) == 0
        emergency = select_unfinished(connection)
        assert emergency is None or emergency.reason == "Stop"
    Control(AutomationFiles(folder), database).finish_emergency_stop(utc_now())
    left = client.get(f"{RECIPES}?status=active").get_json()
    assert left["data"] == []
