"""What a page of HTML holds, read as a browser reads it: the values of its forms, its tables."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final

_TICKED: Final = {"checkbox", "radio"}
_BEGINS_TEXT: Final = {"textarea", "td", "th"}


@dataclass
class _Choice:
    """A select and the option that it sends."""

    name: str
    first: str | None = None
    chosen: str | None = None


@dataclass
class _Form:
    classes: list[str]
    values: dict[str, list[str]] = field(default_factory=dict)


class _Reader(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.forms: list[_Form] = []
        self.rows: list[list[str]] = []
        self._choice: _Choice | None = None
        self._area: str | None = None
        self._text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        name = given.get("name", "")
        if tag in _BEGINS_TEXT:
            self._area, self._text = name, ""
        if tag == "form":
            self.forms.append(_Form(given.get("class", "").split()))
        elif tag == "tr":
            self.rows.append([])
        elif tag in {"input", "select", "option"}:
            self._take_field(tag, name, given)

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._send(self._area or "", self._text)
        elif tag == "select" and self._choice:
            choice, self._choice = self._choice, None
            sent = choice.first if choice.chosen is None else choice.chosen
            self._send(choice.name, sent or "")
        elif tag in {"td", "th"} and self.rows:
            self.rows[-1].append(" ".join(self._text.split()))

    def _take_field(self, tag: str, name: str, given: Mapping[str, str]) -> None:
        if tag == "select":
            self._choice = _Choice(name)
        elif tag == "option" and self._choice:
            self._offer(self._choice, given)
        elif "disabled" in given:
            return  # a browser does not send it
        elif "checked" in given or given.get("type") not in _TICKED:
            self._send(name, given.get("value", "on" if "checked" in given else ""))

    def _offer(self, choice: _Choice, given: Mapping[str, str]) -> None:
        value = given.get("value", "")
        choice.first = value if choice.first is None else choice.first
        choice.chosen = value if "selected" in given else choice.chosen

    def _send(self, name: str, value: str) -> None:
        if name and self.forms:
            self.forms[-1].values.setdefault(name, []).append(value)


def form_values(page: str, kind: str | None = None) -> dict[str, list[str]]:
    """Return what the forms of a class would send, or all of the page's forms together."""
    found: dict[str, list[str]] = {}
    for form in _Reader(page).forms:
        if kind is None or kind in form.classes:
            for name, values in form.values.items():
                found.setdefault(name, []).extend(values)
    return found


def form_value(page: str, name: str) -> str:
    """Return the first value that a form would send as `name`."""
    return form_values(page)[name][0]


def table_rows(page: str) -> list[list[str]]:
    """Return the texts of every table's cells, row by row."""
    return [row for row in _Reader(page).rows if row]
