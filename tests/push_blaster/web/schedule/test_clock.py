"""What the clock watches: audit, debug, restore, health, from what engines have written down."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.operations.engine_table import beat
from push_blaster.use_cases.schedule.open_executions import Clock
from push_blaster.use_cases.schedule.watch_clock import ClockWatch
from push_blaster.web.schedule import clock
from tests.push_blaster.web.execution_support import DAILY, make_live, phase, started
from tests.push_blaster.web.recipes import RECIPES, create

MINUTE = timedelta(minutes=1)
#: Hours from now, whenever the test runs: nothing comes due by itself.
LATER = (utc_now() + timedelta(hours=6)).strftime("%H:%M")


@pytest.fixture
def now() -> datetime:
    return utc_now()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "RESTORE_WAITS", timedelta(seconds=0.5))


def scheduled(client: FlaskClient, name: str = "news") -> None:
    schedule = {**DAILY, "executionTime": LATER}
    create(client, id=name, status="active", isActive=True, schedule=schedule)


def an_engine(database: Database, now: datetime, name: str = "here:1") -> None:
    with database.transaction() as connection:
        beat(connection, name, now - 60 * MINUTE, now)


def age(tmp_path: Path, automation_id: str = "news", minutes: int = 5) -> dict[str, Any]:
    """Let the automation have been saved some minutes ago."""
    files = AutomationFiles(tmp_path / "automations")
    old = files.load(automation_id)
    edited_at = (utc_now() - minutes * MINUTE).isoformat()
    files.replace({**old, "updatedAt": edited_at}, expected_version=old["version"])
    return dict(files.load(automation_id))


def take_up(database: Database, tmp_path: Path, at: datetime) -> None:
    """Let a clock look at every automation, as an engine does."""
    Clock(database).tick(AutomationFiles(tmp_path / "automations").read_all(), at)


def get(client: FlaskClient, path: str) -> dict[str, Any]:
    data: dict[str, Any] = client.get(f"/api/automation/{path}").get_json()["data"]
    return data


def test_two_engines_and_two_watched_automations_are_no_risk(
    client: FlaskClient, database: Database, tmp_path: Path, now: datetime
) -> None:
    for name in ("a", "b"):
        scheduled(client, name)
    create(client, id="off")
    an_engine(database, now)
    an_engine(database, now, "there:2")
    an_engine(database, now - 5 * MINUTE, "gone:3")
    take_up(database, tmp_path, now)

    analysis = get(client, "audit")["analysis"]

    assert sorted(analysis["instanceIds"]) == ["here:1", "there:2"]
    assert analysis["silentEngines"] == ["gone:3"]
    assert analysis["totalJobsAcrossInstances"] == 2
    assert analysis["risks"] == []
    assert analysis["potentialZombieRisk"] is False
    assert analysis["recommendation"].startswith("Nothing to do.")


def test_an_automation_that_no_clock_has_taken_up_is_a_divergence_everywhere(
    client: FlaskClient, database: Database, tmp_path: Path, now: datetime
) -> None:
    scheduled(client)
    age(tmp_path)
    an_engine(database, now)

    said = "news: The clock has not taken up its schedule."
    health = client.get("/api/health")
    assert get(client, "audit")["analysis"]["risks"] == [said]
    assert (health.status_code, health.get_json()["status"]) == (503, "critical")
    assert health.get_json()["automationEngine"]["divergence"] == 1
    assert health.get_json()["automationEngine"]["restorationSuccess"] is False
    assert said in health.get_json()["problems"]

    restored = client.post("/api/automation/restore").get_json()
    assert restored["success"] is False
    assert restored["data"]["validation"]["divergence"] == 1
    assert said in restored["data"]["validation"]["message"]

    take_up(database, tmp_path, now)
    after = client.post("/api/automation/restore").get_json()
    assert after["success"] is True
    assert after["data"]["expectedCount"] == 1
    assert after["data"]["afterRestore"]["scheduledJobsCount"] == 1
    assert client.get("/api/health").get_json()["automationEngine"]["divergence"] == 0


def test_an_edit_that_the_clock_has_not_seen_is_a_divergence_after_seconds(
    client: FlaskClient, database: Database, tmp_path: Path, now: datetime
) -> None:
    scheduled(client)
    an_engine(database, now)
    take_up(database, tmp_path, now)
    client.put(f"{RECIPES}/news", json={"schedule": {**DAILY, "executionTime": f"{LATER}:59"}})

    fresh = get(client, "audit")["analysis"]["risks"]
    age(tmp_path)

    assert fresh == []
    assert get(client, "audit")["analysis"]["risks"] == [
        "news: The clock has not taken up its schedule."
    ]


def test_a_slot_that_is_due_and_not_opened_is_a_divergence(
    client: FlaskClient, database: Database, tmp_path: Path, now: datetime
) -> None:
    scheduled(client)
    age(tmp_path, minutes=3 * 24 * 60)
    take_up(database, tmp_path, now)
    watch = ClockWatch(AutomationFiles(tmp_path / "automations"), database)
    an_engine(database, now)
    (job,) = watch.look(now).jobs
    assert job.next_slot
    begins_at = job.next_slot - 60 * MINUTE

    def problem(at: datetime) -> str | None:
        an_engine(database, at)
        return watch.look(at).jobs[0].problem

    assert problem(begins_at + timedelta(seconds=14)) is None
    assert "is due to begin, and nothing was opened" in str(
        problem(begins_at + timedelta(seconds=16))
    )
    take_up(database, tmp_path, begins_at + timedelta(seconds=16))
    assert problem(begins_at + timedelta(seconds=16)) is None


def test_without_an_engine_nothing_is_watched_and_restore_does_not_wait(
    client: FlaskClient, database: Database, tmp_path: Path, now: datetime
) -> None:
    scheduled(client)
    take_up(database, tmp_path, now)

    restored = client.post("/api/automation/restore").get_json()["data"]

    assert restored["afterRestore"]["instanceId"] is None
    assert restored["validation"]["message"] == "1 of 1 are not. news: No engine is at work."
    assert get(client, "audit")["analysis"]["risks"] == ["No engine is at work: nothing is sent."]


def test_debug_tells_the_next_slot_and_what_runs_and_restore_aborts_nothing(
    client: FlaskClient, database: Database, tmp_path: Path, now: datetime
) -> None:
    scheduled(client)
    an_engine(database, now)
    take_up(database, tmp_path, now)
    execution_id = started(client)
    make_live(database, execution_id)

    told = get(client, "debug")
    client.post("/api/automation/restore")

    (job,) = told["scheduledJobs"]
    assert datetime.fromisoformat(job["nextExecution"]).strftime("%H:%M") == LATER
    assert job["isRunning"] is True
    assert job["executionConfig"]["currentPhase"] == "live_execution"
    assert job["executionConfig"]["canCancel"] is False
    assert [e["executionId"] for e in told["activeExecutions"]] == [execution_id]
    assert (told["activeExecutionsCount"], told["instanceId"]) == (1, "here:1")
    assert phase(client, execution_id) == "live_execution"


def test_rescheduling_takes_up_anew_and_touches_nothing_that_runs(
    client: FlaskClient, database: Database, tmp_path: Path, now: datetime
) -> None:
    scheduled(client)
    an_engine(database, now)
    take_up(database, tmp_path, now)
    execution_id = started(client)
    path = "/api/automation/debug/reschedule"

    done = client.post(path, json={"automationId": "news"}).get_json()

    assert done["success"] is True
    assert "Its next send: 20" in done["message"]
    assert phase(client, execution_id) == "waiting"
    assert client.get(f"{RECIPES}/news").get_json()["data"]["version"] == 2
    create(client, id="off")
    off = client.post(path, json={"automationId": "off"}).get_json()
    assert (off["success"], off["message"]) == (
        False,
        "It is 'draft': the clock opens nothing for it.",
    )
    assert client.post(path, json={"automationId": "none"}).status_code == 404
    assert client.post(path, json={}).status_code == 400


def test_health_has_the_shape_that_monitors_of_the_original_read(
    client: FlaskClient, database: Database, now: datetime
) -> None:
    an_engine(database, now)

    body = client.get("/api/health").get_json()

    assert set(body["automationEngine"]) >= {
        "scheduledJobsCount",
        "expectedJobsCount",
        "divergence",
        "lastRestorationAttempt",
        "restorationSuccess",
        "activeExecutionsCount",
        "instanceId",
    }
    assert body["automationEngine"]["restorationSuccess"] is True
    assert body["dependencies"] == {"database": "connected", "cadence": "unreachable"}
    assert set(body) >= {"status", "service", "timestamp", "uptime", "responseTimeMs"}
