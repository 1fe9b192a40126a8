"""What somebody typed is not lost: by leaving the page, or by the end of the session."""

import pytest
import requests
from playwright.sync_api import Page, expect

from tests.browser.pages import ask
from tests.local_stack.stack import LocalStack

pytestmark = pytest.mark.xdist_group("browser")

EDIT = "/automations/typed/edit"
OFFER = "Entries that are not saved"


def _create(stack: LocalStack) -> None:
    """Create a draft like the example, which other tests count the pushes of."""
    example = ask(stack, "/api/automation/recipes/garden-activity")["data"]
    document = {**example, "id": "typed", "name": "Typed", "isActive": False, "status": "draft"}
    requests.post(
        f"{stack.push_url}/api/automation/recipes",
        json=document,
        headers={"Authorization": f"Bearer {stack.token}"},
        timeout=30,
    ).raise_for_status()


def _title(page: Page, place: int) -> str:
    return page.locator(f"[id='pushSequence.{place}.title']").input_value()


def _save(page: Page) -> None:
    page.get_by_role("complementary").get_by_role("button", name="Save", exact=True).click()


def _sign_out_elsewhere(page: Page) -> None:
    """End the session in another tab: a late answer to this page cannot bring it back."""
    other = page.context.new_page()
    other.goto("/automations")
    other.get_by_role("button", name="Sign out").click()
    expect(other.get_by_label("Token")).to_be_visible()
    other.close()


def _expect_all_back(page: Page, place: int) -> None:
    expect(page.get_by_text("Everything that you typed is here again")).to_be_visible()
    assert _title(page, place) == "Typed for an hour"


def test_what_was_typed_is_offered_after_leaving_and_survives_the_end_of_the_session(
    page: Page, stack: LocalStack
) -> None:
    _create(stack)
    asked: list[str] = []
    page.on("dialog", lambda dialog: asked.append(dialog.type))
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto(EDIT)
    pushes = page.locator("[data-push]").count()
    page.get_by_role("button", name="Add a push").click()
    page.locator(f"[id='pushSequence.{pushes}.title']").fill("Typed for an hour")
    page.goto("/automations")
    assert asked == ["beforeunload"]

    page.goto(EDIT)
    page.get_by_label(OFFER).get_by_role("button", name="Put them back").click()
    _expect_all_back(page, pushes)
    page.locator(f"[id='pushSequence.{pushes}.body']").fill("And its text")

    _sign_out_elsewhere(page)
    _save(page)
    page.get_by_label("Token").fill(stack.token)
    page.get_by_role("button", name="Sign in").click()
    _expect_all_back(page, pushes)
    _save(page)
    expect(page.get_by_text("is saved.")).to_be_visible()

    page.goto(EDIT)
    expect(page.get_by_label(OFFER)).to_have_count(0)
    assert _title(page, pushes) == "Typed for an hour"
    assert asked == ["beforeunload"]


def test_a_form_that_the_server_does_not_draw_again_is_filled_in_and_can_be_discarded(
    page: Page, stack: LocalStack
) -> None:
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto("/tokens")
    page.get_by_label("Name").fill("ann")
    page.get_by_label("Role").select_option("operator")
    page.get_by_label("Test token").check()
    page.goto("/automations")
    page.goto("/tokens")
    page.get_by_role("button", name="Put them back").click()

    expect(page.get_by_label("Name")).to_have_value("ann")
    expect(page.get_by_label("Role")).to_have_value("operator")
    expect(page.get_by_label("Test token")).to_be_checked()
    page.goto("/tokens")
    page.get_by_role("button", name="Discard them").click()
    page.goto("/tokens")
    expect(page.get_by_label(OFFER)).to_have_count(0)


def test_nobody_else_is_offered_what_was_typed(page: Page, stack: LocalStack) -> None:
    page.on("dialog", lambda dialog: dialog.accept())
    answer = requests.post(
        f"{stack.push_url}/api/tokens",
        json={"name": "ben", "role": "operator"},
        headers={"Authorization": f"Bearer {stack.token}"},
        timeout=30,
    )
    page.goto("/send")
    page.get_by_label("Title").fill("A secret campaign")
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Token").fill(answer.json()["token"])
    page.get_by_role("button", name="Sign in").click()

    page.goto("/send")

    expect(page.get_by_text("Signed in as ben")).to_be_visible()
    expect(page.get_by_label("Title", exact=True)).to_have_value("")
    expect(page.get_by_label(OFFER)).to_have_count(0)
