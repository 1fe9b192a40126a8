"""The pages in the system's Chromium, over the whole system with its example installed.

Every page that a test opens is watched: an error in its console, or a request that leaves this
machine, fails the test.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from tests.browser.chromium import QUIET, find_chromium
from tests.browser.clicks import Story, count_clicks
from tests.browser.pages import sign_in
from tests.local_stack.stack import LocalStack, make_stack, stop_whatever
from tests.programs import or_not_run


@pytest.fixture(scope="package")
def stack(open_folder: Path) -> Iterator[LocalStack]:
    stack = make_stack(open_folder / f"pages {uuid4().hex}")
    stack.environment |= {"WEBHOOK_SCHEMES": "http,https", "PUSH_PRIVATE_NETWORKS": "127.0.0.0/8"}
    stack.start()
    stack.wait_to_say("completed")
    yield stack
    stop_whatever([stack])


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    chromium = or_not_run(find_chromium(), "Chromium", "REQUIRE_BROWSER")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, stack: LocalStack) -> Iterator[Page]:
    """A page that is signed in as admin, with the dashboard open."""
    context = browser.new_context(base_url=stack.push_url, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    faults: list[str] = []
    page.on("console", lambda m: faults.append(m.text) if _is_fault(m) else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda r: None if _stays(r.url) else faults.append(f"asked {r.url}"))
    sign_in(page, stack)
    yield page
    context.close()
    assert faults == []


@pytest.fixture
def story(page: Page) -> Story:
    """Stories of this page."""
    return count_clicks(page)


def _is_fault(message: ConsoleMessage) -> bool:
    """Return whether the console complains, but for forms that were refused as they should be."""
    is_refusal = re.search(r"status of (400|409) ", message.text)
    return message.type in {"error", "warning"} and not is_refusal


def _stays(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "data" or parts.hostname == "127.0.0.1"
