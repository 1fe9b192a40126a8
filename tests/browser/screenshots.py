"""`make screenshots`: every page by day, by night and on a phone, of a stack with the example."""

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from push_blaster.web.frame.page_times import COOKIE
from tests.browser.chromium import QUIET, find_chromium
from tests.browser.pages import pages_of, sign_in
from tests.browser.scene import set_scene
from tests.local_stack.stack import make_stack, stop_whatever

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


def _draw(page: Page, path: str, view: str) -> None:
    page.goto(path)
    page.screenshot(path=FOLDER / f"{_name(path)}-{view}.png", full_page=view != "document")


def main() -> None:
    """Draw every page into `screenshots/`, which git ignores."""
    chromium = find_chromium()
    if chromium is None:
        raise SystemExit("Chromium is not installed.")
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="push-screenshots-") as folder:
        Path(folder).chmod(0o711)
        stack = make_stack(Path(folder) / "pages")
        stack.start()
        try:
            stack.wait_to_say("completed")
            happening = [f"/executions/{id_}" for id_ in set_scene(stack).values()]
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium, args=list(QUIET))
                for view, (scheme, width) in VIEWS.items():
                    page = _open(browser, stack.push_url, scheme, width)
                    _draw(page, SIGN_IN, view)  # a page for people who are not signed in
                    sign_in(page, stack)
                    for path in [*pages_of(stack), *happening]:
                        if path != SIGN_IN:
                            _draw(page, path, view)
                browser.close()
        finally:
            stop_whatever([stack])
    print(f"{len(list(FOLDER.glob('*.png')))} pictures in {FOLDER.name}/")


if __name__ == "__main__":
    main()
