"""The modules under services/ and shared/, for checks of their structure; migrations are apart."""

import ast
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
SOURCES: Final = sorted(
    path
    for folder in ("services", "shared")
    for path in (ROOT / folder).rglob("*.py")
    if "migrations" not in path.parts
)


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    """Return every node of the syntax tree of a module, which is read once."""
    return tuple(ast.walk(ast.parse(path.read_text())))


def place_of(path: Path) -> str:
    """Return the path of a module from the checkout on."""
    return str(path.relative_to(ROOT))
