"""Every state of an execution, and the dashboard while they last: nothing bars anybody."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.accessibility import find_faults
from tests.browser.scene import clear_scene, set_scene
from tests.local_stack.stack import LocalStack

pytestmark = pytest.mark.xdist_group("browser")


@pytest.fixture
def started(stack: LocalStack) -> Iterator[dict[str, str]]:
    started = set_scene(stack)
    yield started
    clear_scene(stack, started)


def test_nothing_bars_anybody_on_a_busy_day(page: Page, started: dict[str, str]) -> None:
    faults = {}
    for path in (
        "/",
        "/automations?show=in+trouble",
        *(f"/executions/{i}" for i in started.values()),
    ):
        page.goto(path)
        faults[path] = find_faults(page)

    assert {path: found for path, found in faults.items() if found} == {}


def test_what_needs_a_person_comes_before_what_runs(page: Page, started: dict[str, str]) -> None:
    page.goto("/")

    needed = page.get_by_role("region", name="Needs attention")
    expect(needed.get_by_role("link", name="Frost warning", exact=True)).to_be_visible()
    expect(needed.get_by_role("link", name="Harvest news", exact=True)).to_be_visible()
    expect(page.get_by_role("region", name="Running now")).to_contain_text("Watering tips")
    expect(page.get_by_role("region").first).to_contain_text("Needs attention")
