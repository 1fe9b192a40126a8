"""Keys, the focus after a dialog, sorted tables, and stops under a thumb."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.accessibility import find_small_buttons
from tests.browser.pages import cancel_execution, sign_in, start_execution
from tests.local_stack.stack import LocalStack

pytestmark = pytest.mark.xdist_group("browser")


@pytest.fixture
def waiting(stack: LocalStack) -> Iterator[str]:
    """Return an execution that waits in its window."""
    execution_id = start_execution(stack, 5)
    yield execution_id
    cancel_execution(stack, execution_id)


@pytest.fixture
def phone(browser: Browser, stack: LocalStack) -> Iterator[Page]:
    """A phone on which an admin is signed in."""
    context = browser.new_context(
        base_url=stack.push_url, viewport={"width": 390, "height": 844}, has_touch=True
    )
    page = context.new_page()
    sign_in(page, stack)
    yield page
    context.close()


def close_by_escape(page: Page, dialog: Locator, opener: Locator) -> None:
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(opener).to_be_focused()


def test_keys_help_search_and_lead_back(page: Page) -> None:
    page.goto("/automations")
    shortcuts = page.get_by_role("dialog", name="Keyboard shortcuts")
    search, everything = (
        page.locator("main").get_by_role("searchbox"),
        page.get_by_text("Stop everything…"),
    )

    page.keyboard.press("j")
    row = page.locator("tr[aria-selected=true] a").first
    page.keyboard.press("?")
    close_by_escape(page, shortcuts, row)
    page.get_by_role("button", name="Keyboard shortcuts").click()
    close_by_escape(page, shortcuts, page.get_by_role("button", name="Keyboard shortcuts"))
    everything.click()
    close_by_escape(page, page.get_by_role("dialog", name="Confirm"), everything)
    page.keyboard.press("/")
    expect(search).to_be_focused()
    page.keyboard.type("who/what?")
    expect(search).to_have_value("who/what?")
    expect(shortcuts).to_be_hidden()


def test_the_focus_returns_to_a_link_that_was_drawn_anew(page: Page, waiting: str) -> None:
    page.goto(f"/executions/{waiting}")
    stop = page.locator(".head-run").get_by_role("link", name="Emergency stop…")
    stop.click()
    page.locator("[data-live]").first.evaluate("part => { part.innerHTML = part.innerHTML; }")

    close_by_escape(page, page.get_by_role("dialog", name="Confirm"), stop)


def test_a_table_is_sorted_by_its_times(page: Page, waiting: str) -> None:
    page.goto("/audit-log")
    times = page.locator("tbody td:first-child time")
    stamps = "all => all.map((one) => one.dateTime)"
    newest_first = times.evaluate_all(stamps)
    heading = page.get_by_role("columnheader", name="When")
    heading.click()

    assert times.evaluate_all(stamps) == sorted(newest_first)
    expect(heading).to_have_attribute("aria-sort", "ascending")
    heading.press("Enter")
    assert times.evaluate_all(stamps) == sorted(newest_first, reverse=True)


def test_whatever_stops_is_large_enough_for_a_thumb(phone: Page, waiting: str) -> None:
    small = {}
    for path in ("/", f"/executions/{waiting}", f"/executions/{waiting}/stop", "/stop-everything"):
        phone.goto(path)
        small[path] = find_small_buttons(phone)
        expect(phone.get_by_text("Stop").first).to_be_visible()

    assert {path: found for path, found in small.items() if found} == {}


def test_the_zone_is_chosen_in_a_dialog_over_any_page(page: Page) -> None:
    page.goto("/automations?show=all")
    page.get_by_role("link", name="Times: UTC, 24-hour").click()
    dialog = page.get_by_role("dialog", name="Confirm")
    dialog.get_by_label("Time zone").fill("Asia/Tokyo")
    dialog.get_by_label("12-hour").check()
    dialog.get_by_role("button", name="Show times like this").click()

    expect(page.get_by_role("link", name="Times: Asia/Tokyo, 12-hour")).to_be_visible()
    expect(page).to_have_url("/automations?show=all")
