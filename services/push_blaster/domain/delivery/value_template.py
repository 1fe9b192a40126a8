"""Templates of whole values: the placeholders in every text of a value, at any depth."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Final
from urllib.parse import quote

from chassis.names import camel_case
from push_blaster.domain.delivery.template import (
    MalformedPlaceholderError,
    Template,
    compile_template,
)

#: Texts that are links: values are percent-encoded in them.
_LINKS: Final = frozenset({"imageUrl", "deepLink"})
#: Fields in which people choose the names.
_OPEN: Final = ("data.", "platforms.")


@dataclass(frozen=True, slots=True)
class ValueTemplate:
    """A value, and how to fill in its placeholders; a value without placeholders stays itself."""

    value: Any
    templates: tuple[Template, ...]
    fill_in: Callable[[Mapping[str, str]], Any]


def compile_value(name: str, value: object) -> ValueTemplate:
    """Compile every text of a value; MalformedPlaceholderError names the text with the fault.

    Shape: `name` is the path of the value; a dataclass, a mapping, a list and a tuple have parts.
    """
    if isinstance(value, str):
        template = compile_text(name, value)
        own = (template,) if template.is_personal else ()
        return ValueTemplate(value, own, _renderer(name, template))
    parts = {key: compile_value(path, part) for key, path, part in _find_parts(name, value)}
    personal = {key: part for key, part in parts.items() if part.templates}
    templates = tuple(one for part in personal.values() for one in part.templates)

    def fill_in(variables: Mapping[str, str]) -> Any:
        return _with_parts(value, {k: part.fill_in(variables) for k, part in personal.items()})

    return ValueTemplate(value, templates, fill_in if personal else lambda _: value)


def compile_text(name: str, text: str) -> Template:
    """Compile a text; MalformedPlaceholderError names it."""
    try:
        return compile_template(text)
    except MalformedPlaceholderError as error:
        raise MalformedPlaceholderError(f"{name}: {error}") from error


def escape_link(value: str) -> str:
    """Return a value percent-encoded: it cannot change the host or the scheme of a link."""
    # Letters and digits stay, and are looked at only once.
    return value if value.isascii() and value.isalnum() else quote(value, safe="")


def _renderer(name: str, template: Template) -> Callable[[Mapping[str, str]], str]:
    if name.rpartition(".")[2] in _LINKS and not name.startswith(_OPEN):
        return lambda variables: template.render(variables, escape_link)
    return template.render


def _find_parts(name: str, value: object) -> Iterator[tuple[Any, str, object]]:
    """Yield key, path and value of each part."""
    start = f"{name}." if name else ""
    if isinstance(value, Mapping):
        yield from ((key, f"{start}{key}", part) for key, part in value.items())
    elif isinstance(value, list | tuple):
        yield from ((at, f"{name}[{at}]", part) for at, part in enumerate(value))
    elif is_dataclass(value):
        names = [one.name for one in fields(value)]
        yield from ((n, f"{start}{camel_case(n)}", getattr(value, n)) for n in names)


def _with_parts(value: Any, parts: Mapping[Any, Any]) -> Any:
    """Return the value with some of its parts replaced."""
    if isinstance(value, Mapping):
        return {**value, **parts}
    if isinstance(value, list | tuple):
        return type(value)(parts.get(at, part) for at, part in enumerate(value))
    return replace(value, **parts)
