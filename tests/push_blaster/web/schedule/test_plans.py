"""Plans by API and by command: of saved automations, of drafts, of files in git."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient

from push_blaster.cli import main
from tests.builders import a_document
from tests.cadence_service.settings import CADENCE_TOKEN
from tests.people import ALICE as ALICE_ID
from tests.push_blaster.web.recipes import RECIPES, create

THURSDAYS = {
    "timezone": "UTC",
    "frequency": "weekly",
    "executionTime": "12:30",
    "startDate": "2027-01-07",
    "daysOfWeek": [4],
    "leadTimeMinutes": 60,
}
ALICE = str(ALICE_ID)
PUSH = {"title": "T", "body": "B", "layerId": 3}


@pytest.fixture
def planner(app: Flask, app_beside_cadence: Flask, cadence_service: str) -> FlaskClient:
    """The web beside a real cadence service."""
    client = app_beside_cadence.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = "Bearer viewer"
    return client


def thursdays(**changes: Any) -> dict[str, Any]:
    fitting = {
        "settings": {"testUserIds": [ALICE]},
        "audienceCriteria": {"customScript": {"scriptId": "users"}},
    }
    return a_document(**{"schedule": THURSDAYS, "pushSequence": [PUSH], **fitting, **changes})


@pytest.fixture(autouse=True)
def script(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "users.py").touch()


def plan_draft(planner: FlaskClient, draft: dict[str, Any], query: str = "count=2") -> Any:
    return planner.post(f"/api/automation/plan?{query}", json=draft)


def test_a_draft_is_planned_beside_its_neighbours_and_not_saved(
    planner: FlaskClient, client: FlaskClient
) -> None:
    tuesdays = {**THURSDAYS, "daysOfWeek": [2]}
    sale = a_document(id="sale", status="active", isActive=True, schedule=tuesdays)
    create(client, **(sale | {"pushSequence": [PUSH]}))

    plan = plan_draft(planner, thursdays(id="draft")).get_json()

    assert [slot["slot"][:10] for slot in plan["slots"]] == ["2027-01-07", "2027-01-14"]
    (finding,) = plan["findings"]
    assert finding["kind"] == "crowded"
    assert finding["message"].startswith("People who get “News” of Tue 12 Jan 2027, 12:30 UTC")
    assert (finding["rule"], finding["automationId"]) == ("layer_3_cooldown_hours", "sale")
    assert [a["id"] for a in client.get(RECIPES).get_json()["data"]] == ["sale"]


def test_a_plan_may_begin_later(planner: FlaskClient) -> None:
    plan = plan_draft(planner, thursdays(), "count=1&from=2027-06-01T00:00:00Z").get_json()

    assert plan["slots"][0]["slot"] == "2027-06-03T12:30:00+00:00"


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("count=0", "count: "),
        ("count=101", "count: "),
        ("from=soon", "from: "),
        ("from=0001-01-01T00:00:00Z", "from: "),
    ],
)
def test_a_query_that_does_not_fit_is_named(planner: FlaskClient, query: str, named: str) -> None:
    refused = plan_draft(planner, thursdays(), query)

    assert refused.status_code == 400
    assert named in refused.get_json()["error"]


def test_a_draft_that_does_not_fit_is_named(planner: FlaskClient) -> None:
    refused = plan_draft(planner, {"name": "x"})

    assert refused.status_code == 400
    assert "schedule" in refused.get_json()["error"]


def test_without_the_cadence_service_the_plan_says_what_it_could_not_look_at(
    client: FlaskClient,
) -> None:
    plan = client.post("/api/automation/plan", json=thursdays()).get_json()

    assert len(plan["slots"]) == 5
    assert [finding["kind"] for finding in plan["findings"]] == ["rules_unknown"]
    assert (
        "keep people from getting it: the cadence service did not answer"
        in (plan["findings"][0]["message"])
    )


def test_a_script_that_is_not_there_is_told(planner: FlaskClient) -> None:
    criteria = {"customScript": {"scriptId": "nobody"}}

    plan = plan_draft(planner, thursdays(audienceCriteria=criteria)).get_json()

    assert [(f["kind"], f["message"]) for f in plan["findings"]] == [
        (
            "no_audience",
            "There is no audience script 'nobody' in the scripts folder. Known: users.",
        )
    ]


@pytest.mark.parametrize(
    "expression", ["0 9 * * 5#L", "R 9 * * *", "0 9 1 * FRI#2", "0 9 * *", "0 0 9 * * *"]
)
def test_a_cron_expression_that_cannot_be_is_refused_with_what_can(
    planner: FlaskClient, expression: str
) -> None:
    schedule = {"frequency": "custom", "cronExpression": expression}

    refused = plan_draft(planner, thursdays(schedule=schedule))

    assert refused.status_code == 400
    assert f"schedule.cronExpression: {expression!r} is no cron" in refused.get_json()["error"]
    assert "'FRI#2' the second Friday" in refused.get_json()["error"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Automations as they are kept in git."""
    (tmp_path / "news.json").write_text(json.dumps(thursdays(isActive=True, status="active")))
    return tmp_path


def run(*arguments: object, **environment: str | None) -> Any:
    unset = {"CADENCE_SERVICE_URL": None, "CADENCE_API_TOKEN": None}
    return CliRunner().invoke(main, ["plan", *map(str, arguments)], env=unset | environment)


def test_files_are_planned_without_any_service(folder: Path) -> None:
    done = run("--count", 2, "--from", "2027-01-01", folder / "news.json")

    assert done.exit_code == 0, done.output
    assert "  2027-01-07 12:30+00:00  begins 11:30\n  2027-01-14 12:30+00:00" in done.output
    assert "CADENCE_SERVICE_URL and CADENCE_API_TOKEN are not set" in done.output


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PUSH_MIN_CANCELLATION_WINDOW_SECONDS", "7200", "a live send always has at least 2 h"),
        ("PUSH_MAX_AUDIENCE_SIZE", "9000000", "9000000 users take 150 h"),
        ("PUSH_TIME_LIMIT_SECONDS", "60", "100000 users take 1 h 40 min"),
    ],
)
def test_files_are_planned_by_the_limits_of_the_environment(
    folder: Path, name: str, value: str, said: str
) -> None:
    paced = thursdays(isActive=True, status="active", settings={"ratePerMinute": 1_000})
    (folder / "news.json").write_text(json.dumps(paced))

    usual = run("--from", "2027-01-01", folder / "news.json", **{name: None})
    limited = run("--from", "2027-01-01", folder / "news.json", **{name: value})

    assert said not in usual.output
    assert said in limited.output


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_a_day_at_the_edge_of_the_calendar_is_refused(folder: Path, day: str) -> None:
    done = run("--from", day, folder / "news.json")

    assert done.exit_code == 2
    assert f"'--from': {day} is not from 1970 to 2200." in done.output


def test_a_limit_that_does_not_fit_is_named(folder: Path) -> None:
    done = run(folder / "news.json", PUSH_MIN_CANCELLATION_WINDOW_SECONDS="soon")

    assert done.exit_code == 1
    assert "PUSH_MIN_CANCELLATION_WINDOW_SECONDS is 'soon'" in done.output


def test_files_are_planned_beside_each_other_by_the_rules_in_force(
    folder: Path, cadence_service: str
) -> None:
    sale = thursdays(id="sale", isActive=True, status="active")
    sale["schedule"] = {**THURSDAYS, "daysOfWeek": [2]}
    (folder / "sale.json").write_text(json.dumps(sale))

    done = run(
        folder / "news.json",
        folder / "sale.json",
        CADENCE_SERVICE_URL=cadence_service,
        CADENCE_API_TOKEN=CADENCE_TOKEN,
    )

    assert done.exit_code == 0, done.output
    assert "Fewer people would get it:" in done.output
    assert "48 h later: the 72-hour rule allows one" in done.output
    assert "layer_3_cooldown_hours" in done.output


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "is no JSON object"), ("[]", "is no JSON object"), ('{"name": "x"}', "schedule")],
)
def test_a_file_that_is_no_automation_is_named_and_the_others_are_planned(
    folder: Path, text: str, said: str
) -> None:
    (folder / "bad.json").write_text(text)

    done = run(folder / "bad.json", folder / "news.json")

    assert done.exit_code == 1
    assert "✗" in done.output
    assert said in done.output
    assert "12:30+00:00  begins 11:30" in done.output
