"""Routes about templates."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from push_blaster.app import create_app
from push_blaster.domain.delivery.deep_link import LinkPolicy
from push_blaster.domain.executions.limits import Limits
from tests.builders import a_document
from tests.push_blaster.settings import settings_for
from tests.push_blaster.web.recipes import a_template, create

PATH = "/api/automation/templates"

REQUIRED: dict[str, dict[str, Any]] = {
    "onboarding_funnel": {"user_segment": "new_users"},
    "retention_campaign": {},
    "feature_announcement": {"feature_name": "Trade rooms", "target_segment": "all_users"},
}


def start(client: FlaskClient, template_id: str, **body: Any) -> dict[str, Any]:
    response = client.post(f"{PATH}/{template_id}", json=body)
    assert response.status_code == 201, response.json
    automation: dict[str, Any] = response.get_json()["data"]["automation"]
    return automation


def with_hosts(push_url: str, folder: Path, *hosts: str) -> FlaskClient:
    settings = settings_for(push_url, folder)
    engine = replace(settings.engine, limits=Limits(links=LinkPolicy(hosts=frozenset(hosts))))
    client = create_app(replace(settings, engine=engine)).test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = "Bearer admin"
    return client


def test_three_templates_come_with_the_system_and_are_listed_by_category(
    client: FlaskClient,
) -> None:
    client.post(PATH, json=a_template(category="retention"))

    def ids(query: str = "") -> list[str]:
        return [t["id"] for t in client.get(PATH + query).get_json()["data"]]

    system = ["feature_announcement", "onboarding_funnel", "retention_campaign"]
    assert ids() == [*system, "spring"]
    assert ids("?systemOnly=true") == system
    assert ids("?category=retention") == ["retention_campaign", "spring"]
    assert client.get(f"{PATH}?category=odd").status_code == 400


@pytest.mark.parametrize(
    ("template_id", "layers", "schedule", "limits"),
    [
        ("onboarding_funnel", [5, 5, 5, 5], ("daily", "10:00"), (5_000, 2_500, 0.1)),
        ("retention_campaign", [2], ("weekly", "15:00"), (10_000, 5_000, 0.1)),
        ("feature_announcement", [1], ("once", "12:00"), (50_000, 25_000, 0.05)),
    ],
)
def test_each_of_them_makes_a_draft_with_the_originals_figures(
    client: FlaskClient,
    template_id: str,
    layers: list[int],
    schedule: tuple[str, str],
    limits: tuple[int, int, float],
) -> None:
    response = client.post(
        PATH, json={"templateId": template_id, "variables": REQUIRED[template_id]}
    )

    assert response.status_code == 201, response.json
    data = response.get_json()["data"]
    made = data["automation"]
    assert data["template"]["id"] == template_id
    assert (made["type"], made["status"], made["isActive"]) == ("sequence", "draft", False)
    assert [push["layerId"] for push in made["pushSequence"]] == layers
    assert (made["schedule"]["frequency"], made["schedule"]["executionTime"]) == schedule
    assert made["schedule"]["leadTimeMinutes"] == 30
    assert "startDate" not in made["schedule"]
    safeguards = made["settings"]["safeguards"]
    thresholds = safeguards["alertThresholds"]
    found = (safeguards["maxAudienceSize"], thresholds["audienceSize"], thresholds["failureRate"])
    assert found == limits
    assert made["settings"]["cancellationWindowMinutes"] == 30
    assert made["settings"]["emergencyStopEnabled"]
    assert made["settings"]["dryRunFirst"]
    assert made["metadata"]["templateId"] == template_id
    assert "{{" not in json.dumps(made["pushSequence"])
    read = client.get(f"/api/automation/recipes/{made['id']}").get_json()["data"]
    assert read["pushSequence"] == made["pushSequence"]


def test_the_hours_of_delay_are_every_pushs_but_the_firsts(client: FlaskClient) -> None:
    usual = start(client, "onboarding_funnel", variables=REQUIRED["onboarding_funnel"])
    longest = start(
        client,
        "onboarding_funnel",
        variables={**REQUIRED["onboarding_funnel"], "delay_hours": 168},
    )

    def delays(automation: dict[str, Any]) -> list[float]:
        return [push["timing"]["delayAfterPrevious"] for push in automation["pushSequence"]]

    assert delays(usual) == [0, 1440, 1440, 1440]
    assert delays(longest) == [0, 10_080, 10_080, 10_080]


def test_names_of_the_audience_are_left_for_the_audience_to_fill_in(client: FlaskClient) -> None:
    made = start(
        client,
        "onboarding_funnel",
        variables={"user_segment": "inactive_users", "personalization_level": "personalized"},
    )

    assert made["pushSequence"][0]["title"] == "[[var:first_name|Hello]]: Good to see you again"


@pytest.mark.parametrize(
    ("template_id", "variables", "fault"),
    [
        ("onboarding_funnel", {}, "variables.user_segment: Missing. Give one of: new_users, "),
        ("onboarding_funnel", {"user_segment": "all"}, "variables.user_segment: 'all' is none of"),
        (
            "onboarding_funnel",
            {"user_segment": "new_users", "delay_hours": 0},
            "variables.delay_hours: 0 is below the minimum. Give a number from 1 to 168.",
        ),
        ("retention_campaign", {"inactivity_days": "30"}, "variables.inactivity_days: '30' is no"),
        ("retention_campaign", {"days": 30}, "variables.days: The template has no such variable."),
        ("feature_announcement", {"target_segment": "all_users"}, "variables.feature_name: "),
    ],
)
def test_a_variable_that_does_not_fit_is_named_and_nothing_is_made(
    client: FlaskClient, template_id: str, variables: dict[str, Any], fault: str
) -> None:
    response = client.post(f"{PATH}/{template_id}", json={"variables": variables})

    assert response.status_code == 400
    assert any(line.startswith(fault) for line in response.get_json()["errors"]), response.json
    assert client.get("/api/automation/recipes").get_json()["data"] == []


def test_overrides_are_merged_and_the_script_gets_the_variables(client: FlaskClient) -> None:
    made = start(
        client,
        "retention_campaign",
        variables={"inactivity_days": 60},
        overrides={
            "id": "come-back",
            "name": "Come back",
            "description": "Ours",
            "schedule": {"executionTime": "16:00"},
            "audienceCriteria": {
                "customScript": {"scriptId": "sleepers", "parameters": {"incentive_type": "x"}}
            },
            "settings": {"testUserIds": ["u"], "safeguards": {"maxAudienceSize": 7}},
        },
    )

    assert (made["id"], made["name"], made["description"]) == ("come-back", "Come back", "Ours")
    assert (made["schedule"]["frequency"], made["schedule"]["executionTime"]) == ("weekly", "16:00")
    assert made["settings"]["testUserIds"] == ["u"]
    assert made["settings"]["safeguards"]["maxAudienceSize"] == 7
    assert made["settings"]["safeguards"]["alertThresholds"]["audienceSize"] == 5_000
    parameters = made["audienceCriteria"]["customScript"]["parameters"]
    assert parameters == {"inactivity_days": "60", "incentive_type": "x"}


@pytest.mark.parametrize(
    ("overrides", "fault"),
    [
        ({"status": "active"}, "overrides.status: Unknown field."),
        ({"schedule": {"executionTime": "noon"}}, "schedule.executionTime: 'noon' is no time"),
        ({"id": "../x"}, "id: Use letters"),
        (
            {"audienceCriteria": {"customScript": {"scriptId": "s", "parameters": [1]}}},
            "audienceCriteria.customScript.parameters: Not a valid mapping type.",
        ),
    ],
)
def test_an_override_that_does_not_fit_is_named(
    client: FlaskClient, overrides: dict[str, Any], fault: str
) -> None:
    response = client.post(f"{PATH}/retention_campaign", json={"overrides": overrides})

    assert response.status_code == 400
    assert any(line.startswith(fault) for line in response.get_json()["errors"]), response.json


def test_a_preview_shows_the_automation_and_saves_nothing(
    client: FlaskClient, tmp_path: Path
) -> None:
    response = client.post(f"{PATH}/retention_campaign", json={"preview": True})

    assert response.status_code == 200
    made = response.get_json()["data"]["automation"]
    assert made["pushSequence"][0]["title"] == "It has been 30 days"
    assert list((tmp_path / "automations").glob("*.json")) == []


def test_a_once_template_is_a_draft_until_somebody_says_the_day(client: FlaskClient) -> None:
    made = start(client, "feature_announcement", variables=REQUIRED["feature_announcement"])
    recipe = f"/api/automation/recipes/{made['id']}"
    on = {"status": "active", "isActive": True}

    refused = client.put(recipe, json=on)
    schedule = {**made["schedule"], "startDate": "2030-05-01"}
    accepted = client.put(f"{recipe}?acceptFindings=true", json={**on, "schedule": schedule})

    assert refused.status_code == 400
    assert "schedule.startDate: Give the day" in refused.get_json()["error"]
    assert accepted.status_code == 200
    assert accepted.get_json()["data"]["status"] == "active"


@pytest.mark.slow
def test_links_lead_to_the_host_given_or_allowed_and_else_nowhere(
    push_url: str, tmp_path: Path
) -> None:
    free = with_hosts(push_url, tmp_path)
    bound = with_hosts(push_url, tmp_path, "garden.example", "shop.example")
    to = {"variables": {"link_host": "www.shop.example"}}
    elsewhere = {"variables": {"link_host": "evil.example"}}

    def link(client: FlaskClient, **body: Any) -> str:
        found: str = start(client, "retention_campaign", **body)["pushSequence"][0]["deepLink"]
        return found

    assert link(free) == ""
    assert link(free, **to) == "https://www.shop.example/home"
    assert link(bound) == "https://garden.example/home"
    assert link(bound, **to) == "https://www.shop.example/home"
    refused = bound.post(f"{PATH}/retention_campaign", json=elsewhere)
    assert refused.status_code == 422
    assert (
        "Push 1: the deep link 'https://evil.example/home' leads to" in refused.get_json()["error"]
    )
    told = free.post(f"{PATH}/retention_campaign", json={"preview": True}).get_json()["message"]
    assert "Some pushes have no deep link: give link_host" in told


def test_a_template_of_ones_own_is_made_read_changed_used_and_deleted(
    client: FlaskClient, tmp_path: Path
) -> None:
    created = client.post(PATH, json=a_template())
    edited = client.put(
        f"{PATH}/spring", json={"name": "Spring 2"}, headers={"If-Match": created.headers["ETag"]}
    )
    stale = client.put(f"{PATH}/spring", json={"name": "X"}, headers={"If-Match": '"1"'})
    made = start(client, "spring", variables={"city": "Kyoto"})

    assert (created.status_code, edited.status_code, stale.status_code) == (201, 200, 412)
    assert created.get_json()["data"]["pushTemplates"][0]["variables"] == ["city"]
    saved = json.loads((tmp_path / "templates" / "spring.json").read_text())
    assert saved == client.get(f"{PATH}/spring").get_json()["data"]
    assert (saved["name"], saved["version"], saved["isSystemTemplate"]) == ("Spring 2", 2, False)
    assert made["pushSequence"][0]["title"] == "Spring in Kyoto"
    assert made["pushSequence"][0]["body"] == "Hi [[var:first_name|you]]"
    assert client.delete(f"{PATH}/spring").status_code == 200
    assert client.get(f"{PATH}/spring").status_code == 404
    assert client.get(f"/api/automation/recipes/{made['id']}").status_code == 200


def test_a_system_template_is_read_only(client: FlaskClient) -> None:
    path = f"{PATH}/retention_campaign"

    assert client.put(path, json={"name": "X"}).status_code == 409
    assert client.delete(path).status_code == 409
    taken = client.post(PATH, json=a_template(id="retention_campaign"))
    assert taken.status_code == 400
    assert "is a system template; choose another id" in taken.get_json()["error"]
    copied = client.post(PATH, json={**client.get(path).get_json()["data"], "id": "ours"})
    assert copied.status_code == 201
    assert copied.get_json()["data"]["isSystemTemplate"] is False


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"category": "odd"}, "category: Must be one of"),
        ({"variables": []}, "pushTemplates[0].titleTemplate: Uses city; declare it"),
        (
            {"variables": [{"name": "city", "type": "string"}] * 2},
            "variables: Declared twice: city.",
        ),
        ({"variables": [{"name": "1", "type": "string"}]}, "variables[0].name: Use letters"),
        ({"variables": [{"name": "city", "type": "date"}]}, "variables[0].type: Must be one of"),
        (
            {"variables": [{"name": "city", "type": "number", "defaultValue": "x"}]},
            "variables[0].defaultValue: 'x' is no number.",
        ),
        (
            {"variables": [{"name": "delay_hours", "type": "string"}]},
            "variables[0].type: The delay between pushes",
        ),
        (
            {"variables": [{"name": "city", "type": "string", "validation": {"pattern": "("}}]},
            "variables[0].validation.pattern: '(' is no regular expression",
        ),
        (
            {
                "variables": [
                    {"name": "city", "type": "string", "validation": {"pattern": "(a)\\1"}}
                ]
            },
            "variables[0].validation.pattern: '(a)\\\\1' is no regular expression of RE2",
        ),
        (
            {"variables": [{"name": "c", "type": "string", "validation": {"pattern": "x" * 501}}]},
            "variables[0].validation.pattern: It has 501 characters; 500 are allowed.",
        ),
        (
            {
                "variables": [
                    {"name": "c", "type": "string", "validation": {"pattern": "(x{99}){99}"}}
                ]
            },
            "variables[0].validation.pattern: '(x{99}){99}' is no regular expression",
        ),
        (
            {"pushTemplates": [{"titleTemplate": "{{city", "bodyTemplate": ""}]},
            "pushTemplates[0].titleTemplate: '{{city' is no placeholder; write {{name}}.",
        ),
        (
            {"pushTemplates": [{"titleTemplate": "T", "bodyTemplate": "", "layerId": 0}]},
            "pushTemplates[0].layerId: Layers are 1 to 5; 0 is none.",
        ),
        (
            {"pushTemplates": [{"titleTemplate": "T", "bodyTemplate": ""}] * 21},
            "pushTemplates: A sequence has 1 to 20 pushes.",
        ),
        ({"defaultSchedule": {"frequency": "daily"}}, "defaultSchedule.executionTime: Give"),
        ({"defaultSettings": {"inDoubt": "x"}}, "defaultSettings.inDoubt: Must be one of"),
    ],
)
def test_a_template_that_could_not_work_is_refused_by_name(
    client: FlaskClient, changes: dict[str, Any], fault: str
) -> None:
    response = client.post(PATH, json=a_template(**changes))

    assert response.status_code == 400
    assert any(line.startswith(fault) for line in response.get_json()["errors"]), response.json


def test_variables_have_names_of_any_script_from_the_template_to_the_message(
    client: FlaskClient,
) -> None:
    """The template declares the name with a letter in one piece, and is asked for it in two."""
    variables = [{"name": "имя", "type": "string"}, {"name": "caf\u00e9", "type": "string"}]
    pushes = [{"titleTemplate": "Привет, {{имя}}", "bodyTemplate": "{{cafe\u0301}} [[var:город]]"}]
    made = client.post(PATH, json=a_template(variables=variables, pushTemplates=pushes))
    assert made.status_code == 201, made.json
    assert made.get_json()["data"]["pushTemplates"][0]["variables"] == ["имя", "caf\u00e9"]

    push = start(client, "spring", variables={"имя": "Анна", "cafe\u0301": "Rossi"})[
        "pushSequence"
    ][0]

    assert (push["title"], push["body"]) == ("Привет, Анна", "Rossi [[var:город]]")


@pytest.mark.parametrize("name", ["1а", "первое имя", "a-b", "😀", "", "я" * 65])
def test_a_variable_that_no_text_can_name_is_refused(client: FlaskClient, name: str) -> None:
    answer = client.post(PATH, json=a_template(variables=[{"name": name, "type": "string"}]))

    assert answer.status_code == 400
    assert "letters of any script" in answer.text


def test_a_broken_file_is_listed_and_hides_nobody(client: FlaskClient, tmp_path: Path) -> None:
    client.post(PATH, json=a_template())
    (tmp_path / "templates" / "torn.json").write_text("{")
    (tmp_path / "templates" / "onboarding_funnel.json").write_text(
        json.dumps(a_template(id="onboarding_funnel"))
    )

    listing = client.get(PATH).get_json()

    assert len(listing["data"]) == 4
    assert [b["file"] for b in listing["broken"]] == ["onboarding_funnel.json", "torn.json"]
    assert client.get(f"{PATH}/torn").status_code == 409
    assert client.get(f"{PATH}/onboarding_funnel").get_json()["data"]["isSystemTemplate"]


def test_a_body_that_says_neither_what_to_start_nor_what_to_make_is_400(
    client: FlaskClient,
) -> None:
    nothing = client.post(PATH, json={})
    nobody = client.post(PATH, json={"templateId": "none"})

    assert nothing.status_code == 400
    assert "templateId" in nothing.get_json()["error"]
    assert nobody.status_code == 404


def test_an_automation_becomes_a_template_without_its_dates(client: FlaskClient) -> None:
    schedule = {**a_document()["schedule"], "startDate": "2026-11-01", "endDate": "2026-12-01"}
    create(
        client,
        schedule=schedule,
        audienceCriteria={"customScript": {"scriptId": "users"}},
        pushSequence=[
            {"title": "A", "body": "B", "layerId": 2, "audienceName": "haves"},
            {"title": "C", "body": "D", "layerId": 3, "timing": {"absoluteTime": "15:00"}},
        ],
    )

    saved = client.post(f"{PATH}/from/news", json={"id": "like-news", "category": "retention"})
    made = start(client, "like-news", overrides={"id": "again"})

    assert saved.status_code == 201, saved.json
    assert saved.get_json()["data"]["category"] == "retention"
    assert "startDate" not in made["schedule"]
    assert made["schedule"]["executionTime"] == "12:30"
    assert made["audienceCriteria"]["customScript"]["scriptId"] == "users"
    first, second = made["pushSequence"]
    assert (first["layerId"], first["audienceName"]) == (2, "haves")
    assert second["timing"]["absoluteTime"] == "15:00"


def test_only_an_admin_makes_something_of_a_template(client: FlaskClient) -> None:
    client.environ_base["HTTP_AUTHORIZATION"] = "Bearer operator"

    assert client.get(PATH).status_code == 200
    assert client.post(PATH, json=a_template()).status_code == 403
    assert client.post(f"{PATH}/retention_campaign", json={}).status_code == 403


def test_a_template_of_an_experiment_makes_the_same_experiment(client: FlaskClient) -> None:
    settings = {"goal": {"name": "buy", "withinHours": 24}, "exitOn": ["buy"]}
    experiment = {"testPercent": 20, "decideAfterMinutes": 90, "metric": "converted"}
    variants = [{"id": "a", "weight": 1}, {"id": "b", "weight": 3, "title": "Other {{city}}"}]
    push = {"title": "A", "body": "B", "variants": variants, "experiment": experiment}
    create(client, pushSequence=[push], settings=settings)

    client.post(f"{PATH}/from/news", json={"id": "like-news", "category": "retention"})
    made = start(client, "like-news", overrides={"id": "again"})

    assert made["pushSequence"][0]["experiment"] == experiment
    assert made["pushSequence"][0]["variants"] == [variants[0], {**variants[1], "title": "Other "}]
    assert made["settings"]["goal"] == settings["goal"]
    assert made["settings"]["exitOn"] == ["buy"]
