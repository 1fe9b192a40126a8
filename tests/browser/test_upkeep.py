"""What keeps the whole in order: who may in, devices, scripts, templates."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.local_stack.stack import LocalStack

pytestmark = pytest.mark.xdist_group("browser")

USER = "7e57ab1e-0000-4000-8000-0000000000bb"
DEVICES = f"user_id,token,platform\n{USER},a-phone,android\nnobody,a-phone,android\n"


@pytest.fixture
def stranger(browser: Browser, stack: LocalStack) -> Iterator[Page]:
    """Another browser, in which nobody is signed in."""
    context = browser.new_context(base_url=stack.push_url)
    yield context.new_page()
    context.close()


def make_token(page: Page, name: str) -> str:
    page.goto("/tokens")
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Create").click()
    return page.get_by_role("alert").locator("code").inner_text()


def present(page: Page, token: str) -> None:
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()


def test_a_viewer_comes_in_where_she_wanted_and_only_looks(page: Page, stranger: Page) -> None:
    secret = make_token(page, "vera")
    stranger.goto("/automations/garden-activity")
    present(stranger, f"{secret}x")
    expect(stranger.get_by_text("This token is unknown.")).to_be_visible()
    present(stranger, secret)

    expect(stranger.get_by_role("heading", name="Garden activity")).to_be_visible()
    for name in ("Run now…", "Edit", "Tokens", "Send a push", "Stop everything…"):
        expect(stranger.get_by_role("link", name=name, exact=True)).to_have_count(0)
    stranger.goto("/tokens")
    expect(stranger.get_by_role("heading", name="Forbidden")).to_be_visible()


def test_who_is_revoked_is_out_at_once_and_that_is_on_record(page: Page, stranger: Page) -> None:
    secret = make_token(page, "victor")
    stranger.goto("/")
    present(stranger, secret)
    expect(stranger.get_by_role("heading", name="Dashboard")).to_be_visible()
    row = page.get_by_role("row", name="victor")
    row.get_by_role("link", name="Revoke…").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()

    expect(row).to_contain_text("Revoked")
    stranger.goto("/")
    expect(stranger.get_by_label("Token")).to_be_visible()
    page.goto("/audit-log")
    page.get_by_label("Path").fill("/tokens")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("row", name="POST /tokens/victor/revoke")).to_contain_text("admin")


def test_devices_are_looked_at_brought_and_found(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "devices.csv"
    file.write_text(DEVICES)
    page.goto("/devices")
    for button, said in (
        ("Dry run", "Dry run: would register 1"),
        ("Register", "Registered 1"),
    ):
        page.get_by_label("File").set_input_files(file)
        page.get_by_role("button", name=button, exact=True).click()
        expect(page.get_by_role("status").first).to_contain_text(said)
        expect(page.get_by_text("Line 3")).to_be_visible()
    page.get_by_label("User id").fill(USER)
    page.get_by_role("button", name="Show devices").click()

    expect(page.get_by_role("row", name="a-phone")).to_contain_text("Active")


def test_a_script_is_tried_out(page: Page) -> None:
    page.goto("/scripts")
    page.get_by_role("link", name="Garden Activity").click()
    page.get_by_label("lookback_hours").fill("24")
    page.get_by_role("button", name="Start a trial run").click()

    expect(page.get_by_text("Succeeded")).to_be_visible(timeout=30_000)
    expect(page.get_by_text("lookback_hours=24")).to_be_visible()
    expect(page.get_by_role("region", name="Output")).to_contain_text("users")
    page.get_by_role("link", name="garden_activity").click()
    expect(page.get_by_role("row", name="trial run").first).to_contain_text("Succeeded")


def test_an_automation_is_started_from_a_template(page: Page) -> None:
    page.goto("/templates")
    card = page.get_by_role("article").filter(has_text="Onboarding funnel")
    card.get_by_role("link", name="Use this template").click()
    page.get_by_label("Name of the automation").fill("A warm welcome")
    page.get_by_label("User segment").select_option(index=1)
    page.get_by_role("button", name="Create a draft").click()

    expect(page.get_by_text("Draft created.")).to_be_visible()
    expect(page.get_by_label("Name", exact=True)).to_have_value("A warm welcome")
