"""One push: written, looked at, tried out, sent, and found again."""

import csv
from pathlib import Path
from uuid import UUID

import pytest
from playwright.sync_api import FilePayload, Page, expect

pytestmark = pytest.mark.xdist_group("browser")

USERS = [str(UUID(int=n)) for n in range(900_001, 900_004)]


def a_file() -> FilePayload:
    rows = "".join(f"{user},Robin {n},token-{user}\n" for n, user in enumerate(USERS))
    content = "\ufeffuser_id,first_name,device_token\n" + rows
    return {"name": "robins.csv", "mimeType": "text/csv", "buffer": content.encode()}


def check_file(page: Page) -> None:
    page.get_by_role("button", name="Check the file").click()
    expect(page.locator("[data-look-here]")).to_contain_text("UTF-8 with a byte order mark")
    expect(page.locator("[data-look-here]")).to_contain_text("Hello Robin 2")


def copy_id(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy the id of this execution").click()
    expect(page.get_by_text("Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()").startswith("ad-hoc-")


def test_a_push_is_tried_out_sent_and_found_again(page: Page) -> None:
    page.get_by_role("link", name="Send a push").click()
    page.get_by_label("Title").fill("Hello [[var:first_name]]")
    page.get_by_label("Text").fill("The garden opens.")
    expect(page.get_by_label("On Android")).to_contain_text("The garden opens.")
    page.get_by_label("Layer").select_option("1")
    page.get_by_label("CSV file of users").set_input_files(a_file())
    expect(page.locator("[data-columns]")).to_contain_text("Placeholders: [[var:first_name]]")
    check_file(page)
    page.get_by_role("button", name="Dry run").click()

    expect(page.get_by_label("On iOS")).to_contain_text("Hello Robin 0", timeout=15_000)
    page.get_by_role("button", name="Send to 3 users").click(timeout=15_000)
    expect(page.locator(".head-run")).to_contain_text("Completed", timeout=15_000)

    copy_id(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="Export as CSV").click()
    with Path(download.value.path()).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["userId"], row["outcome"]) for row in rows] == [(u, "sent") for u in USERS]

    page.get_by_label("User", exact=True).fill(USERS[1])
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_role("row")).to_have_count(2)
    expect(page.get_by_role("row").last).to_contain_text("Sent")
