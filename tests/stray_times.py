"""Times on a page that did not go through the helper.

The page is drawn for a reader with 12-hour times, so a time that was written in another way shows:
it has no "am" and no "pm". An instant lies in `<time>`, unless an attribute or a picture names it.
"""

import re
from html.parser import HTMLParser
from typing import Final

from push_blaster.web.frame.page_times import COOKIE

#: A choice that no page has by itself; its offset is no whole hour.
CHOICE: Final = (COOKIE, "Asia/Kathmandu:12")
_CLOCK: Final = re.compile(r"(?<!UTC\+)\b\d{1,2}:[0-5]\d\b(?::\d\d)?")
_TWELVE: Final = re.compile(r"\b(?:1[0-2]|[1-9]):[0-5]\d(?::[0-5]\d)? [ap]m\b")
_STAMP: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d")
#: The end of an instant, as the helper writes it for this choice.
_ZONE: Final = "UTC+05:45"
#: What people wrote themselves, and the raw form of a request.
_VERBATIM: Final = frozenset({"code", "pre", "samp", "textarea", "script", "option", "style"})
_SAID: Final = ("title", "aria-label", "alt")


class _Reader(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.strays: list[str] = []
        self._open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _VERBATIM | {"time", "svg"}:
            self._open.append(tag)
        for name, value in attrs:
            if name in _SAID:
                self._judge(value or "", may_name_instants=True)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            self._open.remove(tag)

    def handle_data(self, data: str) -> None:
        if not _VERBATIM & set(self._open):
            self._judge(data, may_name_instants=bool(self._open))

    def _judge(self, text: str, *, may_name_instants: bool) -> None:
        rest = _TWELVE.sub("", text)
        is_bare = _ZONE in text and not may_name_instants
        if is_bare or _CLOCK.search(rest) or _STAMP.search(rest):
            self.strays.append(" ".join(text.split()))


def find_stray_times(page: str) -> list[str]:
    """Return the texts of a page with times that did not go through the helper."""
    return _Reader(page).strays
