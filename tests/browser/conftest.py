"""The pages in the system's Chromium, over the whole system with its example installed.

Every page that a test opens is watched: an error in its console, or a request that leaves this
machine, fails the test.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.local_stack.conftest import LocalStack, make_stack, stop_whatever

#: Without the network that a browser of its own accord looks for.
QUIET = (
    "--no-sandbox",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="package")
def stack(open_folder: Path) -> Iterator[LocalStack]:
    stack = make_stack(open_folder / "pages")
    stack.start()
    stack.wait_to_say("completed")
    yield stack
    stop_whatever([stack])


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        if os.environ.get("REQUIRE_BROWSER") == "1":
            pytest.fail("Chromium is missing, and REQUIRE_BROWSER=1 asks for it.")
        pytest.skip("Chromium is not installed.")
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
    page.on("console", lambda m: faults.append(m.text) if m.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda r: None if _stays(r.url) else faults.append(f"asked {r.url}"))
    page.goto("/")
    page.get_by_label("Token").fill(stack.token)
    page.get_by_role("button", name="Sign in").click()
    yield page
    context.close()
    assert faults == []


def _stays(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "data" or parts.hostname == "127.0.0.1"
