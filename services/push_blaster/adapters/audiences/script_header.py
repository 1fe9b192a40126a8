"""The header of an audience script: its own description, in comments or in its docstring.

description: Users who offered something lately.
category: behaviour
runtime: 30
audiences: recent_offerers, recent_wishers
audience recent_offerers: Whoever made an offer.
parameter lookback_hours (integer, default 48, at least 1, at most 720): How far to look back.
parameter product_id (string, required): The product that is shown.
parameter tone (choice of short|long, default short): Which text is meant.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from chassis.names import read_variable_name
from push_blaster.domain.audiences.script import Parameter, ParameterType, read_value

#: How many lines of a script are searched for a header in comments.
HEADER_LINES: Final = 60
_DOCSTRING: Final = re.compile(
    r"""\A(?:[ \t]*(?:\#[^\n]*)?\n)*[rR]?(\"{3}|'{3})(.*?)\1""", re.DOTALL
)
_FIELD: Final = re.compile(r"(description|category|runtime|audiences):\s*(.+)", re.IGNORECASE)
_NAME: Final = r"[^\s,;:./()'\"]+"
_AUDIENCE: Final = re.compile(rf"audience\s+({_NAME}):\s*(.*)", re.IGNORECASE)
_PARAMETER: Final = re.compile(r"parameter\s+([^\s()]+)\s*\(([^)]*)\)\s*:?\s*(.*)", re.IGNORECASE)


@dataclass(slots=True)
class Header:
    """The description that a script gives of itself.

    Shape: `audiences` are descriptions by name; `faults` are lines that cannot be read.
    """

    fields: dict[str, str] = field(default_factory=dict)
    audiences: dict[str, str] = field(default_factory=dict)
    parameters: list[Parameter] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def read_header(source: str) -> Header:
    """Return the header of a script's source; it never raises."""
    header = Header()
    for line in _find_lines(source):
        _read_line(header, line.strip(" \t\"'#"))
    for name in re.findall(_NAME, header.fields.get("audiences", "")):
        header.audiences.setdefault(name, name.replace("_", " "))
    return header


def _find_lines(source: str) -> list[str]:
    docstring = _DOCSTRING.match(source)
    lines = [line.strip() for line in source.splitlines()[:HEADER_LINES]]
    comments = [line for line in lines if line.startswith("#")]
    return comments + (docstring[2].splitlines() if docstring else [])


def _read_line(header: Header, line: str) -> None:
    if found := _FIELD.match(line):
        header.fields.setdefault(found[1].lower(), found[2].strip())
    elif found := _AUDIENCE.match(line):
        header.audiences[found[1]] = found[2].strip() or found[1].replace("_", " ")
    elif (found := _PARAMETER.match(line)) and (name := read_variable_name(found[1])):
        try:
            header.parameters.append(_read_parameter(name, found[2], found[3].strip()))
        except ValueError as error:
            header.faults.append(f"{line!r}: {error}")


def _read_parameter(name: str, terms: str, description: str) -> Parameter:
    kind, *others = [term.strip() for term in terms.split(",")]
    word, _, choices = kind.partition(" of ")
    names = [known.value for known in ParameterType]
    if word.lower() not in names:
        raise ValueError(f"{word!r} is no type. Types: {', '.join(names)}.")
    given = dict(_read_term(term) for term in others)
    parameter = Parameter(
        name=name,
        type=ParameterType(word.lower()),
        description=description,
        required="required" in given,
        default=given.get("default"),
        choices=tuple(choice.strip() for choice in choices.split("|") if choice.strip()),
        minimum=_read_bound(word.lower(), given.get("at least")),
        maximum=_read_bound(word.lower(), given.get("at most")),
    )
    if parameter.default is not None:
        read_value(parameter, parameter.default)
    return parameter


def _read_term(term: str) -> tuple[str, str]:
    """Return the name of a term, and its value; ValueError if the term is unknown."""
    for word in ("default", "at least", "at most"):
        if term.startswith(f"{word} "):
            return word, term.removeprefix(word).strip()
    if term == "required":
        return term, ""
    raise ValueError(f"{term!r} is none of: required, default …, at least …, at most ….")


def _read_bound(kind: str, text: str | None) -> float | None:
    if text is None:
        return None
    if kind not in {ParameterType.INTEGER, ParameterType.NUMBER}:
        raise ValueError(f"only numbers have bounds, and {kind} is none.")
    return float(text)
