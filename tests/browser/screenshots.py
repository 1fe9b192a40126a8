"""`make screenshots`: every page by day, by night and on a phone.

There are pictures of three states: the example on a busy day, a new installation, and a bad day.
Name the states to draw only some: `python -m tests.browser.screenshots empty`.
"""

import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from push_blaster.web.frame.page_times import COOKIE
from tests.browser.chromium import QUIET, find_chromium
from tests.browser.misfortune import cause_misfortune, without_cadence
from tests.browser.pages import PAGES, pages_of, sign_in
from tests.browser.scene import set_scene
from tests.local_stack.stack import LocalStack, make_stack, stop_whatever

FOLDER = Path(__file__).parents[2] / "screenshots"
#: The scheme and the width of each view; of those for documents the upper part is enough.
VIEWS: Final[Mapping[str, tuple[Literal["dark", "light"], int]]] = {
    "desktop": ("light", 1280),
    "dark": ("dark", 1280),
    "phone": ("light", 390),
    "document": ("light", 1120),
}
HEIGHT = 800
#: The reader chose the zone of the example.
ZONE = "Europe/Berlin"
SIGN_IN = "/sign-in"


def _name(path: str) -> str:
    """Return what a page's picture is called, without the ids of this stack."""
    bare = re.sub(r"@[^/]*|[0-9a-f]{8}-[0-9a-f-]{27}|-[0-9a-f]{16}", "", path.partition("?")[0])
    return bare.strip("/").replace("/", "-").strip("-") or "dashboard"


def _open(browser: Browser, url: str, scheme: Literal["dark", "light"], width: int) -> Page:
    view: ViewportSize = {"width": width, "height": HEIGHT}
    context = browser.new_context(base_url=url, color_scheme=scheme, viewport=view)
    context.add_cookies([{"name": COOKIE, "value": f"{ZONE}:24", "url": url}])
    return context.new_page()


def _draw(page: Page, path: str, file: Path, *, is_whole: bool) -> None:
    page.goto(path)
    page.screenshot(path=file, full_page=is_whole)


def _draw_all(browser: Browser, stack: LocalStack, paths: Sequence[str], folder: Path) -> None:
    """Draw these pages in each view."""
    folder.mkdir(exist_ok=True)
    for view, (scheme, width) in VIEWS.items():
        page = _open(browser, stack.push_url, scheme, width)
        for path in (SIGN_IN, *paths):  # the first one is for people who are not signed in
            file, is_whole = folder / f"{_name(path)}-{view}.png", view != "document"
            _draw(page, path, file, is_whole=is_whole)
            if path == SIGN_IN:
                sign_in(page, stack)
        page.context.close()


@contextmanager
def _run_stack(*, with_example: bool = True) -> Iterator[LocalStack]:
    with tempfile.TemporaryDirectory(prefix="push-screenshots-") as folder:
        Path(folder).chmod(0o711)
        stack = make_stack(Path(folder) / "pages")
        if not with_example:
            stack.folder.mkdir()
            (stack.folder / "example.installed").touch()
        stack.start()
        try:
            stack.wait_to_say("completed" if with_example else stack.push_url)
            yield stack
        finally:
            stop_whatever([stack])


def _pages_without_sign_in(stack: LocalStack) -> list[str]:
    return [path for path in pages_of(stack) if path != SIGN_IN]


def draw_example(browser: Browser) -> None:
    """Draw all pages of a busy day."""
    with _run_stack() as stack:
        happening = [f"/executions/{id_}" for id_ in set_scene(stack).values()]
        _draw_all(browser, stack, [*_pages_without_sign_in(stack), *happening], FOLDER)


def draw_empty(browser: Browser) -> None:
    """Draw the pages of a new installation: those that are about no thing that exists already."""
    paths = [path for path in PAGES if not re.search("garden|[{]|sign-in|somebody", path)]
    with _run_stack(with_example=False) as stack:
        _draw_all(browser, stack, paths, FOLDER / "empty")


def draw_broken(browser: Browser) -> None:
    """Draw all pages of a bad day; then those that need the cadence service, without it."""
    with _run_stack() as stack:
        odd = cause_misfortune(stack)
        _draw_all(browser, stack, [*_pages_without_sign_in(stack), *odd], FOLDER / "broken")
        with without_cadence(stack):
            paths = [
                "/",
                "/cadence",
                "/calendar",
                "/automations/garden-activity",
                "/automations/new",
            ]
            _draw_all(browser, stack, paths, FOLDER / "without-cadence")


STATES: Final[Mapping[str, Callable[[Browser], None]]] = {
    "example": draw_example,
    "empty": draw_empty,
    "broken": draw_broken,
}


def main(states: Sequence[str]) -> None:
    """Draw the pages of these states into `screenshots/`, which git ignores."""
    chromium = find_chromium()
    if chromium is None:
        raise SystemExit("Chromium is not installed.")
    unknown = set(states) - set(STATES)
    if unknown:
        raise SystemExit(f"No such state: {', '.join(unknown)}. States: {', '.join(STATES)}.")
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(QUIET))
        for state in states or STATES:
            STATES[state](browser)
        browser.close()
    print(f"{len(list(FOLDER.rglob('*.png')))} pictures in {FOLDER.name}/")


if __name__ == "__main__":
    main(sys.argv[1:])
