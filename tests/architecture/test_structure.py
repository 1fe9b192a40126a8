"""Limits that the code under services/ and shared/ keeps."""

import ast
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from tests.architecture.sources import ROOT, SOURCES, nodes_of, place_of

MAX_MODULES: Final = 20
MAX_LINES: Final = 60
#: 99 of 100 functions have at most so many lines.
USUAL_LINES: Final = 40
#: So many functions may take or return a dict of anything.
MAX_DICTS: Final = 40
#: Where JSON and rows of the database come in and go out.
BORDERS: Final = re.compile(
    r"services/\w+/(web|adapters)/|shared/(chassis|cadence_contract|local_stack)/"
)


@dataclass(frozen=True, slots=True)
class Function:
    """A function or method, and its module; `lines` counts its docstring and its SQL."""

    place: str
    node: ast.FunctionDef | ast.AsyncFunctionDef

    @property
    def lines(self) -> int:
        return (self.node.end_lineno or 0) - self.node.lineno + 1

    def mentions(self, annotation: str) -> bool:
        """Return whether the annotation stands in that of an argument or of the answer."""
        given = self.node.args
        arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
        found = [argument.annotation for argument in arguments if argument]
        return any(annotation in ast.unparse(part) for part in (*found, self.node.returns) if part)


@cache
def _functions() -> list[Function]:
    return [
        Function(place_of(path), node)
        for path in SOURCES
        for node in nodes_of(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def test_no_folder_holds_too_many_modules() -> None:
    modules = Counter(place_of(path.parent) for path in SOURCES if path.name != "__init__.py")

    assert {folder: count for folder, count in modules.items() if count > MAX_MODULES} == {}


def test_no_function_is_too_long() -> None:
    functions = sorted(_functions(), key=lambda function: function.lines)
    long = {f"{f.place}: {f.node.name}": f.lines for f in functions if f.lines > USUAL_LINES}

    assert len(functions) > 1_500
    assert {name: lines for name, lines in long.items() if lines > MAX_LINES} == {}
    assert functions[len(functions) * 99 // 100].lines <= USUAL_LINES, long


def test_a_dict_of_anything_stands_only_at_a_border_with_json_or_rows() -> None:
    found = [f"{f.place}: {f.node.name}" for f in _functions() if f.mentions("dict[str, Any]")]

    assert [name for name in found if not BORDERS.match(name)] == []
    assert len(found) < MAX_DICTS, Counter(name.partition(":")[0] for name in found)


def test_every_type_that_is_ignored_has_its_reason() -> None:
    ignored = re.compile(r"# type: ignore\b(?!\[[\w, -]+\]  # \w)")
    paths = [*SOURCES, *(ROOT / "tests").rglob("*.py")]

    found = [place_of(path) for path in paths if ignored.search(path.read_text())]
    assert found == [place_of(Path(__file__))], "this file spells the mark, and ignores nothing"
