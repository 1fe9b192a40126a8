"""An empty dashboard leads a newcomer by the hand, step by step, until a live send has gone out."""

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

from chassis.postgres import BulkDatabase
from push_blaster.domain.executions.modes import Mode
from tests.builders import a_document
from tests.page_reader import form_values
from tests.push_blaster.bench import Bench
from tests.push_blaster.web.page_support import Visitor

STEPS = [
    "Connect a provider",
    "Register a test device",
    "See the cadence rules",
    "Create an automation",
    "Try it out",
    "Switch it on",
]


@pytest.fixture
def newcomer(
    app: Flask, app_beside_cadence: Flask, cadence_database: BulkDatabase, bench: Bench
) -> Visitor:
    """An admin of an empty installation, which reaches a cadence service."""
    return Visitor(app_beside_cadence, "admin")


def read_steps(visitor: Visitor) -> dict[str, str]:
    """Return the state of each step that the dashboard shows."""
    page = visitor.get("/")
    found = re.findall(r'badge-dot \w+">(\w+)</span>\s*<(?:a|b)[^>]*>([^<]+)<', page)
    return {title: state for state, title in found if title in STEPS}


def switch_on(client: FlaskClient, **changes: object) -> None:
    users = {"audienceCriteria": {"manualUserIds": ["a11ce000-0000-4000-8000-000000000001"]}}
    document = a_document(**users, **changes)
    assert client.post("/api/automation/recipes", json=document).status_code == 201


def test_every_step_is_done_by_what_it_asks_for(
    newcomer: Visitor, bench: Bench, client: FlaskClient
) -> None:
    assert list(read_steps(newcomer)) == STEPS
    assert read_steps(newcomer)["Connect a provider"] == "Next"
    newcomer.post("/devices/test", once="a", name="Phone", token="t", kind="fcm", platform="")
    newcomer.get("/cadence")
    switch_on(client, status="draft", isActive=False)
    bench.run(bench.start(Mode.REAL_DRY_RUN))

    steps = read_steps(newcomer)

    assert [title for title, state in steps.items() if state == "Done"] == STEPS[1:5]
    assert steps["Switch it on"] == "Open"


def test_each_step_leads_to_its_page(newcomer: Visitor) -> None:
    page = newcomer.get("/").split('class="panel first-steps"')[1].split("</section>")[0]

    links = re.findall(r'href="([^"#]+)', page)

    assert links == ["/", "/devices/test", "/cadence", "/templates", "/automations", "/automations"]
    assert [newcomer.client.get(link).status_code for link in links] == [200] * 6


def test_the_steps_are_gone_once_a_live_send_has_gone_out(newcomer: Visitor, bench: Bench) -> None:
    before = read_steps(newcomer)

    bench.run(bench.start(Mode.LIVE))

    assert before
    assert read_steps(newcomer) == {}


def test_whoever_wants_no_steps_sees_none(newcomer: Visitor, app_beside_cadence: Flask) -> None:
    assert form_values(newcomer.get("/"))["csrf_token"]

    answer = newcomer.post("/first-steps/dismiss")

    assert answer.status_code == 303
    assert read_steps(newcomer) == {}
    assert len(read_steps(Visitor(app_beside_cadence, "viewer"))) == len(STEPS)


def test_a_viewer_is_told_who_may_take_a_step(newcomer: Visitor, app_beside_cadence: Flask) -> None:
    viewer = Visitor(app_beside_cadence, "viewer")

    page = viewer.get("/")

    assert len(read_steps(viewer)) == len(read_steps(newcomer)) == len(STEPS)
    assert page.count("Ask somebody with the role operator.") == 2
    assert 'href="/templates">Create an automation' not in page
    assert viewer.post("/first-steps/dismiss").status_code == 303
