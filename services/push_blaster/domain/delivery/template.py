"""Templates: `[[var:name]]` and `[[var:name|fallback]]` in a push's texts."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from chassis.names import column_key, read_variable_name

_PLACEHOLDER: Final = re.compile(r"\[\[var:([^\s\[\]|]+)(?:\|([^\[\]|]*))?\]\]")
_OPENING: Final = "[["


class MalformedPlaceholderError(Exception):
    """A text contains something that looks like a placeholder and is not one."""


class MissingVariableError(Exception):
    """A user's row has no value for a placeholder that has no fallback."""


@dataclass(frozen=True, slots=True)
class Placeholder:
    """The name of a variable, and its replacement in rows that have no value."""

    name: str
    fallback: str | None


@dataclass(frozen=True, slots=True)
class Template:
    """A text cut into literal pieces and placeholders."""

    pieces: tuple[str | Placeholder, ...]

    @property
    def placeholders(self) -> tuple[Placeholder, ...]:
        """Return the placeholders, in order."""
        return tuple(piece for piece in self.pieces if isinstance(piece, Placeholder))

    def render(
        self, variables: Mapping[str, str], escape: Callable[[str], str] | None = None
    ) -> str:
        """Return the text for one row; a value is inserted as it is, and never read as a template.

        An empty cell is no value. Raises: MissingVariableError.
        """
        filled = [p if isinstance(p, str) else _fill(p, variables, escape) for p in self.pieces]
        return "".join(filled)


def compile_template(text: str) -> Template:
    """Cut `text` into pieces; MalformedPlaceholderError names what is not a placeholder."""
    pieces: list[str | Placeholder] = []
    position = 0
    for found in _PLACEHOLDER.finditer(text):
        if read_variable_name(found[1]) is None:
            raise _malformed(found[0])
        pieces.append(_literal(text[position : found.start()]))
        pieces.append(Placeholder(found[1], found[2]))
        position = found.end()
    pieces.append(_literal(text[position:]))
    return Template(tuple(piece for piece in pieces if piece))


def _literal(text: str) -> str:
    start = text.find(_OPENING)
    if start >= 0:
        raise _malformed(text[start:])
    return text


def _malformed(text: str) -> MalformedPlaceholderError:
    return MalformedPlaceholderError(
        f"{text[:40]!r} is no placeholder; write [[var:name]] or [[var:name|fallback]]."
    )


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


def _fill(
    placeholder: Placeholder, variables: Mapping[str, str], escape: Callable[[str], str] | None
) -> str:
    value = find_value(placeholder.name, variables) or placeholder.fallback
    if value is None:
        raise MissingVariableError(placeholder.name)
    return escape(value) if escape else value
