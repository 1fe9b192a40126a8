"""The log of an execution: a window of it is on the page, and all of it is in reach."""

from collections.abc import Iterator

import psycopg2
import pytest
from playwright.sync_api import Page, expect

from tests.browser.pages import cancel_execution, start_execution
from tests.local_stack.stack import LocalStack

pytestmark = pytest.mark.xdist_group("browser")

LINES = 2_000
WINDOW = 600


@pytest.fixture
def waiting(stack: LocalStack) -> Iterator[str]:
    """Return an execution that waits in its window."""
    execution_id = start_execution(stack, 5)
    yield execution_id
    cancel_execution(stack, execution_id)


def write_log(stack: LocalStack, execution_id: str) -> None:
    """Add lines to a log, as an engine does."""
    engine = stack.find("push-blaster", "engine")[0]
    database = psycopg2.connect(engine.environ()["PUSH_BLASTER_DATABASE_URL"])
    with database, database.cursor() as cursor:
        cursor.execute(
            "INSERT INTO execution_log (execution_id, at, level, stage, message)"
            " SELECT %s, now(), 'info', 'script', 'line ' || n FROM generate_series(1, %s) n",
            (execution_id, LINES),
        )
    database.close()


def scroll_down_to(page: Page, text: str) -> int:
    """Scroll until a line is the last one; return the most lines that the page ever held."""
    log, most = page.locator("[data-log-lines]"), 0
    for _ in range(100):
        most = max(most, log.locator("li").count())
        if log.locator("li").last.inner_text().endswith(text):
            return most
        log.evaluate("list => { list.scrollTop = list.scrollHeight; }")
        page.wait_for_timeout(50)
    raise AssertionError(log.locator("li").last.inner_text())


def test_a_long_log_is_followed_scrolled_and_searched(
    page: Page, stack: LocalStack, waiting: str
) -> None:
    page.goto(f"/executions/{waiting}")
    lines = page.locator("[data-log-lines] li")
    expect(lines.last).to_contain_text("The cancellation window is open", timeout=15_000)
    write_log(stack, waiting)

    expect(lines.last).to_contain_text(f"line {LINES}", timeout=15_000)
    page.get_by_role("link", name="First lines").click()
    expect(lines.first).to_contain_text("Started by hand.")
    assert scroll_down_to(page, f"line {LINES}") <= WINDOW
    page.get_by_label("Search", exact=True).fill("LINE 77")
    expect(lines).to_have_count(11)
    page.get_by_label("Level").select_option("error")
    expect(page.get_by_text("No log line matches.")).to_be_visible()
