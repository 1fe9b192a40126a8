"""The navigation: its groups, and what each role sees of them."""

import re
from typing import Final

import pytest
from flask import Flask

from push_blaster.web.frame.frame import find_entry
from tests.push_blaster.web.page_support import Visitor

EVERY_DAY: Final = ["Dashboard", "Automations", "Calendar", "Executions"]
#: The first parts of paths of pages that belong to no entry.
BELONG_NOWHERE: Final = {"live", "search", "sign-in", "stop-everything", "times", "unsent"}
GROUPS: Final = ["Users", "Building blocks"]


def shown(html: str) -> tuple[list[str], list[str]]:
    """Return the headings of the navigation, and its entries."""
    navigation = html.partition('<nav aria-label="Main">')[2].partition("</nav>")[0]
    headings = re.findall(r'<p class="group"\s+id="[^"]+">\s*([^<]+?)\s*</p>', navigation)
    return headings, re.findall(r">([^<]+)</a>", navigation)


@pytest.mark.parametrize(
    ("role", "groups", "administration"),
    [
        ("viewer", GROUPS, []),
        ("operator", [*GROUPS, "Administration"], ["Alerts"]),
        ("admin", [*GROUPS, "Administration"], ["Alerts", "Audit log", "Tokens", "People"]),
    ],
)
def test_each_role_sees_the_groups_that_have_a_page_for_it(
    request: pytest.FixtureRequest, role: str, groups: list[str], administration: list[str]
) -> None:
    visitor: Visitor = request.getfixturevalue(role)

    headings, entries = shown(visitor.get("/"))

    assert headings == groups
    assert entries[:4] == EVERY_DAY
    assert entries[entries.index("API") + 1 :] == administration


def test_every_page_belongs_to_an_entry(app: Flask) -> None:
    pages = {
        rule.rule
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("pages_") and "GET" in (rule.methods or ())
    }

    with app.test_request_context():
        lost = {page.split("/")[1] for page in pages if not find_entry(page)}

    assert len(pages) > 50
    assert lost == BELONG_NOWHERE


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("/automations/new", "Automations"),
        ("/deleted-automations", "Automations"),
        ("/bulk/pause?all=1", "Automations"),
        ("/devices/test", "Devices"),
        ("/cadence/imports", "Cadence"),
        ("/templates", "Templates"),
        ("/times", None),
    ],
)
def test_the_navigation_marks_one_entry(
    admin: Visitor, app_beside_cadence: Flask, path: str, label: str | None
) -> None:
    page = Visitor(app_beside_cadence, "admin").get(path)

    navigation = page.partition('<nav aria-label="Main">')[2].partition("</nav>")[0]
    marked = re.findall(r'aria-current="page">([^<]+)</a>', navigation)
    assert marked == ([label] if label else [])
