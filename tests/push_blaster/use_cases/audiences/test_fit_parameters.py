"""Parameters and their script: checked before anything begins, converted, filled in."""

import json
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from push_blaster.app import create_app
from push_blaster.domain.executions.phase import Phase
from tests.push_blaster.bench import Bench, an_automation_document
from tests.push_blaster.settings import settings_for

DECLARED = """
# parameter first (integer, required): The number of the first user.
# parameter users (integer, default 3): How many users.
# parameter is_large (boolean)
import json, os
print(json.dumps({k: v for k, v in sorted(os.environ.items()) if k.startswith("PARAM_")}))
first, users = int(os.environ["PARAM_FIRST"]), int(os.environ["PARAM_USERS"])
with open(os.environ["OUTPUT_PATH"] + "/all.csv", "w") as file:
    file.write("user_id,first_name,device_token\\n")
    for n in range(first, first + users):
        file.write(f"00000000-0000-0000-0000-{n:012d},N,t{n}\\n")
"""


@pytest.fixture
def client(bench: Bench, push_url: str, tmp_path: Path) -> FlaskClient:
    bench.write_script(DECLARED)
    client = create_app(settings_for(push_url, tmp_path)).test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = "Bearer admin"
    return client


def save(client: FlaskClient, **parameters: Any) -> None:
    document = an_automation_document()
    document["audienceCriteria"]["customScript"]["parameters"] = parameters
    created = client.post("/api/automation/recipes?acceptFindings=true", json=document)
    assert created.status_code == 201


def test_the_script_sees_texts_with_defaults_filled_in(bench: Bench) -> None:
    bench.write_script(DECLARED)

    execution_id = bench.start(parameters={"first": 5.0, "users": None, "is_large": True})
    execution = bench.run(execution_id)

    assert execution.phase is Phase.COMPLETED, execution.reason
    seen = json.loads(bench.log(execution_id).partition("{")[2].partition("}")[0].join("{}"))
    assert seen == {"PARAM_FIRST": "5", "PARAM_USERS": "3", "PARAM_IS_LARGE": "true"}


def test_parameters_that_fit_no_more_when_the_script_is_due_fail_the_execution(
    bench: Bench,
) -> None:
    execution_id = bench.start(parameters={"first": "one", "frist": 1})
    bench.write_script(DECLARED)

    execution = bench.run(execution_id)

    assert execution.phase is Phase.FAILED
    assert "first: 'one' is no whole number" in (execution.reason or "")
    assert "frist: the script has no such parameter" in (execution.reason or "")


def test_a_header_that_cannot_be_understood_is_told_before_the_script_runs(bench: Bench) -> None:
    execution_id = bench.start()
    bench.write_script("# parameter first (intger): The first.")

    execution = bench.run(execution_id)

    assert execution.phase is Phase.FAILED
    assert "'intger' is no type" in (execution.reason or "")


def test_a_plan_tells_of_parameters_that_do_not_fit(client: FlaskClient) -> None:
    save(client, first="one")

    plan = client.get("/api/automation/recipes/news/plan").get_json()

    (found,) = [f for f in plan["findings"] if f["kind"] == "bad_parameters"]
    assert "first: 'one' is no whole number; give one such as 48." in found["message"]


def test_parameters_that_do_not_fit_start_nothing(client: FlaskClient) -> None:
    save(client, first="one")

    start = client.post("/api/executions", json={"automationId": "news"})
    trial = client.post("/api/automation/test/news", json={"mode": "real-dry-run"})
    suite = client.post("/api/automation/test", json={"automationId": "news"}).get_json()["data"]

    for answer in (start, trial):
        assert answer.status_code == 422
        assert "first: 'one' is no whole number" in answer.get_json()["error"]
    (seen,) = [r for r in suite["results"] if r["testName"] == "Audience Criteria"]
    assert (seen["status"], "first" in seen["message"]) == ("fail", True)
    assert client.get("/api/executions").get_json()["executions"] == []


def test_the_api_shows_what_a_script_declares(client: FlaskClient) -> None:
    script = client.get("/api/scripts/users").get_json()

    assert script["requiresParameters"] == ["first"]
    assert script["parameters"][1] == {
        "name": "users",
        "type": "integer",
        "required": False,
        "default": "3",
        "description": "How many users.",
        "choices": [],
        "min": None,
        "max": None,
    }
    assert script["headerFaults"] == []


def test_the_api_lists_what_a_script_may_use_and_see(client: FlaskClient) -> None:
    listing = client.get("/api/scripts").get_json()

    assert listing["limits"] == {
        "timeSeconds": 300,
        "memoryMb": 2_048,
        "outputMb": 4_096,
        "outputFiles": 1_000,
    }
    assert {"EXECUTION_ID", "OUTPUT_PATH", "PARAM_<NAME>"} <= set(listing["environment"])
