"""The live pages in a real browser: ten executions at once, a log of a hundred thousand lines."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import psycopg2
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from local_stack.embedded_postgres import run_postgres
from tests.browser.chromium import QUIET, find_chromium
from tests.journeys.stack import TOKEN, Stack, a_journey_automation, running_stack

EXECUTIONS: Final = 10
USERS: Final = 20_000
#: How long the dashboard is looked at, and a log that grows.
WATCHED_S: Final = 30
GROWS_BY: Final = 50
GROWS_EVERY_S: Final = 0.25
SCROLLS: Final = 50

#: Notes every task that keeps a page from answering; a browser tells of those above 50 ms.
NOTE_TASKS: Final = """
window.tasks = [];
new PerformanceObserver((list) => tasks.push(...list.getEntries().map((e) => e.duration)))
  .observe({ type: "longtask", buffered: true });
"""
PAINTED: Final = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
REQUESTS: Final = """
() => performance.getEntriesByType("resource").filter((e) => e.name.includes("/live/"))
  .map((e) => e.duration)
"""
#: Milliseconds until another line is the first one, or the last one, after `act`.
UNTIL_MOVED: Final = """
([edge, to]) => new Promise((done) => {
  const lines = document.querySelector("[data-log-lines]");
  const id = () => lines[edge].dataset.id;
  const before = id(), begun = performance.now();
  const took = () => performance.now() - begun;
  const look = () => id() === before ? requestAnimationFrame(look) : done(took());
  lines.scrollTop = to < 0 ? lines.scrollHeight : to;
  look();
})
"""
UNTIL_FOUND: Final = """
(text) => new Promise((done) => {
  const lines = document.querySelector("[data-log-lines]");
  const field = document.querySelector("[name=find]");
  const begun = performance.now();
  const is_there = () => lines.children.length === 1 && lines.textContent.includes(text);
  const look = () => is_there() ? done(performance.now() - begun) : requestAnimationFrame(look);
  field.value = text;
  field.form.requestSubmit();
  look();
})
"""


def measure_pages(folder: Path, lines: int) -> None:
    """Print how long the live pages take, and how long they keep a browser from answering."""
    with (
        run_postgres(folder / "pages") as postgres,
        running_stack(postgres, folder / "stack", {"PUSH_WEB_WORKERS": "1"}) as stack,
        sync_playwright() as playwright,
    ):
        started = _start_all(stack)
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(QUIET))
        try:
            _measure_dashboard(browser, stack)
            _measure_log(browser, stack, started[0], lines)
        finally:
            browser.close()


def _start_all(stack: Stack) -> list[str]:
    """Start executions that are live for longer than they are looked at."""
    started = []
    for number in range(EXECUTIONS):
        automation_id = f"live-{number}"
        document = a_journey_automation(automation_id, parameters={"users": USERS})
        document["settings"]["ratePerMinute"] = USERS // 10
        document["settings"]["maxAudienceSize"] = USERS
        document["pushSequence"][0]["layerId"] = 1
        stack.ask("POST", "/api/automation/recipes", document)
        body = {"automationId": automation_id, "cancellationWindowMinutes": 0}
        started.append(stack.ask("POST", "/api/executions", body)["id"])
    for execution_id in started:
        stack.wait_for(execution_id, ["live_execution"], 120)
    return started


def _open(browser: Browser, stack: Stack, path: str) -> tuple[Page, CDPSession]:
    page = browser.new_context(base_url=stack.push_url).new_page()
    page.goto("/sign-in")
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Dashboard").wait_for()
    page.add_init_script(NOTE_TASKS)
    page.goto(path)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    return page, session


def _measure_dashboard(browser: Browser, stack: Stack) -> None:
    page, session = _open(browser, stack, "/")
    page.get_by_text("Live execution").nth(EXECUTIONS - 1).wait_for()
    before = _read_metrics(session)
    page.wait_for_timeout(WATCHED_S * 1_000)
    taken = page.evaluate(REQUESTS)
    spent = _work_since(session, before)
    print(f"\nDashboard with {EXECUTIONS} live executions, {len(taken)} updates in {WATCHED_S} s")
    _tell("an update's request", taken)
    print(f"  the page's own work: {spent / len(taken):.0f} ms of a core an update")
    _tell_page(page, session)


def _measure_log(browser: Browser, stack: Stack, execution_id: str, lines: int) -> None:
    with psycopg2.connect(stack.database_url) as database:
        _write(database, execution_id, lines)
    page, session = _open(browser, stack, f"/executions/{execution_id}")
    print(f"\nA log of {lines:,} lines, of a live execution")
    drawn_ms = page.wait_for_function(PAINTED).json_value()
    print(f"  until the page is drawn, with its last lines: {drawn_ms:.0f} ms")
    _tell_page(page, session)
    before = _read_metrics(session)
    up = [page.evaluate(UNTIL_MOVED, ["firstElementChild", 0]) for _ in range(SCROLLS)]
    _tell("scrolled up by a page", up)
    # The first pages upwards only filled the window: so many fewer lead back to the end.
    back = SCROLLS - 2
    down = [page.evaluate(UNTIL_MOVED, ["lastElementChild", -1]) for _ in range(back)]
    _tell("scrolled down by a page", down)
    spent = _work_since(session, before) / (SCROLLS + back)
    print(f"  the page's own work: {spent:.0f} ms of a core a page of lines")
    found = [page.evaluate(UNTIL_FOUND, f"line {n * lines // 10 + 7} of") for n in range(10)]
    _tell("searched in all of it", found)
    _tell_page(page, session)
    page.get_by_label("Find").fill("")
    page.get_by_role("link", name="Last lines").click()
    with psycopg2.connect(stack.database_url) as database:
        for _ in range(int(WATCHED_S / GROWS_EVERY_S)):
            _write(database, execution_id, GROWS_BY)
            page.wait_for_timeout(GROWS_EVERY_S * 1_000)
    print(f"  after {WATCHED_S} s in which {GROWS_BY / GROWS_EVERY_S:.0f} lines a second came:")
    _tell_page(page, session)


def _write(database: Any, execution_id: str, lines: int) -> None:
    with database.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO execution_log (execution_id, at, level, stage, message)
            SELECT %s, now(), 'info', 'script', 'line ' || n || ' of what a script said'
              FROM generate_series(1, %s) n
            """,
            (execution_id, lines),
        )
    database.commit()


def _read_metrics(session: CDPSession) -> dict[str, float]:
    found = session.send("Performance.getMetrics")["metrics"]
    return {one["name"]: one["value"] for one in found}


def _work_since(session: CDPSession, before: dict[str, float]) -> float:
    """Return for how many milliseconds the page has kept a core busy since `before`."""
    return (_read_metrics(session)["TaskDuration"] - before["TaskDuration"]) * 1_000


def _tell(name: str, taken: Sequence[float]) -> None:
    print(f"  {name}: median {statistics.median(taken):.0f} ms, worst {max(taken):.0f} ms")


def _tell_page(page: Page, session: CDPSession) -> None:
    """Print the page's size, and the longest task since it was told last."""
    tasks = page.evaluate("tasks.splice(0)")
    longest = f"{max(tasks):.0f} ms ({len(tasks)} above 50)" if tasks else "below 50 ms"
    session.send("HeapProfiler.collectGarbage")
    metrics = _read_metrics(session)
    lines = page.locator("[data-log-lines] li").count()
    print(
        f"  longest task {longest}; {metrics['JSHeapUsedSize'] / 1e6:.1f} MB of JavaScript,"
        f" {metrics['Nodes']:,.0f} nodes, {lines} lines of a log",
        flush=True,
    )
