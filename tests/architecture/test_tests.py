"""How the tests lie: helpers in support modules, fixtures in conftest.py."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_nobody_imports_from_a_module_of_tests_or_a_conftest() -> None:
    imports = {
        (str(path.relative_to(ROOT)), name)
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for name in _imported(ast.parse(path.read_text()))
    }

    assert len(imports) > 1_000
    assert {(path, name) for path, name in imports if _holds_tests(name)} == set()


def _imported(tree: ast.Module) -> set[str]:
    """Return the full names that a module imports, `from` and its module joined."""
    whole = [n for n in ast.walk(tree) if isinstance(n, ast.Import)]
    parts = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    return {
        *(alias.name for node in whole for alias in node.names),
        *(f"{node.module}.{alias.name}" for node in parts for alias in node.names),
    }


def _holds_tests(name: str) -> bool:
    folders = name.split(".")
    return folders[0] == "tests" and any(
        part.startswith("test_") or part == "conftest" for part in folders[1:]
    )
