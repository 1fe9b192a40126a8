"""Read the texts of a form as values."""

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Final

import orjson
from werkzeug.datastructures import MultiDict

Form = MultiDict[str, str]
#: Returns the value of the field with this name; None if it is empty.
Read = Callable[[Form, str], object]


def read_number(given: str) -> int | float | str:
    """Return a number; other text, such as nan, stays as it is, so that its field can refuse it."""
    try:
        if given.lstrip("-").isdigit():
            return int(given)
        return float(given) if isfinite(float(given)) else given
    except ValueError:
        return given


def text(form: Form, name: str) -> object:
    """Return a text, which may be empty."""
    return form.get(name, "").strip()


def optional(form: Form, name: str) -> object:
    """Return a text."""
    return form.get(name, "").strip() or None


def number(form: Form, name: str) -> object:
    """Return a number."""
    given = form.get(name, "").strip()
    return read_number(given) if given else None


def percentage(form: Form, name: str) -> object:
    """Return a percentage as a share of 1."""
    given = number(form, name)
    return given / 100 if isinstance(given, int | float) else given


def flag(form: Form, name: str) -> object:
    """Return whether a box is ticked."""
    return name in form


def days(form: Form, name: str) -> object:
    """Return the days of the week that are ticked."""
    return whole_numbers(form, name) or None


def pairs(form: Form, name: str) -> object:
    """Return a text for each key; lines that are no pairs stay text, so that the field refuses."""
    given = form.get(name, "").strip()
    cells = [[cell.strip() for cell in line.split("=", 1)] for line in _lines(given)]
    if any(len(pair) < 2 for pair in cells):
        return given
    return dict(cells) or None


def write_pairs(value: object) -> str:
    """Return the lines of a mapping as the form shows them; text stays as it is."""
    if not isinstance(value, Mapping):
        return str(value)
    return "\n".join(f"{key} = {text}" for key, text in value.items())


def json_object(form: Form, name: str) -> object:
    """Return the value of JSON; text that is none stays text, so that the field refuses it."""
    given = form.get(name, "").strip()
    try:
        return orjson.loads(given) if given else None
    except ValueError:
        return given


def write_json(value: object) -> str:
    """Return a value as JSON in lines; text stays as it is."""
    if isinstance(value, str):
        return value
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


#: The parts of an action in its line of the form.
_ACTION: Final = ("id", "title", "deepLink")


def actions(form: Form, name: str) -> object:
    """Return the action of each line; a part that is missing is left out."""
    cells = ([cell.strip() for cell in line.split("|", 2)] for line in _lines(form.get(name, "")))
    return [
        {key: cell for key, cell in zip(_ACTION, line, strict=False) if cell} for line in cells
    ] or None


def write_actions(value: object) -> str:
    """Return the lines of actions as the form shows them."""
    listed = value if isinstance(value, list) else []
    parts = ([one.get(name) for name in _ACTION] for one in listed)
    return "\n".join(" | ".join(filter(None, one)) for one in parts)


def keep_actions(old: object, new: object) -> object:
    """Return the new actions, each with what the form does not show of the old one of its id."""
    if not isinstance(old, list) or not isinstance(new, list):
        return new
    before = {one.get("id"): one for one in old}
    return [_keep_action(before.get(one.get("id"), {}), one) for one in new]


def _keep_action(old: Mapping[str, object], new: Mapping[str, object]) -> Mapping[str, object]:
    if write_actions([old]) == write_actions([new]):
        return old
    return {**{name: old[name] for name in old if name not in _ACTION}, **new}


def _lines(given: str) -> list[str]:
    return [line for line in given.splitlines() if line.strip()]


def chosen(form: Form, name: str) -> object:
    """Return the options that are ticked."""
    return form.getlist(name) or None


def whole_numbers(form: Form, name: str) -> list[int]:
    """Return the whole numbers among the values of a field; all else is left out."""
    values = map(read_number, form.getlist(name))
    return [value for value in values if isinstance(value, int)]


def lines(form: Form, name: str) -> object:
    """Return each line that is not empty."""
    return [line.strip() for line in form.get(name, "").splitlines() if line.strip()]
