"""The navigation: its groups, and what each role sees of them."""

import re
from typing import Final

import pytest

from tests.push_blaster.web.page_support import Visitor

EVERY_DAY: Final = ["Dashboard", "Automations", "Calendar", "Executions"]
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
