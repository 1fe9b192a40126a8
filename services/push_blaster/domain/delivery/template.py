"""Templates: placeholders and conditions in a push's texts.

`[[var:name]]` and `[[var:name|fallback]]` stand for a value, `[[number:name]]` and `[[date:name]]`
for one that is written as the user's language does, and of `[[if:name]]…[[else]]…[[end]]` the user
gets the first part if there is a value.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from chassis.names import column_key, read_variable_name
from push_blaster.domain.audiences.audience import LANGUAGE_COLUMN
from push_blaster.domain.delivery.value_formats import FORMATS, USUAL_LANGUAGE

_MARK: Final = re.compile(
    r"\[\[(?:(?P<kind>var|number|date):(?P<name>[^\s\[\]|]+)(?:\|(?P<fallback>[^\[\]|]*))?"
    r"|if:(?P<asked>[^\s\[\]|]+)|(?P<word>else|end))\]\]"
)
_OPENING: Final = "[["
#: Values for which a condition does not hold; an empty cell is one, too.
_NO: Final = frozenset({"", "0", "false", "no"})
#: How deep conditions may stand in one another.
MAX_DEPTH: Final = 5

Escape = Callable[[str], str]


class MalformedPlaceholderError(Exception):
    """A text contains something that looks like a placeholder and is not one."""


class MissingVariableError(Exception):
    """A user's row has no value for a placeholder that has no fallback."""


@dataclass(frozen=True, slots=True)
class Placeholder:
    """The name of a variable, its replacement in rows that have no value, and how it is written."""

    name: str
    fallback: str | None
    kind: str = "var"

    def fill_in(self, variables: Mapping[str, str], escape: Escape | None) -> str:
        """Return the value of a row. Raises: MissingVariableError."""
        value = self._find(variables)
        if value is None:
            raise MissingVariableError(self.name)
        return escape(value) if escape else value

    def find_missing(self, variables: Mapping[str, str]) -> Iterator[str]:
        """Yield the name if the row has no value, and no fallback stands for it."""
        if self.fallback is None and self._find(variables) is None:
            yield self.name

    def _find(self, variables: Mapping[str, str]) -> str | None:
        """Return the value; one that is no number, or no date, stays only without a fallback."""
        value = find_value(self.name, variables)
        if value and self.kind in FORMATS:
            language = find_value(LANGUAGE_COLUMN, variables) or USUAL_LANGUAGE
            return FORMATS[self.kind](value, language) or self.fallback or value
        return value or self.fallback


@dataclass(frozen=True, slots=True)
class Condition:
    """Two texts: one for rows that have a value, and one for the others."""

    name: str
    then: "Template"
    otherwise: "Template"

    def fill_in(self, variables: Mapping[str, str], escape: Escape | None) -> str:
        """Return the text for a row. Raises: MissingVariableError."""
        return self._choose(variables).render(variables, escape)

    def find_missing(self, variables: Mapping[str, str]) -> Iterator[str]:
        """Yield the names that the text for the row lacks."""
        yield from self._choose(variables).find_missing(variables)

    def _choose(self, variables: Mapping[str, str]) -> "Template":
        holds = find_value(self.name, variables).casefold() not in _NO
        return self.then if holds else self.otherwise


@dataclass(frozen=True, slots=True)
class Template:
    """A text cut into literal pieces, placeholders and conditions."""

    pieces: tuple[str | Placeholder | Condition, ...] = ()

    @property
    def is_personal(self) -> bool:
        """Return whether users get different texts."""
        return any(not isinstance(piece, str) for piece in self.pieces)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the variables, in order."""
        return tuple(_list_names(self))

    @property
    def is_formatted(self) -> bool:
        """Return whether a value is written as the user's language does."""
        return any(
            piece.kind in FORMATS
            if isinstance(piece, Placeholder)
            else piece.then.is_formatted or piece.otherwise.is_formatted
            for piece in self.pieces
            if not isinstance(piece, str)
        )

    def render(self, variables: Mapping[str, str], escape: Escape | None = None) -> str:
        """Return the text for one row; a value is inserted as it is, and never read as a template.

        An empty cell is no value. Raises: MissingVariableError.
        """
        return "".join(
            [p if isinstance(p, str) else p.fill_in(variables, escape) for p in self.pieces]
        )

    def find_missing(self, variables: Mapping[str, str]) -> Iterator[str]:
        """Yield the names of placeholders that need a value and have none in a row."""
        for piece in self.pieces:
            if not isinstance(piece, str):
                yield from piece.find_missing(variables)


def _list_names(template: Template) -> Iterator[str]:
    for piece in template.pieces:
        if not isinstance(piece, str):
            yield piece.name
        if isinstance(piece, Condition):
            yield from _list_names(piece.then)
            yield from _list_names(piece.otherwise)


def compile_template(text: str) -> Template:
    """Cut `text` into pieces; MalformedPlaceholderError names what is wrong, and where."""
    return _Reader(text).read()


@dataclass(slots=True)
class _Part:
    """A part of a text that is being read: the whole, or the texts of a condition."""

    start: int = 0
    name: str = ""
    pieces: list[str | Placeholder | Condition] = field(default_factory=list)
    then: Template | None = None

    def close(self) -> Template:
        return Template(tuple(piece for piece in self.pieces if piece))


class _Reader:
    """Reads a text once, from its begin to its end."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._open = [_Part()]

    def read(self) -> Template:
        position = 0
        for mark in _MARK.finditer(self._text):
            self._add_literal(position, mark.start())
            self._add(mark)
            position = mark.end()
        self._add_literal(position, len(self._text))
        if len(self._open) > 1:
            left = self._open[-1]
            raise self._fault(left.start, f"[[if:{left.name}]] has no [[end]]; add it.")
        return self._open[0].close()

    def _add_literal(self, start: int, end: int) -> None:
        literal = self._text[start:end]
        opening = literal.find(_OPENING)
        if opening >= 0:
            raise self._malformed(start + opening)
        self._open[-1].pieces.append(literal)

    def _add(self, mark: re.Match[str]) -> None:
        name = mark["name"] or mark["asked"]
        if name is not None and read_variable_name(name) is None:
            raise self._malformed(mark.start())
        if mark["kind"]:
            self._open[-1].pieces.append(Placeholder(name, mark["fallback"], mark["kind"]))
        elif mark["asked"]:
            if len(self._open) > MAX_DEPTH:
                raise self._fault(mark.start(), f"More than {MAX_DEPTH} conditions in one another.")
            self._open.append(_Part(mark.start(), name))
        elif mark["word"] == "else":
            self._turn(mark.start())
        else:
            self._end(mark.start())

    def _turn(self, start: int) -> None:
        part = self._open[-1]
        if len(self._open) == 1 or part.then is not None:
            raise self._fault(start, "[[else]] belongs to no [[if:name]]; leave it out.")
        part.then, part.pieces = part.close(), []

    def _end(self, start: int) -> None:
        if len(self._open) == 1:
            raise self._fault(start, "[[end]] belongs to no [[if:name]]; leave it out.")
        part = self._open.pop()
        texts = (part.close(), Template()) if part.then is None else (part.then, part.close())
        self._open[-1].pieces.append(Condition(part.name, *texts))

    def _malformed(self, start: int) -> MalformedPlaceholderError:
        shown = self._text[start : start + 40]
        return self._fault(
            start,
            f"{shown!r} is no placeholder; write [[var:name]] or [[var:name|fallback]], with "
            "number or date for var, or [[if:name]]…[[else]]…[[end]].",
        )

    def _fault(self, start: int, says: str) -> MalformedPlaceholderError:
        line = self._text.count("\n", 0, start) + 1
        column = start - self._text.rfind("\n", 0, start)
        return MalformedPlaceholderError(f"line {line}, column {column}: {says}")


def name_column(column: str) -> str | None:
    """Return the name of the column in a placeholder; None if no placeholder can name it."""
    return read_variable_name("_".join(column.split()))


def find_value(name: str, variables: Mapping[str, str]) -> str:
    """Return the value of the column that `name` means, without surrounding space, or "".

    Case, spaces and underscores do not count; the column of the very same name comes first.
    """
    value = variables.get(name)
    if value is None:
        key = column_key(name)
        value = next((v for column, v in variables.items() if column_key(column) == key), "")
    return value.strip()
