"""An automation that will surely fail is not put on the clock, by form, by page or by request."""

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.builders import a_document
from tests.page_reader import form_values
from tests.people import ALICE
from tests.push_blaster.web.execution_support import CONTROL
from tests.push_blaster.web.page_support import Visitor
from tests.push_blaster.web.recipes import RECIPES, create

ON = {"status": "active", "isActive": True}
SCRIPT = "audienceCriteria.customScript.scriptId"
TESTERS = "settings.testUserIds"
DAILY = {"timezone": "UTC", "frequency": "daily", "executionTime": "12:30"}
PUSH = {"title": "Title", "body": "Body", "layerId": 3}


@pytest.fixture(autouse=True)
def scripts(tmp_path: Path) -> None:
    folder = tmp_path / "scripts"
    folder.mkdir(exist_ok=True)
    (folder / "plain.py").write_text("# audiences: buyers, planters\n")
    (folder / "tested.py").write_text("# audiences: buyers, buyers_TEST\n")
    (folder / "writes.py").write_text("""NAME = "buyers"\nopen(f"{NAME}-test.csv", "w")\n""")
    (folder / "latest.py").write_text("# audiences: buyers, latest_tested\n")
    (folder / "typed.py").write_text("# parameter days (integer, required): How far back\n")


def of_script(script_id: str) -> dict[str, Any]:
    return {"customScript": {"scriptId": script_id}}


def that_works(**changes: Any) -> dict[str, Any]:
    fitting = {"audienceCriteria": of_script("plain"), "settings": {"testUserIds": [str(ALICE)]}}
    return a_document(**{**fitting, **changes})


FAILING: dict[str, tuple[dict[str, Any], str]] = {
    "no audience": ({"audienceCriteria": {}}, SCRIPT),
    "a script that is missing": ({"audienceCriteria": of_script("gone")}, SCRIPT),
    "nobody to test": ({"settings": {}}, TESTERS),
    "a script without TEST rows": (
        {"audienceCriteria": of_script("latest"), "settings": {}},
        TESTERS,
    ),
    "no test user who is a user": ({"settings": {"testUserIds": ["Mia"]}}, TESTERS),
    "named users and nobody to test": (
        {"audienceCriteria": {"manualUserIds": [str(ALICE)]}, "settings": {}},
        TESTERS,
    ),
    "its day is past": (
        {"schedule": {**DAILY, "frequency": "once", "startDate": "2020-02-01"}},
        "schedule.startDate",
    ),
    "its end is past": ({"schedule": {**DAILY, "endDate": "2020-02-01"}}, "schedule.endDate"),
    "an audience that nobody writes": (
        {"pushSequence": [PUSH, {**PUSH, "audienceName": "byers"}]},
        "pushSequence[1].audienceName",
    ),
    "a parameter is missing": (
        {"audienceCriteria": of_script("typed")},
        "audienceCriteria.customScript.parameters",
    ),
}
each_failing = pytest.mark.parametrize(("changes", "field"), FAILING.values(), ids=FAILING.keys())


@each_failing
def test_a_request_that_makes_it_active_is_refused_with_its_field(
    client: FlaskClient, changes: dict[str, Any], field: str
) -> None:
    document = that_works(**changes)

    refused = client.post(RECIPES, json={**document, **ON})
    drafted = client.post(RECIPES, json=document)
    switched = client.put(f"{RECIPES}/news", json=ON)
    by_body = client.put(RECIPES, json={"id": "news", **ON})
    insisted = client.put(f"{RECIPES}/news?acceptFindings=true", json=ON)

    assert [a.status_code for a in (refused, drafted, switched, by_body, insisted)] == [
        409,
        201,
        409,
        409,
        200,
    ]
    problem = refused.get_json()
    assert [line.partition(": ")[0] for line in problem["errors"]] == [field]
    assert problem["details"]["findings"][0]["field"] == field
    assert switched.get_json()["errors"] == problem["errors"]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"audienceCriteria": of_script("tested"), "settings": {}},
        {"audienceCriteria": of_script("writes"), "settings": {}},
        {"settings": {"safeguards": {"requireTestFirst": False}}},
        {"settings": {"testUserIds": [str(ALICE), "Mia"]}},
        {"pushSequence": [{**PUSH, "audienceName": "Buyers"}]},
        {"audienceCriteria": {"manualUserIds": [str(ALICE)]}},
    ],
)
def test_what_may_work_becomes_active(client: FlaskClient, changes: dict[str, Any]) -> None:
    assert client.post(RECIPES, json={**that_works(**changes), **ON}).status_code == 201


def test_an_automation_that_is_active_is_edited_as_before(client: FlaskClient) -> None:
    create(client, **ON)

    assert client.put(f"{RECIPES}/news", json={"name": "Newer", **ON}).status_code == 200


def test_the_form_shows_the_findings_beside_their_fields_and_saves_a_draft(
    admin: Visitor, client: FlaskClient
) -> None:
    typed: dict[str, Any] = {
        **form_values(admin.get("/automations/new"), "editor"),
        "name": "News",
        "pushSequence.0.title": "Title",
        "pushSequence.0.body": "Body",
        SCRIPT: "plain",
        "pushSequence.0.audienceName": "byers",
    }

    refused = admin.client.post("/automations/new", data={**typed, "then": "schedule"})
    none_yet = client.get(RECIPES).get_json()["data"]
    drafted = admin.client.post("/automations/new", data={**typed, "then": "keep"})

    assert refused.status_code == 409
    assert "Not scheduled: 2 fields need" in refused.text
    for field in (TESTERS, "pushSequence.0.audienceName"):
        assert f'href="#{field}"' in refused.text
        assert f'id="{field}-said"' in refused.text
    assert none_yet == []
    assert drafted.status_code == 303
    assert [a["status"] for a in client.get(RECIPES).get_json()["data"]] == ["draft"]


def test_the_form_schedules_what_may_work(admin: Visitor, client: FlaskClient) -> None:
    client.post(RECIPES, json=that_works())

    answer = admin.save("/automations/news/edit", then="schedule")

    assert answer.status_code == 303
    assert client.get(f"{RECIPES}/news").get_json()["data"]["status"] == "active"


def test_who_resumes_it_is_told_before(operator: Visitor, client: FlaskClient) -> None:
    create(client)

    page = operator.get("/automations/news/resume")
    client.put(f"{RECIPES}/news", json=that_works())
    repaired = operator.get("/automations/news/resume")

    assert "It will surely fail" in page
    assert "there is no audience" in page
    assert "It will surely fail" not in repaired


def test_the_originals_control_answers_with_warnings(client: FlaskClient) -> None:
    create(client, schedule={**DAILY, "endDate": "2020-02-01"})
    client.post(RECIPES, json=that_works(id="good"))

    def warnings(automation_id: str, action: str) -> str:
        body = {"automationId": automation_id, "action": action}
        answer = client.post(CONTROL, json=body)
        assert answer.status_code in {200, 202}
        return " ".join(answer.get_json()["warnings"])

    resumed, started = warnings("news", "resume"), warnings("news", "execute_now")

    assert "Nothing is left to send" in resumed
    assert "there is no audience" in resumed
    assert "there is no audience" in started
    assert "Nothing is left to send" not in started
    assert warnings("good", "resume") == warnings("good", "execute_now") == ""


def test_the_check_names_an_audience_that_the_script_does_not_declare(client: FlaskClient) -> None:
    client.post(RECIPES, json=that_works(pushSequence=[{**PUSH, "audienceName": "byers"}]))

    findings = client.get(f"{RECIPES}/news/plan").get_json()["findings"]
    suite = client.post("/api/automation/test", json={"automationId": "news"}).get_json()["data"]
    said = {result["testName"]: result["message"] for result in suite["results"]}

    (unknown,) = [f for f in findings if f["kind"] == "unknown_audience"]
    assert unknown["field"] == "pushSequence[0].audienceName"
    assert "It declares: buyers, planters." in unknown["message"]
    assert "'byers', which the script does not declare" in said["Audience Criteria"]
