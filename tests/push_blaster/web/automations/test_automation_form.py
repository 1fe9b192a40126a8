"""The form of an automation: every setting, typed parameters, variants, and its buttons."""

import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from marshmallow import Schema, fields

from push_blaster.adapters.automations.automation_schema import AutomationSchema
from push_blaster.web.automations.automation_fields import ENTRIES, MANAGED, PARAMETERS, describe
from tests.builders import a_document
from tests.page_reader import form_values, table_rows
from tests.push_blaster.web.page_support import Visitor

CHANGED = "/automations/news/edit"
SCRIPT = "audienceCriteria.customScript.scriptId"
WATERERS = '''"""
audience waterers: Everybody with a can
parameter days (integer, default 2, at least 1, at most 30): How far to look back
parameter tone (choice of short|long, required): Which text
parameter all (boolean)
"""
'''

#: What nobody fills in: it is listed on the page, and kept.
KEPT = {
    "type",
    "template",
    "metadata",
    "audienceCriteria.uploadedFile.name",
    "audienceCriteria.uploadedFile.sha256",
    "settings.emergencyStopEnabled",
}


@pytest.fixture
def news(client: FlaskClient, tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "scripts").mkdir(exist_ok=True)
    (tmp_path / "scripts" / "waterers.py").write_text(WATERERS)
    (tmp_path / "scripts" / "others.py").write_text("# parameter since (date): Since when\n")
    document = a_document(id="news", name="News", colour="green")
    document["audienceCriteria"] = {"customScript": {"scriptId": "waterers"}}
    document["audienceCriteria"]["customScript"]["parameters"] = {"days": 3, "tone": "long"}
    document["pushSequence"] = [
        {"id": "a", "title": "First", "body": "One", "layerId": 2},
        {"id": "b", "title": "Second", "body": "Two", "layerId": 3},
    ]
    created = client.post("/api/automation/recipes", json=document)
    data: dict[str, Any] = created.get_json()["data"]
    return data


def saved(client: FlaskClient) -> dict[str, Any]:
    document: dict[str, Any] = client.get("/api/automation/recipes/news").get_json()["data"]
    return document


def parameters(client: FlaskClient) -> dict[str, Any]:
    given: dict[str, Any] = saved(client)["audienceCriteria"]["customScript"]["parameters"]
    return given


def paths_of(schema: Schema, above: str = "") -> Iterator[str]:
    for name, field in schema.fields.items():
        path = f"{above}{field.data_key or name}"
        inner = field
        if isinstance(field, fields.List) and isinstance(field.inner, fields.Nested):
            inner, path = field.inner, f"{path}.#"
        if isinstance(inner, fields.Nested):
            yield from paths_of(inner.schema, f"{path}.")
        else:
            yield path


def test_every_setting_that_people_decide_is_in_the_form() -> None:
    known = {*ENTRIES, *MANAGED, *KEPT, PARAMETERS}

    assert set(paths_of(AutomationSchema())) - known == set()


def test_every_setting_is_saved_under_its_own_name(
    admin: Visitor, client: FlaskClient, news: dict[str, Any]
) -> None:
    typed: dict[str, Any] = {
        "settings.quietHours.start": "22:00",
        "settings.quietHours.end": "08:00",
        "settings.quietHours.whenQuiet": "drop",
        "settings.localTime": "on",
        "settings.deliverWithinMinutes": "600",
        "settings.ratePerMinute": "250",
        "settings.devices": "all",
        "settings.holdoutPercent": "2.5",
        "settings.cancellationWindowMinutes": "0",
        "settings.safeguards.drift.leastOverlap": "40",
        "schedule.missedRunPolicy": "skip",
        "schedule.graceMinutes": "0",
    }

    assert admin.save(CHANGED, **typed).status_code == 303

    settings = saved(client)["settings"]
    assert settings["quietHours"] == {"start": "22:00", "end": "08:00", "whenQuiet": "drop"}
    assert {name: settings[name] for name in ("localTime", "deliverWithinMinutes")} == {
        "localTime": True,
        "deliverWithinMinutes": 600,
    }
    assert (settings["ratePerMinute"], settings["devices"]) == (250, "all")
    assert (settings["holdoutPercent"], settings["cancellationWindowMinutes"]) == (2.5, 0)
    assert settings["safeguards"]["drift"] == {"leastOverlap": 0.4}
    assert saved(client)["schedule"]["missedRunPolicy"] == "skip"
    assert saved(client)["schedule"]["graceMinutes"] == 0
    page = admin.get("/automations/news")
    for words in ("22:00 to 08:00", "not sent", "250 messages per minute", "2.5 % of users"):
        assert words in page


def test_quiet_hours_that_are_emptied_are_gone(
    admin: Visitor, client: FlaskClient, news: dict[str, Any]
) -> None:
    hours = {"settings.quietHours.start": "22:00", "settings.quietHours.end": "08:00"}
    admin.save(CHANGED, **hours)

    admin.save(CHANGED, **dict.fromkeys(hours, ""))

    assert "quietHours" not in saved(client)["settings"]


def test_half_of_the_quiet_hours_is_refused_beside_the_other_half(
    admin: Visitor, news: dict[str, Any]
) -> None:
    refused = admin.save(CHANGED, **{"settings.quietHours.start": "22:00"})

    assert refused.status_code == 400
    assert 'href="#settings.quietHours.end">Quiet hours until</a>' in refused.text
    assert 'id="settings.quietHours.end-said"' in refused.text
    assert "Give the start and the end, both as HH:MM." in refused.text


def test_what_does_not_fit_is_listed_in_the_order_of_the_form(
    admin: Visitor, news: dict[str, Any]
) -> None:
    wrong = {"pushSequence.0.title": "", "name": "", f"{PARAMETERS}.days": "0"}

    refused = admin.save(CHANGED, **wrong).text

    listed = re.findall(r'<li><a href="#([^"]+)"', refused[: refused.index('class="editor"')])
    assert listed == ["name", f"{PARAMETERS}.days", "pushSequence.0.title"]


def test_parameters_are_fields_of_their_own_and_keep_their_types(
    admin: Visitor, client: FlaskClient, news: dict[str, Any]
) -> None:
    page = admin.get(CHANGED)

    assert "At least 1, at most 30" in page
    assert 'value="long" selected' in page
    admin.save(CHANGED)
    assert parameters(client) == {"days": 3, "tone": "long"}
    admin.save(CHANGED, **{f"{PARAMETERS}.days": "", f"{PARAMETERS}.all": "true"})
    assert parameters(client) == {"tone": "long", "all": True}


@pytest.mark.parametrize(
    ("name", "typed", "said"),
    [
        ("days", "31", "31 is too much; give 30 or less."),
        ("days", "two", "is no whole number; give one such as 48."),
        ("tone", "", "is required, a choice: Which text"),
    ],
)
def test_a_parameter_that_does_not_fit_is_refused_beside_its_field(
    admin: Visitor, client: FlaskClient, news: dict[str, Any], name: str, typed: str, said: str
) -> None:
    refused = admin.save(CHANGED, **{f"{PARAMETERS}.{name}": typed})

    assert refused.status_code == 400
    beside = refused.text[refused.text.index(f'id="{PARAMETERS}.{name}-said"') :]
    assert said in beside[: beside.index("</p>")]
    assert parameters(client) == {"days": 3, "tone": "long"}


def test_another_script_brings_its_own_parameters(
    admin: Visitor, client: FlaskClient, news: dict[str, Any]
) -> None:
    shown = admin.save(CHANGED, **{SCRIPT: "others", "change": "script"})

    assert shown.status_code == 200
    assert f'name="{PARAMETERS}.since"' in shown.text
    assert f'name="{PARAMETERS}.days"' not in shown.text
    assert saved(client)["version"] == 1
    assert admin.save(CHANGED, **{SCRIPT: "others"}).status_code == 303
    assert parameters(client) == {}


def test_a_script_that_is_not_there_stays_chosen(
    admin: Visitor, client: FlaskClient, news: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "scripts" / "waterers.py").unlink()

    admin.save(CHANGED)

    assert saved(client)["audienceCriteria"] == news["audienceCriteria"]


def test_two_wordings_are_tried_against_each_other(
    admin: Visitor, client: FlaskClient, news: dict[str, Any]
) -> None:
    shown = admin.save(CHANGED, change="add-variant:1").text
    form: dict[str, Any] = {
        **form_values(shown),
        "pushSequence.1.variants.1.title": "Other",
        "pushSequence.1.variants.1.weight": "3",
    }

    assert admin.client.post(CHANGED, data=form).status_code == 303

    first, second = saved(client)["pushSequence"][1]["variants"]
    assert (first["id"], first["weight"], first.get("title")) == ("A", 1, None)
    assert (second["id"], second["weight"], second["title"]) == ("B", 3, "Other")
    page = admin.get("/automations/news")
    assert "for 25 % of users" in page
    assert "for 75 % of users" in page


def test_an_experiment_is_made_changed_and_ended_in_the_form(
    admin: Visitor, client: FlaskClient, news: dict[str, Any]
) -> None:
    at = "pushSequence.1.experiment"
    assert f"{at}.testPercent" not in form_values(admin.get(CHANGED), "editor")
    shown = admin.save(CHANGED, change="add-variant:1").text
    typed = {**form_values(shown), f"{at}.testPercent": "20", f"{at}.whenUnsure": "nobody"}

    assert admin.client.post(CHANGED, data=typed).status_code == 303

    experiment = saved(client)["pushSequence"][1]["experiment"]
    assert experiment == {"testPercent": 20, "whenUnsure": "nobody"}
    page = admin.get("/automations/news")
    assert "for 10 % of users" in page
    assert "<b>The winner</b> <span>for 80 % of users</span> <span>1 h later</span>" in page
    assert "The others get the winner" in page
    assert admin.save(CHANGED, **{f"{at}.testPercent": ""}).status_code == 303
    assert "experiment" not in saved(client)["pushSequence"][1]


def test_an_experiment_that_does_not_fit_is_refused_at_its_field(
    admin: Visitor, client: FlaskClient, news: dict[str, Any]
) -> None:
    at = "pushSequence.0.experiment"
    shown = admin.save(CHANGED, change="add-variant:0").text
    typed = {**form_values(shown), f"{at}.testPercent": "20", f"{at}.decideAfterMinutes": "10"}

    refused = admin.client.post(CHANGED, data=typed)

    assert refused.status_code == 400
    assert f'href="#{at}.decideAfterMinutes">Push 1: Decide after</a>' in refused.text
    assert form_values(refused.text)[f"{at}.testPercent"] == ["20"]


def test_a_goal_and_exits_are_saved_and_gone_once_emptied(
    admin: Visitor, client: FlaskClient, news: dict[str, Any]
) -> None:
    typed = {
        "settings.goal.name": "purchase",
        "settings.goal.withinHours": "48",
        "settings.exitOn": "purchase\nopted_out",
    }

    assert admin.save(CHANGED, **typed).status_code == 303

    settings = saved(client)["settings"]
    assert settings["goal"] == {"name": "purchase", "withinHours": 48}
    assert settings["exitOn"] == ["purchase", "opted_out"]
    page = admin.get("/automations/news")
    assert "purchase, within" in page
    assert "purchase, opted_out" in page
    assert admin.save(CHANGED, **dict.fromkeys(typed, "")).status_code == 303
    assert "goal" not in saved(client)["settings"]


def test_variants_of_one_name_are_refused_at_their_push(
    admin: Visitor, client: FlaskClient, news: dict[str, Any]
) -> None:
    form: dict[str, Any] = form_values(admin.save(CHANGED, change="add-variant:0").text)

    refused = admin.client.post(CHANGED, data={**form, "pushSequence.0.variants.1.id": "A"})

    assert refused.status_code == 400
    assert 'href="#pushSequence.0.variants">Push 1: variants</a>' in refused.text
    assert "Each variant of a push has an id of its own." in refused.text


@pytest.mark.parametrize(
    ("change", "titles", "focus"),
    [
        ("up:1", ["Second", "First"], "down.0"),
        ("down:0", ["Second", "First"], "up.1"),
        ("remove:0", ["Second"], "pushSequence.0.title"),
        ("add", ["First", "Second", ""], "pushSequence.2.title"),
    ],
)
def test_buttons_rearrange_the_pushes_and_save_nothing(
    admin: Visitor,
    client: FlaskClient,
    news: dict[str, Any],
    change: str,
    titles: list[str],
    focus: str,
) -> None:
    shown = admin.save(CHANGED, change=change, name="Newer").text

    form = form_values(shown)
    places = form["order"]
    assert [form[f"pushSequence.{place}.title"][0] for place in places] == titles
    assert f'data-focus="{focus}"' in shown
    assert f'id="{focus}"' in shown
    assert form["name"] == ["Newer"]
    assert saved(client)["version"] == 1


@pytest.mark.parametrize("change", ["up:7", "sideways:0", "add:1:2", "remove-variant:0:0"])
def test_what_is_no_button_is_refused(admin: Visitor, news: dict[str, Any], change: str) -> None:
    assert admin.save(CHANGED, change=change).status_code == 400


def test_what_the_form_does_not_show_is_listed(admin: Visitor, news: dict[str, Any]) -> None:
    page = admin.get(CHANGED)

    kept = page[page.index("Other fields") :]
    assert "<code>colour</code>" in kept
    assert "green" in kept


def test_a_conflict_names_fields_as_the_form_does(
    admin: Visitor, client: FlaskClient, news: dict[str, Any]
) -> None:
    form: dict[str, Any] = {
        **form_values(admin.get(CHANGED)),
        "settings.quietHours.start": "22:00",
        "settings.quietHours.end": "08:00",
        f"{PARAMETERS}.days": "5",
    }
    criteria = deepcopy(news["audienceCriteria"])
    criteria["customScript"]["parameters"]["days"] = 7
    client.put("/api/automation/recipes/news", json={"audienceCriteria": criteria})

    page = admin.client.post(CHANGED, data=form).text

    rows = table_rows(page)
    assert ["days", "5", "7"] in rows
    assert ["Quiet hours from", "22:00", "—"] in rows


def test_a_field_is_told_with_its_push() -> None:
    assert describe("pushSequence.1.title") == "Push 2: Title"
    assert describe("pushSequence.0.variants.1.weight") == "Push 1, variant 2: Weight"
    assert describe(f"{PARAMETERS}.days") == "days"
