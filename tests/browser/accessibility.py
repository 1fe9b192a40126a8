"""The accessibility rules that every page keeps."""

from collections.abc import Sequence
from typing import Final

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

#: The rules whose outcome changes with the colors of a page.
COLORS: Final = ("color-contrast", "link-in-text-block")
#: Only violations leave the browser: what passed is much larger.
_FIND = """
async (rules) => {
  const options = { resultTypes: ["violations"] };
  if (rules.length) options.runOnly = { type: "rule", values: rules };
  const { violations } = await axe.run(document, options);
  return violations
    .filter(({ impact }) => ["serious", "critical"].includes(impact))
    .map(({ id, nodes }) => [id, nodes.map(({ html }) => html.slice(0, 160))]);
}
"""


def find_faults(page: Page, rules: Sequence[str] = ()) -> list[tuple[str, list[str]]]:
    """Return what bars somebody from the page, and where, by all rules or by these."""
    if page.evaluate("!window.axe"):
        page.evaluate(AXE_SCRIPT)
    return [(rule, places) for rule, places in page.evaluate(_FIND, list(rules))]


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
