"""Stories that count the clicks of a person, as docs/pages.md lists them."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final, TypeAlias

from playwright.sync_api import Page

DOCUMENT: Final = Path(__file__).parents[2] / "docs/pages.md"
#: Tells each click: a press of the mouse, of Enter or of a shortcut, and a choice; no typed text.
TELL_CLICKS: Final = """
const typed = ':is(input, textarea):not([type=checkbox], [type=radio])';
const modifiers = ['Tab', 'Control', 'Shift', 'Alt', 'Meta'];
const isTyped = (event) => event.target.matches(typed) && event.key !== 'Enter' && !event.ctrlKey;
const acts = {
  pointerdown: (event) => !event.target.matches('select'),
  keydown: (event) => !modifiers.includes(event.key) && !isTyped(event),
  change: (event) => event.target.matches('select, [type=file]'),
};
for (const [kind, isClick] of Object.entries(acts))
  addEventListener(kind, (event) => isClick(event) && tellClick(), true);
"""
#: Tells the story of this name, and refuses more clicks than the given number.
Story: TypeAlias = Callable[[str, int], AbstractContextManager[None]]


def count_clicks(page: Page) -> Story:
    """Load the page again, and count each click from now on."""
    clicks: list[None] = []
    page.expose_function("tellClick", lambda: clicks.append(None))
    page.add_init_script(TELL_CLICKS)
    page.reload()

    @contextmanager
    def told(name: str, most: int) -> Iterator[None]:
        clicks.clear()
        yield
        print(f"{name}: {len(clicks)} clicks")
        assert len(clicks) == _find_clicks(name) <= most, name

    return told


def _find_clicks(name: str) -> int:
    row = rf"^\| {re.escape(name)} \| (\d+) \|$"
    (found,) = re.findall(row, DOCUMENT.read_text(), re.MULTILINE)
    return int(found)
