"""The parameters of an audience script: their types, and which values fit."""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Final


class ParameterType(StrEnum):
    """The type of a parameter."""

    STRING = "string"
    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    DATE = "date"
    CHOICE = "choice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter that a script declares.

    Shape: `default` is the text that the script gets if no value is given; `choices` belong to
    the type choice; numbers lie from `minimum` to `maximum`, if given.
    """

    name: str
    type: ParameterType
    description: str = ""
    required: bool = False
    default: str | None = None
    choices: tuple[str, ...] = ()
    minimum: float | None = field(default=None, metadata={"data_key": "min"})
    maximum: float | None = field(default=None, metadata={"data_key": "max"})


class ParametersError(Exception):
    """Parameters do not fit their script; the message names each, and the fix."""

    def __init__(self, script_id: str, faults: Mapping[str, str]) -> None:
        """Take the script, and a complaint for each parameter."""
        self.faults = faults
        text = " ".join(f"{name}: {fault}" for name, fault in faults.items())
        super().__init__(f"The parameters do not fit the script {script_id!r}. {text}")


def read_parameters(
    script_id: str, declared: Sequence[Parameter], given: Mapping[str, object]
) -> dict[str, str]:
    """Return each parameter as the text that the script gets, with defaults.

    A script without declared parameters gets all of them. Raises: ParametersError.
    """
    values = {name: value for name, value in given.items() if value is not None}
    if not declared:
        return {name: _text(value) for name, value in values.items()}
    texts: dict[str, str | None] = {}
    faults = _find_unknown(declared, values)
    for parameter in declared:
        try:
            texts[parameter.name] = _read_parameter(parameter, values.get(parameter.name))
        except ValueError as error:
            faults[parameter.name] = str(error)
    if faults:
        raise ParametersError(script_id, faults)
    return {name: text for name, text in texts.items() if text is not None}


def read_value(parameter: Parameter, value: object) -> str:
    """Return a value as text; ValueError says what would fit."""
    if parameter.type is ParameterType.CHOICE:
        text = _read_string(value)
        if text not in parameter.choices:
            raise ValueError(f"{text!r} is none of {', '.join(parameter.choices)}.")
        return text
    text = _READERS[parameter.type](value)
    _check_range(parameter, text)
    return text


def _check_range(parameter: Parameter, text: str) -> None:
    if parameter.minimum is not None and float(text) < parameter.minimum:
        raise ValueError(f"{text} is too little; give {parameter.minimum:g} or more.")
    if parameter.maximum is not None and float(text) > parameter.maximum:
        raise ValueError(f"{text} is too much; give {parameter.maximum:g} or less.")


def _find_unknown(declared: Sequence[Parameter], given: Mapping[str, object]) -> dict[str, str]:
    known = ", ".join(parameter.name for parameter in declared)
    unknown = sorted(given.keys() - {parameter.name for parameter in declared})
    return dict.fromkeys(unknown, f"the script has no such parameter. It has: {known}.")


def _read_parameter(parameter: Parameter, value: object) -> str | None:
    if value is not None:
        return read_value(parameter, value)
    if parameter.required:
        raise ValueError(f"is required, a {parameter.type}: {parameter.description or 'give one.'}")
    return parameter.default


def _read_string(value: object) -> str:
    if isinstance(value, list | dict):
        raise ValueError("has to be one value, not several.")  # noqa: TRY004 - a fault as others
    return _text(value)


def _read_integer(value: object) -> str:
    text = _text(value)
    if isinstance(value, float) and value.is_integer():
        text = str(int(value))
    if isinstance(value, bool) or not re.fullmatch(r"[+-]?[0-9]{1,30}", text):
        raise ValueError(f"{text!r} is no whole number; give one such as 48.")
    return str(int(text))


def _read_number(value: object) -> str:
    text = _text(value)
    try:
        is_number = not isinstance(value, bool) and math.isfinite(float(text))
    except ValueError:
        is_number = False
    if not is_number:
        raise ValueError(f"{text!r} is no number; give one such as 0.5.")
    return text


def _read_boolean(value: object) -> str:
    text = _text(value).lower()
    if text not in {"true", "false"}:
        raise ValueError(f"{text!r} is neither true nor false.")
    return text


def _read_date(value: object) -> str:
    text = _text(value)
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise ValueError(f"{text!r} is no date; write it as YYYY-MM-DD.") from error


def _text(value: object) -> str:
    """Return a JSON value as text: a text as it is, other values as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


_READERS: Final[Mapping[ParameterType, Callable[[object], str]]] = {
    ParameterType.STRING: _read_string,
    ParameterType.NUMBER: _read_number,
    ParameterType.INTEGER: _read_integer,
    ParameterType.BOOLEAN: _read_boolean,
    ParameterType.DATE: _read_date,
}
