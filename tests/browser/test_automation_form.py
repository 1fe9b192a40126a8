"""What people do in the form of an automation, from the first click to the saved document."""

from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.pages import ask, sign_in
from tests.local_stack.stack import LocalStack

pytestmark = pytest.mark.xdist_group("browser")

LOOKBACK = "audienceCriteria.customScript.parameters.lookback_hours"


@pytest.fixture
def seeds(stack: LocalStack) -> str:
    """An automation with two pushes, by its id."""
    example = ask(stack, "/api/automation/recipes/garden-activity")["data"]
    first, second, _ = example["pushSequence"]
    document = {**example, "name": "Seeds", "isActive": False, "status": "draft"}
    document["pushSequence"] = [{**first, "id": "one"}, {**second, "id": "two"}]
    del document["id"]
    automation_id: str = _send(stack, "POST", "", document)["id"]
    return automation_id


def _send(stack: LocalStack, method: str, path: str, body: Any) -> Any:
    url = f"{stack.push_url}/api/automation/recipes{path}"
    headers = {"Authorization": f"Bearer {stack.token}"}
    response = requests.request(method, url, json=body, headers=headers, timeout=30)
    assert response.ok, response.text
    return response.json()["data"]


def document_of(stack: LocalStack, automation_id: str) -> dict[str, Any]:
    document: dict[str, Any] = ask(stack, f"/api/automation/recipes/{automation_id}")["data"]
    return document


def field(page: Page, path: str) -> Locator:
    return page.locator(f"[id='{path}']")


def save(page: Page) -> None:
    page.get_by_role("complementary").get_by_role("button", name="Save", exact=True).click()


def test_folded_settings_are_unfolded_saved_and_read_back(
    page: Page, stack: LocalStack, seeds: str
) -> None:
    page.goto(f"/automations/{seeds}/edit")
    page.get_by_text("Quiet hours and local time").click()
    page.get_by_label("Quiet hours from").fill("22:00")
    page.get_by_label("Quiet hours until").fill("08:00")
    page.get_by_label("Messages in quiet hours").select_option("drop")
    page.get_by_text("Holdout").first.click()
    page.get_by_label("Holdout").fill("5")
    page.get_by_text("Delivery", exact=True).click()
    page.get_by_label("Messages per minute").fill("600")
    save(page)

    expect(
        page.get_by_text("22:00 to 08:00 in each user's time zone: messages are not sent")
    ).to_be_visible()
    settings = document_of(stack, seeds)["settings"]
    assert settings["quietHours"] == {"start": "22:00", "end": "08:00", "whenQuiet": "drop"}
    assert (settings["holdoutPercent"], settings["ratePerMinute"]) == (5, 600)


def test_two_wordings_are_shown_with_their_shares_and_saved(
    page: Page, stack: LocalStack, seeds: str
) -> None:
    page.goto(f"/automations/{seeds}/edit")
    page.get_by_role("button", name="Add variants to compare to push 2").click()
    expect(field(page, "pushSequence.1.variants.1.title")).to_be_focused()
    page.keyboard.type("Short and sweet")
    field(page, "pushSequence.1.variants.1.weight").fill("3")

    preview = page.get_by_role("complementary")
    expect(preview.get_by_text("for 75 % of users")).to_be_visible()
    expect(preview.get_by_text("Short and sweet").first).to_be_visible()
    save(page)
    expect(page.get_by_text("is saved.")).to_be_visible()
    variants = document_of(stack, seeds)["pushSequence"][1]["variants"]
    assert [(v["id"], v["weight"], v.get("title")) for v in variants] == [
        ("A", 1, None),
        ("B", 3, "Short and sweet"),
    ]


def test_a_parameter_is_refused_beside_its_field_and_then_accepted(
    page: Page, stack: LocalStack, seeds: str
) -> None:
    page.goto(f"/automations/{seeds}/edit")
    page.get_by_label("lookback_hours").fill("1000")
    save(page)

    summary = page.get_by_role("alert")
    expect(summary).to_be_focused()
    summary.get_by_role("link", name="lookback_hours").click()
    expect(field(page, LOOKBACK)).to_be_focused()
    expect(field(page, LOOKBACK)).to_have_attribute("aria-invalid", "true")
    expect(field(page, f"{LOOKBACK}-said")).to_have_text("1000 is too much; give 720 or less.")
    page.keyboard.press("Control+a")
    page.keyboard.type("72")
    page.keyboard.press("Enter")
    expect(page.get_by_text("is saved.")).to_be_visible()
    script = document_of(stack, seeds)["audienceCriteria"]["customScript"]
    assert script["parameters"] == {"lookback_hours": 72}


def test_another_script_brings_its_parameters_and_audiences(page: Page, seeds: str) -> None:
    page.goto(f"/automations/{seeds}/edit")
    page.get_by_label("Audience script").select_option("new_gardeners")

    expect(page.get_by_label("Audience script")).to_be_focused()
    expect(page.get_by_label("min_hours")).to_be_visible()
    expect(page.get_by_label("lookback_hours")).to_have_count(0)
    expect(field(page, "pushSequence.0.audienceName")).to_contain_text("not declared")


def test_what_is_typed_while_the_form_changes_is_kept(page: Page, seeds: str) -> None:
    page.goto(f"/automations/{seeds}/edit")
    title = field(page, "pushSequence.0.title")
    page.get_by_label("Audience script").select_option("new_gardeners")
    title.fill("Typed meanwhile")

    expect(page.get_by_label("min_hours")).to_be_visible()
    expect(title).to_have_value("Typed meanwhile")
    expect(title).to_be_focused()
    page.keyboard.type(", and on")
    expect(title).to_have_value("Typed meanwhile, and on")


def test_a_placeholder_goes_to_the_cursor_by_mouse_and_by_keys(page: Page, seeds: str) -> None:
    page.goto(f"/automations/{seeds}/edit")
    title = field(page, "pushSequence.0.title")
    title.fill("Dear , hello")
    title.evaluate("field => field.setSelectionRange(5, 5)")
    push = page.locator("[data-push]").first
    push.get_by_label("Fallback for empty values").fill("friend")
    push.get_by_role("button", name="[[var:first_name]]").click()

    expect(title).to_have_value("Dear [[var:first_name|friend]], hello")
    expect(title).to_be_focused()
    push.get_by_label("Fallback for empty values").fill("")
    push.get_by_role("button", name="[[var:plant]]").press("Enter")
    expect(title).to_have_value("Dear [[var:first_name|friend]][[var:plant]], hello")
    preview = page.get_by_role("complementary").locator(".android").first
    expect(preview).not_to_contain_text("[[var:")


def test_a_push_is_moved_up_with_what_was_typed_into_it(
    page: Page, stack: LocalStack, seeds: str
) -> None:
    page.goto(f"/automations/{seeds}/edit")
    field(page, "pushSequence.1.title").fill("I come first")
    page.get_by_role("button", name="Up push 2").click()

    expect(field(page, "pushSequence.0.title")).to_have_value("I come first")
    expect(page.get_by_role("button", name="Down push 1")).to_be_focused()
    save(page)
    expect(page.get_by_text("is saved.")).to_be_visible()
    pushes = document_of(stack, seeds)["pushSequence"]
    assert [(push["id"], push["sequenceOrder"]) for push in pushes] == [("two", 1), ("one", 2)]


def test_what_somebody_else_saved_is_compared_by_the_names_of_the_fields(
    page: Page, stack: LocalStack, seeds: str
) -> None:
    page.goto(f"/automations/{seeds}/edit")
    settings = document_of(stack, seeds)["settings"]
    _send(stack, "PUT", f"/{seeds}", {"settings": {**settings, "ratePerMinute": 60}})
    page.get_by_text("Delivery", exact=True).click()
    page.get_by_label("Messages per minute").fill("600")
    page.get_by_text("Quiet hours and local time").click()
    page.get_by_label("Quiet hours from").fill("21:00")
    page.get_by_label("Quiet hours until").fill("07:00")
    save(page)

    for name, mine, theirs in (
        ("Messages per minute", "600", "60"),
        ("Quiet hours from", "21:00", "—"),
    ):
        cells = page.get_by_role("row", name=name).get_by_role("cell")
        expect(cells).to_have_text([mine, theirs])
    assert document_of(stack, seeds)["settings"]["ratePerMinute"] == 60
    page.get_by_role("button", name="Replace it with your version").click()
    expect(page.get_by_text("is saved.")).to_be_visible()
    assert document_of(stack, seeds)["settings"]["ratePerMinute"] == 600


def test_the_form_works_without_javascript(browser: Browser, stack: LocalStack, seeds: str) -> None:
    context = browser.new_context(base_url=stack.push_url, java_script_enabled=False)
    page = context.new_page()
    sign_in(page, stack)
    page.goto(f"/automations/{seeds}/edit")
    expect(page.get_by_text("[[var:first_name]]").first).to_be_visible()
    page.get_by_label("Audience script").select_option("new_gardeners")
    page.get_by_role("button", name="Show parameters").click()
    page.get_by_label("min_hours").fill("6")
    page.get_by_role("button", name="Add a push").click()
    field(page, "pushSequence.2.title").fill("The third")
    page.get_by_role("button", name="Up push 3").click()
    save(page)

    expect(page.get_by_text("is saved.")).to_be_visible()
    document = document_of(stack, seeds)
    assert document["pushSequence"][1]["title"] == "The third"
    assert document["audienceCriteria"]["customScript"]["parameters"] == {"min_hours": 6}
    context.close()
