"""What is planned: one push for a later day, and many automations paused and resumed at once."""

from datetime import timedelta
from uuid import UUID

import pytest
from playwright.sync_api import FilePayload, Page, expect

from chassis.clock import utc_now
from tests.browser.clicks import Story

pytestmark = pytest.mark.xdist_group("browser")


def a_file() -> FilePayload:
    content = f"user_id,device_token\n{UUID(int=910_001)},token-of-a-later-push\n"
    return {"name": "later.csv", "mimeType": "text/csv", "buffer": content.encode()}


def try_out(page: Page) -> None:
    page.get_by_role("link", name="Send a push").click()
    page.get_by_label("Title").fill("Seeds in spring")
    page.get_by_label("Text").fill("Order them now.")
    page.get_by_label("Layer").select_option("1")
    page.get_by_label("CSV file of users").set_input_files(a_file())
    page.get_by_role("button", name="Dry run").click()


def search(page: Page, text: str) -> None:
    page.get_by_role("search").get_by_label("Search everything").first.fill(text)
    page.keyboard.press("Enter")


def test_a_push_is_scheduled_found_in_the_calendar_changed_and_cancelled(
    page: Page, story: Story
) -> None:
    day = f"{utc_now() + timedelta(days=40):%Y-%m-%d}"
    with story("Try a push out, and send it later", 6):
        try_out(page)
        page.get_by_label("Day").fill(day, timeout=15_000)
        page.get_by_label("Time", exact=True).fill("18:30")
        page.get_by_label("Time zone").fill("UTC")
        page.get_by_role("button", name="Schedule").click()
        expect(page.get_by_text("Scheduled for")).to_be_visible()

    page.goto(f"/calendar/{day}")
    expect(page.get_by_role("row", name="Seeds in spring")).to_contain_text("18:30")
    search(page, "seeds in")
    page.get_by_role("link", name="Seeds in spring").first.click()
    page.get_by_role("link", name="Change or cancel the send").click()
    page.get_by_label("Title").fill("Seeds in summer")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Seeds in summer")).to_be_visible()
    page.get_by_role("button", name="Cancel the send").click()
    expect(page.get_by_role("button", name="Schedule again")).to_be_visible()
    page.goto(f"/calendar/{day}")
    expect(page.get_by_role("link", name="Seeds in summer")).to_have_count(0)


def test_ticked_automations_are_paused_and_resumed_after_a_question(
    page: Page, story: Story
) -> None:
    for action in ("Pause", "Resume"):
        with story(f"{action} a chosen automation", 4):
            page.get_by_role("link", name="Automations", exact=True).first.click()
            page.get_by_label("Choose Garden activity").check()
            page.get_by_role("button", name=f"{action} chosen…").click()
            expect(page.get_by_role("heading", name=f"{action} 1 automation?")).to_be_visible()
            page.get_by_role("button", name=f"{action} 1").click()
            expect(page.get_by_role("heading", name="1 of 1 automation ")).to_be_visible()
    page.get_by_role("link", name="Automations", exact=True).first.click()
    expect(page.get_by_role("row", name="Garden activity")).to_contain_text("Scheduled")
