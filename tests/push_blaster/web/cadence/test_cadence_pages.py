"""The pages about cadence, over the real cadence service."""

import re
from datetime import timedelta
from io import BytesIO
from typing import Any, Final

import pytest
import requests
from flask import Flask

from chassis.clock import utc_now
from chassis.postgres import BulkDatabase, Database
from tests.cadence_service.settings import CADENCE_TOKEN
from tests.page_reader import form_values, table_rows
from tests.people import ALICE, BOB
from tests.push_blaster.fatigue_support import write_sample
from tests.push_blaster.web.page_support import Visitor

BEARER: Final = {"Authorization": f"Bearer {CADENCE_TOKEN}"}


@pytest.fixture
def admin(
    app: Flask, app_beside_cadence: Flask, cadence_service: str, cadence_database: BulkDatabase
) -> Visitor:
    for hours in (1, 80):
        sent_at = (utc_now() - timedelta(hours=hours)).isoformat()
        requests.post(
            f"{cadence_service}/track-notification",
            json={
                "userId": str(ALICE),
                "layerId": 3,
                "pushTitle": "Seeds are in",
                "pushBody": "Come and see",
                "audienceDescription": "test",
                "sentAt": sent_at,
            },
            headers=BEARER,
            timeout=10,
        ).raise_for_status()
    return Visitor(app_beside_cadence, "admin")


def rules_form(page: str, **changes: str | None) -> dict[str, Any]:
    """Return what the rules' form would send."""
    found = form_values(page)
    for name, value in changes.items():
        found.pop(name, None)
        if value is not None:
            found[name] = [value]
    return found


def test_the_rules_are_shown_as_they_are_in_force(admin: Visitor) -> None:
    form = rules_form(admin.get("/cadence"))

    assert form["rule.0.name"] == ["layer_3_cooldown_hours"]
    assert form["rule.1.appliesToLayers"] == ["2", "3"]
    assert (form["rule.1.windowHours"], form["rule.1.maxCount"]) == (["168"], ["3"])


def test_a_change_is_tried_over_history_before_it_is_in_force(admin: Visitor) -> None:
    form = rules_form(admin.get("/cadence"), **{"rule.0.windowHours": "96"})

    tried = admin.client.post("/cadence/simulate", data=form).text
    still = rules_form(admin.get("/cadence"))
    saved = admin.client.post("/cadence/rules", data={**form, "by": "Ann", "note": "Too many"})

    assert "1 user would have received fewer pushes" in tried
    assert rules_form(tried)["rule.0.windowHours"] == ["96"]
    assert still["rule.0.windowHours"] == ["72"]
    assert saved.status_code == 303
    page = admin.get("/cadence")
    assert rules_form(page)["rule.0.windowHours"] == ["96"]
    assert "Too many" in page


def test_a_tried_change_says_what_the_capped_pushes_did(admin: Visitor, database: Database) -> None:
    write_sample(database)
    form = rules_form(admin.get("/cadence"), **{"rule.0.windowHours": "96"})

    tried = admin.client.post("/cadence/simulate", data=form).text
    same = admin.client.post("/cadence/simulate", data=rules_form(admin.get("/cadence"))).text

    assert "These rules would have capped less than one more push a week." in tried
    assert "are opened 48 to 69 % less often than the other pushes to the same users." in tried
    assert tried.count('class="whisker"') == same.count('class="whisker"') + 1
    assert "These rules would have capped as many pushes as the rules in force." in same


@pytest.mark.parametrize(
    ("maximum", "hours"), [("2.0", "0.5"), ("1", "1e7"), ("1", "nan"), ("1", "1e400")]
)
def test_odd_numbers_of_a_rule_are_tried_or_refused(
    admin: Visitor, database: Database, maximum: str, hours: str
) -> None:
    write_sample(database)
    changes = {"rule.0.maxCount": maximum, "rule.0.windowHours": hours}
    form = rules_form(admin.get("/cadence"), **changes)

    tried = admin.client.post("/cadence/simulate", data=form)

    assert tried.status_code in {200, 400}
    assert ("These rules would have capped" in tried.text) == (tried.status_code == 200)


def test_the_fatigue_curve_stands_below_the_rules_by_layer(
    admin: Visitor, database: Database
) -> None:
    young = admin.get("/cadence")
    write_sample(database)

    page, other = admin.get("/cadence?layer=3"), admin.get("/cadence?layer=2")

    assert "the first figures come 8 days after the first live push" in young
    assert "The second push in 7 days is opened" in page
    assert page.count('class="whisker"') == 2
    assert ["2nd", "300", "20 %", "20 %"] in table_rows(page)
    assert 'class="whisker"' not in other
    for odd in ("0", "x", "99999999999", "-1"):
        assert "How opening changes with more pushes" in admin.get(f"/cadence?layer={odd}")


def test_a_change_from_rules_that_are_no_longer_in_force_is_refused(admin: Visitor) -> None:
    form = rules_form(admin.get("/cadence"), **{"rule.0.isActive": None})
    admin.client.post("/cadence/rules", data=form)

    stale = admin.client.post("/cadence/rules", data=form)

    assert stale.status_code == 409
    assert "read them again" in stale.text


def test_a_rule_that_nobody_touched_keeps_what_a_colleague_saved(admin: Visitor) -> None:
    mine = rules_form(admin.get("/cadence"), **{"rule.0.windowHours": "96"})
    theirs = rules_form(admin.get("/cadence"), **{"rule.1.maxCount": "2", "rule.0.maxCount": "5"})
    admin.client.post("/cadence/rules", data=theirs)

    tried = rules_form(admin.client.post("/cadence/simulate", data=mine).text)
    saved = admin.client.post("/cadence/rules", data=tried)

    assert saved.status_code == 303, saved.text
    after = rules_form(admin.get("/cadence"))
    assert (after["rule.0.windowHours"], after["rule.0.maxCount"]) == (["96"], ["5"])
    assert after["rule.1.maxCount"] == ["2"]


def test_a_rule_that_both_changed_is_asked_about(admin: Visitor) -> None:
    page = admin.get("/cadence")
    mine, theirs = (rules_form(page, **{"rule.0.windowHours": hours}) for hours in ("96", "48"))
    admin.client.post("/cadence/rules", data=theirs)

    asked = admin.client.post("/cadence/rules", data=mine)
    answer = form_values(asked.text)

    assert asked.status_code == 409
    assert ["Pause between behaviour-responsive pushes: window in hours", "96", "48"] in table_rows(
        asked.text
    )
    assert admin.client.post("/cadence/rules", data={**answer, "all": "mine"}).status_code == 303
    assert rules_form(admin.get("/cadence"))["rule.0.windowHours"] == ["96"]


def test_what_is_no_rule_is_refused_in_the_services_words(admin: Visitor) -> None:
    form = rules_form(admin.get("/cadence"), **{"rule.0.maxCount": "often"})

    refused = admin.client.post("/cadence/simulate", data=form)

    assert refused.status_code == 400
    assert "maxCount" in refused.text


@pytest.mark.parametrize("name", ["", "  ", "two words"])
def test_a_rule_whose_name_was_cleared_is_refused_and_not_removed(
    admin: Visitor, name: str
) -> None:
    form = rules_form(admin.get("/cadence"), **{"rule.0.name": name})

    for path in ("/cadence/simulate", "/cadence/rules"):
        refused = admin.client.post(path, data=form)
        assert refused.status_code in {400, 409}
        assert "A name begins with a letter" in refused.text
    assert rules_form(admin.get("/cadence"))["rule.0.name"] == ["layer_3_cooldown_hours"]


def test_a_rule_is_removed_by_its_box_and_a_new_one_is_added_by_its_line(admin: Visitor) -> None:
    form = rules_form(admin.get("/cadence"), **{"rule.0.remove": "on"})
    new = max(form["order"])
    form |= {f"rule.{new}.name": ["new_rule"], f"rule.{new}.appliesToLayers": ["3"]}
    form |= {f"rule.{new}.countedLayers": ["3"]}

    saved = admin.client.post("/cadence/rules", data=form)

    assert saved.status_code == 303
    page = admin.get("/cadence")
    names = [value for name, value in rules_form(page).items() if name.endswith(".name")]
    assert ["layer_3_cooldown_hours"] not in names
    assert ["new_rule"] in names


def test_the_history_of_rules_says_what_changed_and_who_changed_it_by_the_api(
    admin: Visitor, cadence_service: str
) -> None:
    rule = requests.get(f"{cadence_service}/rules", headers=BEARER, timeout=10).json()["rules"][0]
    changed = {**rule, "windowHours": 96}
    requests.put(
        f"{cadence_service}/rules/{rule['name']}", json=changed, headers=BEARER, timeout=10
    ).raise_for_status()

    newest = next(row for row in table_rows(admin.get("/cadence")) if "72 → 96" in str(row))
    assert "Pause between behaviour-responsive pushes, window in hours: 72 → 96" in newest
    assert "admin, by API" in newest


def test_a_user_is_explained_layer_by_layer(admin: Visitor) -> None:
    held, free = (admin.get(f"/cadence/users?user={user}") for user in (ALICE, BOB))

    assert "Pause between behaviour-responsive pushes" in held
    assert held.count(">No<") == 1
    assert ">No<" not in free
    assert admin.client.get("/cadence/users?user=somebody").status_code == 400


def test_history_is_looked_at_brought_and_taken_back(admin: Visitor) -> None:
    def send(then: str) -> str:
        file = (
            BytesIO(
                f"user_id,layer_id,push_title,sent_at\n{BOB},3,Old,2026-11-01T10:00:00Z\nx,3,Bad,2026-11-01T10:00:00Z\n".encode()
            ),
            "old.csv",
        )
        form = {"csrf_token": admin.csrf_token(), "then": then, "file": file}
        return admin.client.post("/cadence/imports", data=form).text

    looked = send("look")
    brought = send("import")
    undo = re.search(r'action="(/cadence/imports/\d+/undo)"', brought)

    assert "Dry run: would import 1 notifications" in looked
    assert "Bad row" in looked
    assert "Imported 1 notifications" in brought
    assert undo
    assert admin.post(undo[1]).status_code == 303
    assert "1 notifications removed" in admin.get("/cadence/imports")


def test_without_the_cadence_service_the_pages_say_so(viewer: Visitor) -> None:
    away = viewer.client.get("/cadence")

    assert away.status_code == 503
    assert "<p>The cadence service did not answer" in away.text
    assert '<a href="/cadence">Try again</a>' in away.text


def test_an_operator_tries_the_rules_with_the_layers_that_they_have(
    admin: Visitor, app_beside_cadence: Flask
) -> None:
    assert "layer_3_cooldown_hours" in admin.get("/cadence")
    operator = Visitor(app_beside_cadence, "operator")
    form = rules_form(operator.get("/cadence"))

    answer = operator.client.post("/cadence/simulate", data=form)

    assert form["rule.1.appliesToLayers"] == ["2", "3"]
    assert answer.status_code == 200
    assert " would have received fewer pushes" in answer.text


def test_a_viewer_reads_the_rules_and_has_nothing_to_type_into(
    admin: Visitor, app_beside_cadence: Flask
) -> None:
    page = Visitor(app_beside_cadence, "viewer").get("/cadence")

    rule = re.compile('<fieldset class="panel rule"[^>]*>')
    assert {"disabled" in found for found in rule.findall(page)} == {True}
    assert "<legend>Pause between behaviour-responsive pushes</legend>" in page
    assert {"disabled" in found for found in rule.findall(admin.get("/cadence"))} == {False}


@pytest.mark.parametrize(("layer", "name"), [(1, "Breaking news"), (3, "Offers")])
def test_every_page_about_cadence_has_the_name_that_a_layer_was_given(
    admin: Visitor, cadence_service: str, layer: int, name: str
) -> None:
    changed = requests.put(
        f"{cadence_service}/layers/{layer}", json={"name": name}, headers=BEARER, timeout=10
    )
    assert changed.ok, changed.text
    rules = admin.get("/cadence")
    simulated = admin.client.post("/cadence/simulate", data=rules_form(rules)).text

    for page in (rules, simulated, admin.get(f"/cadence/users?user={ALICE}")):
        assert f"{layer} · {name}" in page
        assert re.search(r"1 · [\w -]+ <span class=\"note\">exempt</span>", page)
