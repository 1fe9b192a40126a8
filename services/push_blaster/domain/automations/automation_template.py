"""Templates of automations: texts with `{{name}}`, and the variables that fill them in.

`[[var:name]]`, which the rows of an audience fill in, stays as it is.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, TypeAlias, TypeGuard
from urllib.parse import quote

import re2

from chassis.names import read_variable_name

#: The variable that gives `delayAfterPrevious` of every push except the first, in hours.
DELAY_HOURS: Final = "delay_hours"
#: The variable for the host of deep links.
LINK_HOST: Final = "link_host"

#: The longest pattern, and the longest text that fits one.
MAX_PATTERN: Final = 500
MAX_MATCHED: Final = 10_000

#: Texts that are links.
_LINKS: Final = frozenset({"deepLink", "imageUrl"})
#: Fields in which people choose the names.
_OPEN: Final = frozenset({"data", "platforms"})
_PLACEHOLDER: Final = re.compile(r"\{\{\s*([^\s{}]+)\s*\}\}")

Scalar: TypeAlias = str | int | float | bool
Value: TypeAlias = Scalar | Sequence[Scalar]


class VariableType(StrEnum):
    """What a variable's value is."""

    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    ARRAY = "array"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One variable of a template, and the values that it accepts.

    Shape: `minimum` and `maximum` bound a number, or the length of a string or an array; `options`
    are the items that an array may have; `wording` maps a value to its text in messages.
    """

    name: str
    type: VariableType
    required: bool = False
    default: Value | None = None
    minimum: float | None = None
    maximum: float | None = None
    pattern: str | None = None
    options: tuple[Scalar, ...] = ()
    wording: Mapping[str, str] = field(default_factory=dict)


class BadPatternError(ValueError):
    """The text is no pattern; the message says why, and what to write."""


@lru_cache(maxsize=256)
def read_pattern(text: str) -> Any:
    """Return a pattern that is matched in a time that grows with the text only; BadPatternError."""
    if len(text) > MAX_PATTERN:
        raise BadPatternError(f"It has {len(text)} characters; {MAX_PATTERN} are allowed.")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    try:
        return re2.compile(text, options)
    except (re2.error, UnicodeError) as error:
        said = error.args[0].decode() if isinstance(error.args[0], bytes) else error
        raise BadPatternError(
            f"{text!r} is no regular expression of RE2: {said}. RE2 knows no backreferences and no "
            "lookaround."
        ) from error


class BadVariablesError(Exception):
    """Variables are missing, unknown, or have values that do not fit."""

    def __init__(self, complaints: Mapping[str, str]) -> None:
        """Take a complaint for each variable."""
        super().__init__("; ".join(f"{name}: {text}" for name, text in complaints.items()))
        self.complaints = complaints


def complete_values(variables: Sequence[Variable], given: Mapping[str, object]) -> dict[str, Value]:
    """Return a value for each variable that has one: the one given, or its default.

    Shape: None counts as not given; a variable without value and default is left out.
    Raises: BadVariablesError, which names every variable that does not fit.
    """
    known = ", ".join(variable.name for variable in variables) or "none"
    given = {read_variable_name(name) or name: value for name, value in given.items()}
    unknown = given.keys() - {variable.name for variable in variables}
    strange = f"The template has no such variable. Its variables: {known}."
    complaints = dict.fromkeys(sorted(unknown), strange)
    values: dict[str, Value] = {}
    for variable in variables:
        value = given.get(variable.name)
        value = variable.default if value is None else value
        complaint = _find_complaint(variable, value)
        if complaint:
            complaints[variable.name] = complaint
        elif _is_of_type(value, variable.type):
            values[variable.name] = value
    if complaints:
        raise BadVariablesError(complaints)
    return values


def find_fault(variable: Variable, value: object) -> str | None:
    """Return why the variable does not accept `value`, or None if it does."""
    if not _is_of_type(value, variable.type):
        return f"{value!r} is no {variable.type}"
    faults = (
        look(variable, value)
        for look in (_find_range_fault, _find_pattern_fault, _find_option_fault)
    )
    return next(filter(None, faults), None)


def write_texts(variables: Sequence[Variable], values: Mapping[str, Value]) -> dict[str, str]:
    """Return the text of each value: its wording, or the value itself."""
    return {
        variable.name: variable.wording.get(
            write_value(values[variable.name]), write_value(values[variable.name])
        )
        for variable in variables
        if variable.name in values
    }


def write_value(value: Value) -> str:
    """Return a value as text: `24` for 24.0, `true` for True, the items of an array by commas."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, str | int | float):
        return str(value)
    return ", ".join(write_value(item) for item in value)


def find_names(text: str) -> list[str]:
    """Return the names of the variables that a text uses, in order, each once."""
    names = map(read_variable_name, _PLACEHOLDER.findall(text))
    return list(dict.fromkeys(name for name in names if name))


def find_malformed(text: str) -> str | None:
    """Return a part of `text` that looks like a placeholder and is not one, or None."""
    rest = _replace(text, lambda _: "")
    start = rest.find("{{")
    return rest[start : start + 40] if start >= 0 else None


def fill_in(text: str, texts: Mapping[str, str]) -> str:
    """Return `text` with its variables filled in; a variable without a value leaves nothing.

    Values are not read as templates again.
    """
    return _replace(text, lambda name: texts.get(name, ""))


def _replace(text: str, write: Callable[[str], str]) -> str:
    def replace_one(found: re.Match[str]) -> str:
        name = read_variable_name(found[1])
        return found[0] if name is None else write(name)

    return _PLACEHOLDER.sub(replace_one, text)


def fill_in_link(link: str, texts: Mapping[str, str]) -> str:
    """Return `link` with its variables filled in, percent-encoded; empty if a value is missing."""
    if any(not texts.get(name) for name in find_names(link)):
        return ""
    return fill_in(link, {name: quote(text, safe="") for name, text in texts.items()})


def fill_in_all(value: Any, texts: Mapping[str, str], name: str = "") -> Any:
    """Return a value with the variables in all of its texts filled in; `name` is its own name."""
    if isinstance(value, Mapping):
        is_open = name in _OPEN
        return {
            key: fill_in_all(part, texts, name if is_open else key) for key, part in value.items()
        }
    if isinstance(value, list):
        return [fill_in_all(part, texts, name) for part in value]
    if not isinstance(value, str):
        return value
    return fill_in_link(value, texts) if name in _LINKS else fill_in(value, texts)


def find_texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text of a value with its path, at any depth."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from find_texts(part, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for at, part in enumerate(value):
            yield from find_texts(part, f"{path}[{at}]")


def _is_of_type(value: object, wanted: VariableType) -> TypeGuard[Value]:
    if wanted is VariableType.ARRAY:
        return isinstance(value, list | tuple) and all(isinstance(v, Scalar) for v in value)
    if wanted is VariableType.NUMBER:
        if isinstance(value, float):
            return math.isfinite(value)
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, bool if wanted is VariableType.BOOLEAN else str)


def _find_complaint(variable: Variable, value: object) -> str | None:
    if value is None:
        return f"Missing. Give {_describe(variable)}." if variable.required else None
    fault = find_fault(variable, value)
    return f"{fault}. Give {_describe(variable)}." if fault else None


def _describe(variable: Variable) -> str:
    if variable.options:
        among = ", ".join(write_value(option) for option in variable.options)
        is_array = variable.type is VariableType.ARRAY
        return f"an array of any of: {among}" if is_array else f"one of: {among}"
    what = f"an {variable.type}" if variable.type is VariableType.ARRAY else f"a {variable.type}"
    pattern = f" that fits the pattern {variable.pattern}" if variable.pattern else ""
    return f"{what}{_describe_bounds(variable)}{pattern}"


def _describe_bounds(variable: Variable) -> str:
    bounds = [
        f" {word} {bound:g}"
        for word, bound in (("from", variable.minimum), ("to", variable.maximum))
        if bound is not None
    ]
    unit = {VariableType.STRING: " characters", VariableType.ARRAY: " items"}.get(variable.type, "")
    return "".join(bounds) + unit if bounds else ""


def _find_range_fault(variable: Variable, value: Value) -> str | None:
    size = value if isinstance(value, int | float) else len(value)
    if variable.minimum is not None and size < variable.minimum:
        return f"{value!r} is below the minimum"
    if variable.maximum is not None and size > variable.maximum:
        return f"{value!r} is above the maximum"
    return None


def _find_pattern_fault(variable: Variable, value: Value) -> str | None:
    if variable.pattern is None or not isinstance(value, str):
        return None
    is_fitting = len(value) <= MAX_MATCHED and read_pattern(variable.pattern).fullmatch(
        value.encode(errors="replace").decode()
    )
    return None if is_fitting else f"{value!r} does not fit the pattern"


def _find_option_fault(variable: Variable, value: Value) -> str | None:
    if not variable.options:
        return None
    items = value if isinstance(value, list | tuple) else [value]
    strange = [item for item in items if item not in variable.options]
    return f"{strange[0]!r} is none of the options" if strange else None
