"""Defects 19 to 26 of the original: lost or phantom schedules."""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient

from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.adapters.operations.engine_table import beat
from push_blaster.app import create_app
from push_blaster.cli import main
from tests.builders import NOON, a_document
from tests.push_blaster.bench import Bench, daily, messages
from tests.push_blaster.settings import settings_for
from tests.push_blaster.web.recipes import RECIPES
from tests.regressions.support import create, daily_in, tick_files

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


def health(client: FlaskClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/api/health").get_json()
    return found


def let_beat(database: Database, at: datetime) -> None:
    with database.transaction() as connection:
        beat(connection, "engine:1", at - DAY, at)


def test_defect_19_days_without_an_engine_are_on_record_and_the_next_one_catches_up(
    bench: Bench, client: FlaskClient
) -> None:
    automation = daily()
    bench.tick(automation)
    bench.now = NOON + 3 * DAY + 45 * MINUTE

    bench.tick(automation, clock=1)
    bench.work()
    bench.now += MINUTE
    bench.work()

    listed = client.get("/api/executions?automationId=news").get_json()["executions"]
    by_slot = {e["slot"][:10]: (e["phase"], e["reason"]) for e in listed}
    days = [(NOON + n * DAY).date().isoformat() for n in range(4)]
    assert [by_slot[day][0] for day in days] == ["missed", "missed", "missed", "completed"]
    assert all("No engine was there" in by_slot[day][1] for day in days[:3])
    assert len(messages(bench)) == 10


@pytest.mark.parametrize("status", ["active", "scheduled"])
def test_defect_20_what_is_created_as_active_is_scheduled_at_once(
    bench: Bench, client: FlaskClient, status: str
) -> None:
    document = a_document(status=status, isActive=True, schedule=daily_in(10))
    assert client.post(f"{RECIPES}?acceptFindings=true", json=document).status_code == 201

    assert client.get(f"{RECIPES}/news").get_json()["data"]["metadata"]["nextExecutionAt"]
    assert len(tick_files(bench, utc_now())) == 1


def test_defect_21_an_unreadable_file_hides_nobody_and_is_no_health(
    bench: Bench, client: FlaskClient
) -> None:
    create(client, schedule=daily_in(10))
    folder = bench.folder / "automations"
    (folder / "torn.json").write_text('{"id": "torn", "na')
    (folder / "deep.json").write_text('{"a":' * 50_000)
    (folder / "ring.json").symlink_to("ring.json")
    (folder / "far.json").write_text(
        json.dumps(a_document(id="far", schedule={**daily_in(10), "startDate": "9999-12-31"}))
    )
    (folder / "migrations.json").write_text("[]")
    let_beat(bench.database, utc_now())

    listed = client.get(RECIPES).get_json()
    told = health(client)
    edited = client.put(f"{RECIPES}/torn", json={"name": "New"})

    assert [document["id"] for document in listed["data"]] == ["news"]
    assert [b["file"] for b in listed["broken"]] == [
        f"{name}.json" for name in ("deep", "far", "ring", "torn")
    ]
    assert told["status"] != "healthy"
    assert told["automationEngine"]["expectedJobsCount"] == 1
    assert len(told["brokenAutomations"]) == 4
    assert edited.status_code == 409
    assert (folder / "torn.json").read_text() == '{"id": "torn", "na', "left for a person to mend"
    assert len(tick_files(bench, utc_now())) == 1, "the others run"


def test_defect_22_nothing_is_said_to_be_scheduled_while_no_engine_is_there(
    bench: Bench, client: FlaskClient
) -> None:
    create(client, schedule=daily_in(10))

    without = client.get("/api/health")
    let_beat(bench.database, utc_now())
    engine = health(client)["automationEngine"]

    assert without.status_code == 503
    counted = without.get_json()["automationEngine"]
    assert (counted["scheduledJobsCount"], counted["divergence"]) == (0, 1)
    assert (engine["scheduledJobsCount"], engine["divergence"]) == (1, 0)


def start(command: str, environment: Mapping[str, str | None]) -> tuple[int, str]:
    """Run a command that should end by itself; return its exit code and what it said."""
    done = CliRunner().invoke(main, [command], env=environment)
    return done.exit_code, done.output


def enough(tmp_path: Path, **changes: str) -> dict[str, str]:
    """Return the least environment with which the web starts."""
    return {
        "PUSH_BLASTER_DATABASE_URL": "postgresql://127.0.0.1:9/none",
        "PUSH_DATA_DIR": str(tmp_path / "data"),
        "CADENCE_API_TOKEN": "token-of-the-tests",
        "PUSH_ADMIN_TOKEN": "token-of-the-tests",
        **changes,
    }


@pytest.mark.parametrize("command", ["serve", "engine"])
def test_defect_23_a_start_without_what_it_needs_names_it(tmp_path: Path, command: str) -> None:
    code, said = start(command, enough(tmp_path, PUSH_ADMIN_TOKEN=""))

    assert code == 1
    assert "PUSH_ADMIN_TOKEN is not set. Set it, or PUSH_ADMIN_TOKEN_FILE" in said
    assert "Traceback" not in said


@pytest.mark.processes
def test_defect_23_a_port_that_is_taken_ends_the_start(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        done = subprocess.run(
            [str(Path(sys.executable).with_name("push-blaster")), "serve"],
            env=enough(tmp_path, PUSH_PORT=port),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert done.returncode != 0
    assert port in done.stderr


def test_defect_23_to_make_the_web_is_to_start_nothing(tmp_path: Path) -> None:
    before = threading.active_count()

    create_app(settings_for("postgresql://127.0.0.1:9/none", tmp_path))

    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("schedule", "slots"),
    [
        ({"frequency": "once", "startDate": "2027-03-01"}, ["2027-03-01"]),
        (
            {"frequency": "weekly", "startDate": "2027-03-04"},
            ["2027-03-04", "2027-03-11", "2027-03-18"],
        ),
        (
            {"frequency": "monthly", "startDate": "2027-01-31"},
            ["2027-01-31", "2027-02-28", "2027-03-31"],
        ),
        (
            {"frequency": "daily", "startDate": "2027-03-01", "endDate": "2027-03-02"},
            ["2027-03-01", "2027-03-02"],
        ),
        (
            {"frequency": "daily", "startDate": "2027-03-01", "executionTime": "00:10"},
            ["2027-03-01", "2027-03-02", "2027-03-03"],
        ),
    ],
    ids=["once is once", "weekly", "monthly", "an end date holds", "the lead is of the day before"],
)
def test_defect_24_every_frequency_means_what_it_says(
    client: FlaskClient, schedule: dict[str, str], slots: list[str]
) -> None:
    zone = {"timezone": "America/Chicago", "executionTime": "12:30", "leadTimeMinutes": 30}
    client.post(RECIPES, json=a_document(schedule={**zone, **schedule}))

    plan = client.get(f"{RECIPES}/news/plan?count=3").get_json()

    assert [slot["slot"][:10] for slot in plan["slots"]] == slots


@pytest.mark.parametrize(
    ("folder", "fault"),
    [
        ("", "PUSH_DATA_DIR is not set"),
        ("var", "PUSH_DATA_DIR is 'var'; it must be an absolute path"),
        ("/dev/null/data", "where nothing can be written"),
    ],
)
def test_defect_25_files_go_only_to_a_folder_that_was_named_and_can_be_written(
    tmp_path: Path, folder: str, fault: str
) -> None:
    code, said = start("engine", enough(tmp_path, PUSH_DATA_DIR=folder))

    assert code == 1
    assert fault in said
    assert "Traceback" not in said


def test_defect_26_a_process_that_does_no_work_is_not_called_alive(
    bench: Bench, client: FlaskClient
) -> None:
    create(client, schedule=daily_in(10))
    let_beat(bench.database, utc_now() - timedelta(seconds=20))

    told = client.get("/api/health")

    assert told.status_code == 503
    assert told.get_json()["automationEngine"]["engines"] == []
