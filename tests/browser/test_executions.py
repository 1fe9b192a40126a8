"""What operations staff do with what runs: watch it, cancel it, stop it, let it go."""

import re

from playwright.sync_api import Page, expect

from tests.browser import scene
from tests.browser.accessibility import find_faults
from tests.browser.pages import cancel_execution, start_execution
from tests.local_stack.stack import LocalStack


def test_an_execution_is_watched_through_its_window_and_stopped(
    page: Page, stack: LocalStack
) -> None:
    start_execution(stack, 5)

    card = page.locator("article", has_text="Garden activity")
    expect(card.get_by_text("Cancellation window")).to_be_visible(timeout=15_000)
    card.get_by_role("link", name="Garden activity").click()
    expect(page.get_by_text("Goes live in 4 min")).to_be_visible()
    page.get_by_role("link", name="Emergency stop…").click()
    dialog = page.get_by_role("dialog")
    assert find_faults(page) == []
    dialog.get_by_label("Type STOP to confirm").fill("STOP")
    dialog.get_by_role("button", name="Stop now").click()

    expect(page.get_by_text("Receipt:")).to_contain_text(
        re.compile(r"0 users sent to, 1.\d+ not sent to")
    )
    expect(page.locator("[data-log-lines]")).to_contain_text("Stopped by admin.")


def test_one_is_cancelled_from_the_dashboard(page: Page, stack: LocalStack) -> None:
    start_execution(stack, 5)

    card = page.locator("article", has_text="Garden activity")
    card.get_by_role("link", name="Cancel…").click(timeout=15_000)
    page.get_by_role("dialog").get_by_role("button", name="Cancel the execution").click()

    expect(page.get_by_text("Stopped. Sent to: 0.")).to_be_visible()
    page.goto("/")
    expect(page.get_by_text("No execution is running.")).to_be_visible()


def test_one_that_is_held_is_approved(page: Page, stack: LocalStack) -> None:
    execution_id = scene.start(stack, "frost-warning")
    page.goto("/")
    held = page.get_by_role("listitem").filter(has_text="waits for approval")
    held.get_by_role("link", name="Frost warning").click(timeout=15_000)
    page.get_by_role("link", name="Approve…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("The push goes to 437 users.")
    dialog.get_by_label("Your name").fill("Ann")
    dialog.get_by_role("button", name="Approve").click()

    expect(page.locator(".head-run")).to_contain_text("Approved by Ann.")
    cancel_execution(stack, execution_id)


def test_one_goes_live_while_its_page_is_open(page: Page, stack: LocalStack) -> None:
    execution_id = start_execution(stack, 0.05)

    page.goto(f"/executions/{execution_id}")

    expect(page.locator(".head-run")).to_contain_text("Completed", timeout=20_000)
    expect(page.locator("[data-log-lines]")).to_contain_text("All pushes have gone out.")
    expect(page.locator(".bars").first).to_contain_text("Capped by")


def test_rows_are_walked_by_keys_and_help_is_a_key_away(page: Page, stack: LocalStack) -> None:
    page.goto("/executions")

    page.keyboard.press("j")
    expect(page.locator("tr[aria-selected=true]")).to_have_count(1)
    page.keyboard.press("Control+/")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")

    expect(page).to_have_url(re.compile(r"/executions/garden-activity"))


def test_everything_is_stopped_from_wherever_one_is(page: Page, stack: LocalStack) -> None:
    start_execution(stack, 5)
    page.goto("/scripts")
    page.get_by_role("link", name="Stop everything…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Type STOP ALL to confirm").fill("STOP ALL")
    dialog.get_by_role("button", name="Stop everything").click()

    expect(page.get_by_text(re.compile(r"Executions stopped: [1-9]"))).to_be_visible()
    expect(page.get_by_text("No execution is running.")).to_be_visible()
    page.goto("/automations/garden-activity")
    page.get_by_role("link", name="Resume…").click()
    page.get_by_role("dialog").get_by_role("button", name="Resume").click()
    expect(page.get_by_role("heading", name="Garden activity")).to_contain_text("Scheduled")
