"""What product and operations people come for, from the first click to the last."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.clicks import Story
from tests.browser.pages import ask
from tests.builders import a_document
from tests.fakes.post_receiver import run_post_receiver
from tests.local_stack.stack import LocalStack

pytestmark = pytest.mark.xdist_group("browser")

#: Whom the example tests on; they have devices.
TESTERS = ("cbf27734-ac10-4525-8b66-402800e03d2c", "e0a3a91f-2346-4c13-bc27-ed12b10877a9")

HISTORY = """user_id,layer_id,push_title,sent_at
7e57ab1e-0000-4000-8000-0000000000aa,3,Old news,2026-11-01T10:00:00Z
nobody,3,Old news,2026-11-01T10:00:00Z
"""


def somebody(stack: LocalStack) -> str:
    """Return a user whom the example's first execution sent to."""
    first = ask(stack, "/api/executions?automationId=garden-activity&limit=200")["executions"][-1]
    ledger = ask(stack, f"/api/executions/{first['id']}/deliveries")["deliveries"]
    user_id: str = next(one["userId"] for one in ledger if one["state"] == "sent")
    return user_id


def fill_in_offers(page: Page) -> None:
    page.get_by_label("Name", exact=True).fill("Spring offers")
    page.get_by_label("Live send time").fill("18:30")
    page.get_by_label("Time zone", exact=True).fill("Europe/Berlin")
    page.get_by_label("Audience script").select_option("garden_activity")
    page.get_by_label("lookback_hours").fill("24")
    fill_in_push(page, 0, "recent_offerers")


def fill_in_push(page: Page, place: int, audience: str) -> None:
    push = page.locator("[data-push]").nth(place)
    push.get_by_label("Title").fill("[[var:first_name|Hello]], offers near you")
    push.get_by_label("Text").fill("Somebody gives away [[var:plant]].")
    push.get_by_label("Audience", exact=True).select_option(audience)


def test_an_automation_is_made_by_hand_tried_out_and_paused(page: Page, story: Story) -> None:
    with story("Create an automation with three pushes, and schedule it", 10):
        page.get_by_role("link", name="Automations", exact=True).click()
        page.get_by_role("link", name="New automation").click()
        fill_in_offers(page)
        for place, audience in ((1, "recent_planters"), (2, "recent_wishers")):
            page.get_by_role("button", name="Add a push").click()
            fill_in_push(page, place, audience)
        expect(page.locator(".slots li")).to_have_count(5)
        expect(page.locator(".android").last).to_contain_text("offers near you")
        expect(page.locator(".android").last).not_to_contain_text("[[var:")
        page.get_by_role("button", name="Save and schedule").click()
        expect(page.get_by_role("heading", name="Spring offers")).to_contain_text("Scheduled")

    expect(page.get_by_text("Every day at 18:30, Europe/Berlin")).to_be_visible()
    page.get_by_role("link", name="Test", exact=True).click()
    page.locator("form", has_text="Dry run").first.get_by_role("button", name="Start").click()
    expect(page.locator(".head-run")).to_contain_text("Completed", timeout=30_000)
    page.reload()
    expect(page.locator("[data-log-lines]")).to_contain_text("nothing was sent")
    page.goto("/automations?q=spring")
    page.get_by_role("link", name="Spring offers").click()
    page.wait_for_url("**/automations/*")
    page.wait_for_load_state("networkidle")
    page.keyboard.press("Control+p")
    page.get_by_role("dialog").get_by_role("button", name="Pause").click()
    expect(page.get_by_role("heading", name="Spring offers")).to_contain_text("Paused")


def make_offers_for_everybody(page: Page) -> str:
    """Make an automation whose users no cadence rule holds back; return its page."""
    page.goto("/automations/new")
    fill_in_offers(page)
    page.get_by_label("Name", exact=True).fill("Offers for everybody")
    page.get_by_label("Frequency").select_option("weekly")
    page.get_by_label("Tue").check()
    page.get_by_label("Layer").select_option("1")
    page.get_by_label("Test users").fill("\n".join(TESTERS))
    page.get_by_label("Cancellation window").fill("5")
    page.get_by_role("button", name="Save as draft").click()
    expect(page.get_by_text("is saved.")).to_be_visible()
    return page.url


def change(page: Page, automation: str, label: str, value: str) -> None:
    page.goto(f"{automation}/edit")
    page.get_by_text("Delivery", exact=True).click()
    page.get_by_label(label).fill(value)
    page.get_by_role("complementary").get_by_role("button", name="Save", exact=True).click()


def run_now(page: Page) -> None:
    """Start it; the question is a dialogue, or a page where scripts are not there yet."""
    page.get_by_role("link", name="Run now…").click()
    page.get_by_role("button", name="Run now").click()


def stop_live(page: Page, story: Story) -> None:
    page.goto("/")
    card = page.locator("article", has_text="Offers for everybody")
    with story("Stop a live send", 2):
        card.get_by_role("link", name="Emergency stop…").click()
        page.get_by_label("Type STOP to confirm").fill("STOP")
        page.get_by_role("button", name="Stop now").click()
        expect(page.get_by_text("Stopped. Sent to:")).to_be_visible()


def test_one_is_made_tested_watched_cancelled_let_go_live_and_stopped(
    page: Page, story: Story
) -> None:
    automation = make_offers_for_everybody(page)
    phase, receipt = page.locator(".head-run .badge-dot").first, page.get_by_text("Receipt:")
    page.get_by_role("link", name="Test", exact=True).click()
    page.locator("form", has_text="Test send").get_by_role(
        "button", name="Start the test send"
    ).click()
    expect(phase).to_have_text("Completed", timeout=30_000)

    page.goto(automation)
    run_now(page)
    expect(page.get_by_text("Goes live in 4 min")).to_be_visible(timeout=30_000)
    page.get_by_role("link", name="Cancel…").click()
    page.get_by_role("button", name="Cancel the execution").click()
    expect(receipt).to_contain_text("0 users sent to")

    change(page, automation, "Cancellation window", "0")
    run_now(page)
    expect(phase).to_have_text("Completed", timeout=60_000)

    change(page, automation, "Messages per minute", "60")
    run_now(page)
    expect(phase).to_have_text("Live execution", timeout=30_000)
    execution = page.url
    stop_live(page, story)
    page.goto(execution)
    expect(receipt).to_contain_text(re.compile(r"users sent to, [1-9]\d* not sent to"))


def test_what_two_people_change_at_once_is_compared(page: Page) -> None:
    page.goto("/automations/new-gardeners/edit")
    other = page.context.new_page()
    other.goto("/automations/new-gardeners/edit")
    other.get_by_label("Description").fill("Theirs")
    other.get_by_role("button", name="Save", exact=True).click()
    expect(other.get_by_text("is saved.")).to_be_visible()
    page.get_by_label("Description").fill("Mine")
    page.get_by_role("button", name="Save", exact=True).click()

    row = page.get_by_role("row", name="description")
    expect(row).to_contain_text("Mine")
    expect(row).to_contain_text("Theirs")


def test_a_fault_is_shown_beside_its_field(page: Page) -> None:
    page.goto("/automations/new")
    page.get_by_label("Name", exact=True).fill("Half done")
    page.get_by_role("button", name="Save as draft").click()

    field = page.get_by_label("Title")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_role("alert")).to_contain_text("Push 1: Title: Give 1 to 1000 characters.")
    expect(page.get_by_label("Name", exact=True)).to_have_value("Half done")


def test_a_user_who_is_held_back_is_explained(page: Page, stack: LocalStack) -> None:
    page.goto("/cadence/users")
    page.get_by_label("User id").fill(somebody(stack))
    page.get_by_role("button", name="Explain").click()

    row = page.get_by_role("row", name="3 · Behaviour-responsive").first
    expect(row).to_contain_text("Pause between behaviour-responsive pushes")
    expect(row).to_contain_text(re.compile(r"in 2 d"))
    expect(
        page.get_by_role("region", name="Recent deliveries").get_by_text("Sent").first
    ).to_be_visible()


def test_how_many_an_audience_reaches_is_seen_over_the_next_week(page: Page) -> None:
    page.goto("/cadence/reach")
    page.get_by_label("Last audience of").select_option("garden-activity")
    page.get_by_role("button", name="Show reach").click()

    expect(page.get_by_role("img", name="Reach over the next seven days")).to_be_visible()
    expect(page.get_by_text("in the last audience")).to_have_text(re.compile(r"[1-9]"))
    legend = " ".join(page.locator(".reach-legend b").all_inner_texts())
    assert all(str(place) in legend for place in (1, 2, 3))
    assert page.locator(".reach polyline").count() == page.locator(".reach-legend > li").count()


def test_a_rule_is_changed_after_its_effect_was_seen(page: Page) -> None:
    page.goto("/cadence")
    page.get_by_label("Window (hours)").nth(2).fill("48")
    page.get_by_role("button", name="Simulate these rules").click()
    expect(page.get_by_role("heading", name="Simulation over")).to_be_visible()
    page.get_by_label("Your name").fill("Ann")
    page.get_by_role("button", name="Save these rules").click()

    expect(page.get_by_text("version 2", exact=False).first).to_be_visible()
    expect(page.get_by_label("Window (hours)").nth(2)).to_have_value("48")
    expect(page.get_by_role("row", name="Ann").first).to_be_visible()


def test_history_is_brought_with_its_faults_told_and_taken_back(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "history.csv"
    file.write_text(HISTORY)
    page.goto("/cadence/imports")
    for button in ("Dry run", "Import"):
        page.get_by_label("File").set_input_files(file)
        page.get_by_role("button", name=button, exact=True).click()
        expect(page.get_by_role("status").first).to_contain_text("1 notifications")
        expect(page.get_by_text("Bad row")).to_be_visible()
    page.get_by_role("button", name="Undo").click()

    expect(page.get_by_text("1 notifications removed.")).to_be_visible()


def change_and_restore(page: Page, story: Story) -> None:
    """Edit the automation that came back, and restore it as it was before."""
    page.get_by_role("link", name="Edit", exact=True).click()
    page.get_by_label("Description").fill("Of the spring")
    page.get_by_role("complementary").get_by_role("button", name="Save", exact=True).click()
    with story("On the page of an automation: restore an earlier version", 3):
        page.get_by_role("link", name="Versions").click()
        page.get_by_role("row", name="The deletion was undone.").get_by_role("link").click()
        expect(page.get_by_role("row", name="Description")).to_contain_text("Of the spring")
        page.get_by_role("button", name="Restore version").click()
        expect(page.get_by_text("is restored, as a new version.")).to_be_visible()


def see_collisions(page: Page, story: Story) -> None:
    page.goto("/")
    with story("See the collisions of next week", 2):
        page.get_by_role("link", name="Calendar").click()
        page.get_by_role("link", name="Week after").click()
        expect(page.get_by_role("heading", name="Collisions")).to_be_visible()


def test_one_is_duplicated_and_scheduled_and_put_away_with_a_way_back(
    page: Page, story: Story
) -> None:
    with story("Duplicate an automation, and schedule the copy", 4):
        page.get_by_role("link", name="Automations", exact=True).click()
        page.get_by_role("button", name="Duplicate Garden activity", exact=True).click()
        page.get_by_role("button", name="Save and schedule").click()
        heading = page.get_by_role("heading", name="Copy of Garden activity")
        expect(heading).to_contain_text("Scheduled")
    automation = page.url

    see_collisions(page, story)
    page.goto(automation)
    with story("On the page of an automation: delete it, and undo the deletion", 3):
        page.get_by_role("link", name="Delete…").click()
        page.get_by_role("button", name="Delete", exact=True).click()
        page.get_by_role("status").get_by_role("button", name="Undo").click()
        expect(page.get_by_text("is back, as it was.")).to_be_visible()
    expect(heading).to_contain_text("Scheduled")

    change_and_restore(page, story)
    expect(page.get_by_text("Of the spring")).to_be_hidden()

    page.get_by_role("link", name="Archive…").click()
    page.get_by_role("button", name="Archive", exact=True).click()
    expect(page.get_by_role("button", name="Duplicate Copy of Garden activity")).to_be_hidden()
    page.goto("/automations?show=archived")
    expect(page.get_by_role("row", name="Copy of Garden activity")).to_contain_text("Archived")


def fail_by_script(page: Page, stack: LocalStack) -> None:
    """Make an automation whose script has a fault, and run it."""
    (Path(stack.folder) / "scripts" / "torn_list.py").write_text("rows = {}\nrows['city']\n")
    example = ask(stack, "/api/automation/recipes/garden-activity")["data"]
    named = {"id": "torn-list", "name": "Torn list", "isActive": False, "status": "draft"}
    criteria = {"customScript": {"scriptId": "torn_list"}}
    document = {**example, **named, "audienceCriteria": criteria}
    headers = {"Authorization": f"Bearer {stack.token}"}
    for path, body in (
        ("/api/automation/recipes?acceptFindings=true", document),
        ("/api/executions", {"automationId": "torn-list", "cancellationWindowMinutes": 0}),
    ):
        assert page.request.post(path, data=body, headers=headers).ok


def test_after_a_script_failed_it_is_found_why_and_run_again(
    page: Page, stack: LocalStack, story: Story
) -> None:
    fail_by_script(page, stack)
    needed = page.get_by_role("region", name="Needs attention")
    page.goto("/")
    expect(needed).to_contain_text("in line 2: there is no 'city'.", timeout=30_000)

    line = needed.get_by_role("listitem").filter(has_text="'torn_list'")
    with story("Run an automation again after its script failed", 3):
        line.get_by_text("Run again…").click()
        page.get_by_role("button", name="Run now").click()
        failed = page.locator(".head-run")
        expect(failed).to_contain_text("in line 2: there is no 'city'.", timeout=30_000)

    expect(failed.locator("mark").filter(has_text="rows['city']")).to_be_visible()
    failed.get_by_role("link", name="Its source, line 2").click()
    expect(page.locator("#line-2")).to_have_text("rows['city']")
    page.go_back()
    failed.get_by_role("link", name="Automation", exact=True).click()
    expect(page.get_by_role("heading", name="Torn list")).to_be_visible()

    page.goto("/")
    with story("Dismiss what failed, with a note", 2):
        line.get_by_text("Dismiss…").click()
        page.get_by_label("Note for colleagues").fill("The table has no cities yet.")
        page.get_by_role("button", name="Dismiss", exact=True).click()
        expect(line).to_have_count(0)


def test_why_somebody_got_two_is_found_by_the_id(
    page: Page, stack: LocalStack, story: Story
) -> None:
    user = somebody(stack)
    sent = page.request.post(
        "/api/send-push",
        headers={"Authorization": f"Bearer {stack.token}"},
        data={"title": "A second push", "body": "News", "layerId": 1, "userIds": [user]},
    )
    assert sent.ok, sent.text()

    with story("Find why somebody got two pushes", 2):
        page.get_by_label("Search everything").fill(user)
        page.get_by_label("Search everything").press("Enter")
        page.get_by_role("link", name="Everything about this user").click()
        said = page.get_by_role("region", name="In short")
        expect(said).to_contain_text("“A second push” of")
        expect(said).to_contain_text("The cadence rules allowed each of them.")
        got = page.get_by_role("region", name="Timeline").get_by_role("row", name="Sent")
        expect(got.filter(has_text="A second push")).to_contain_text("Platform-wide moment")
        own = got.filter(has_text="Behaviour-responsive").first
        expect(own.get_by_role("cell").nth(2)).not_to_contain_text("first name")

    with page.expect_download() as saved:
        page.get_by_role("link", name="Export as a file").click()
    assert saved.value.suggested_filename == f"user-{user}.json"
    page.get_by_role("link", name="One user").click()
    page.get_by_label("User", exact=True).fill("alice")
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_text("'alice' is no user id")).to_be_visible()


def test_the_channel_and_the_phone_of_the_team_are_tried_out(page: Page, story: Story) -> None:
    with run_post_receiver() as channel, story("Send alerts to Slack, and try it out", 4):
        page.get_by_role("link", name="Alerts").click()
        page.get_by_role("link", name="Add Slack").click()
        page.get_by_label("Name").fill("Garden channel")
        page.get_by_label("URL").fill(channel.url("ok", "127.0.0.1"))
        page.get_by_role("button", name="Create").click()
        page.get_by_role("button", name="Send a test message").click()
        expect(page.get_by_text("It took the test message")).to_be_visible()

    page.goto("/")
    with story("Name a test device, and send to it", 4):
        page.get_by_role("link", name="Devices").click()
        page.get_by_role("link", name="Test devices").first.click()
        page.get_by_label("Name", exact=True).fill("Phone of the story")
        page.get_by_label("Device token").fill("token-of-the-story")
        page.get_by_role("button", name="Register").click()
        page.get_by_role("button", name="Send a test to Phone of the story now").click()
        expect(page.locator(".head-run")).to_contain_text("Completed", timeout=15_000)
    expect(page.get_by_role("row", name="Phone of the story")).to_contain_text("Sent")


def test_all_that_match_are_paused_and_what_was_shown_is_what_happens(
    page: Page, stack: LocalStack, story: Story
) -> None:
    headers = {"Authorization": f"Bearer {stack.token}"}
    schedule = {
        "timezone": "UTC",
        "frequency": "once",
        "startDate": "2031-01-01",
        "executionTime": "09:00",
    }
    ids = [f"crowd-{number}" for number in range(52)]

    def create(automation_id: str) -> None:
        active = {"status": "active", "isActive": True, "schedule": schedule}
        document = a_document(id=automation_id, name=f"Crowd {automation_id}", **active)
        made = page.request.post(
            "/api/automation/recipes?acceptFindings=true", headers=headers, data=document
        )
        assert made.ok, made.text()

    for one in ids[:-1]:
        create(one)
    try:
        page.goto("/automations?q=crowd")
        create(ids[-1])
        with story("Pause all automations that match a search", 3):
            page.get_by_label("All 51 that match").check()
            page.get_by_role("button", name="Pause chosen…").click()
            expect(page.get_by_text("has changed since you saw it: now 52 match.")).to_be_visible()
            page.get_by_role("button", name="Pause 52").click()
        expect(page.get_by_role("heading", name="52 of 52 automations paused")).to_be_visible()
        expect(page.get_by_role("row", name="crowd-51")).to_contain_text("Done")
    finally:
        for one in ids:
            page.request.delete(f"/api/automation/recipes/{one}", headers=headers)
