"""Names in the code are the field's words: none from the closed list beside this file."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.architecture.sources import SOURCES, nodes_of, place_of

PRIVATE_WORDS: Final = Path(__file__).with_name("private_words.txt")
#: Names that several classes had; each now says what it is of.
ONE_EACH: Final = ("Standing", "Verdict", "Outcome", "Change", "Plan", "Settings")


def test_no_name_is_private_english() -> None:
    private = set(_read_private_words())
    found = {f"{place_of(path)}: {name}" for path in SOURCES for name in names_in(path) & private}

    assert len(private) > 100
    assert found == set()


def test_a_general_name_belongs_to_one_class_at_most() -> None:
    classes = Counter(
        node.name for path in SOURCES for node in nodes_of(path) if isinstance(node, ast.ClassDef)
    )

    assert {name: classes[name] for name in ONE_EACH if classes[name] > 1} == {}


def _read_private_words() -> Iterator[str]:
    """Yield the names on the left of the list; two spaces or more part them from the right."""
    for line in PRIVATE_WORDS.read_text().splitlines():
        if line and not line.startswith("#"):
            yield from re.split(r"\s{2,}", line)[0].split(", ")


def names_in(path: Path) -> set[str]:
    """Return every name that a module gives or uses, its own and its folder's included."""
    return {path.stem, path.parent.name}.union(*(_names_of(node) for node in nodes_of(path)))


def _names_of(node: ast.AST) -> set[str]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return {node.name}
        case (
            ast.Name(id=name)
            | ast.Attribute(attr=name)
            | ast.arg(arg=name)
            | ast.keyword(arg=str(name))
        ):
            return {name}
        case ast.alias():
            return {node.name.rpartition(".")[2], node.asname or node.name}
    return set()
