"""Two wordings, phones that report, and a page that says which one wins once this is sure."""

from typing import Any

import pytest
import requests
from playwright.sync_api import Page, expect

from tests.browser.pages import ask
from tests.builders import a_document
from tests.local_stack.stack import LocalStack

pytestmark = pytest.mark.xdist_group("browser")

ID = "two-wordings"
#: What the phones of the example open seldom, and what they open often.
SELDOM, OFTEN = "Your [[var:plant]] is wanted", "Somebody near you looks for [[var:plant]]"
#: How long the script, the test, the send and the opens of the phones may take.
LIMIT_MS = 180_000


def start(stack: LocalStack) -> str:
    push = {
        "title": SELDOM,
        "body": "Make a deal today.",
        "layerId": 1,
        "audienceName": "recent_planters",
        "variants": [{"id": "one"}, {"id": "two", "title": OFTEN}],
    }
    document = a_document(
        id=ID,
        name="Two wordings 🌱",
        pushSequence=[push],
        audienceCriteria={"customScript": {"scriptId": "garden_activity"}},
    )
    headers = {"Authorization": f"Bearer {stack.token}"}

    def post(path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = requests.post(stack.push_url + path, headers=headers, json=body, timeout=30)
        assert answer.ok, answer.text
        return dict(answer.json())

    post("/api/automation/recipes?acceptFindings=true", document)
    started = post("/api/executions", {"automationId": ID, "cancellationWindowMinutes": 0})
    return str(started["id"])


def test_the_page_says_too_early_and_then_who_won(page: Page, stack: LocalStack) -> None:
    execution = start(stack)
    page.goto(f"/executions/{execution}")
    results = page.locator(f'[data-live="/live/results/executions/{execution}"]')

    expect(results.locator('[data-verdict="too_early"]')).to_be_visible(timeout=LIMIT_MS)
    winner = results.locator('[data-verdict="more"]')
    expect(winner).to_contain_text("two is opened", timeout=LIMIT_MS)

    expect(results.locator("svg.whisker")).to_have_count(1)
    page.get_by_role("link", name="Results", exact=True).click()
    page.get_by_role("link", name="Two wordings 🌱").click()
    expect(page.locator('[data-verdict="more"]')).to_contain_text("one so far")
    page.get_by_text("These days as a table").click()
    total = ask(stack, f"/api/results?automationId={ID}")["results"][0]["counts"]
    assert total["sent"] > 300
    row = page.locator("#days tbody tr")
    expect(row).to_have_count(1)
    expect(row.locator("td").first).to_have_text(str(total["sent"]))
