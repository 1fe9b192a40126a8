"""The accessibility rules that every page keeps."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

AXE = Axe()


def find_faults(page: Page) -> list[tuple[str, list[str]]]:
    """Return what bars somebody from the page, and where."""
    found = AXE.run(page).response["violations"]
    grave = [v for v in found if v["impact"] in {"serious", "critical"}]
    return [(v["id"], [n["html"][:160] for n in v["nodes"]]) for v in grave]


def find_small_buttons(page: Page) -> list[str]:
    """Return the buttons of a phone's page that are smaller than 44 by 44 pixels."""
    page.evaluate("document.querySelector('.menu')?.setAttribute('open', '')")
    small: list[str] = page.evaluate(
        "[...document.querySelectorAll('.btn, .stop-all')].filter((one) => {"
        " const { width, height } = one.getBoundingClientRect();"
        " return one.checkVisibility() && width && (width < 44 || height < 44);"
        "}).map((one) => one.textContent.trim())"
    )
    return small
