"""How the tests lie: helpers in support modules, and markers for what a test needs."""

import ast
import re
from pathlib import Path
from typing import Final

import pytest

from tests.architecture.sources import ROOT, nodes_of
from tests.markers import find_markers, leaves_out

#: What starts processes besides the one PostgreSQL of the tests, or looks for a program.
STARTERS: Final = {
    "local_stack.embedded_postgres.run_postgres",
    "tests.day.day.live_through",
    "tests.journeys.replicas.running_replicas",
    "tests.journeys.stack.running_stack",
    "tests.local_stack.stack.LocalStack",
    "tests.operate.night.live_through",
    "tests.programs.find_program",
    "tests.torture.torture.torture",
}


def test_nobody_imports_from_a_module_of_tests_or_a_conftest() -> None:
    imports = {
        (str(path.relative_to(ROOT)), name)
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for name in _imported(path)
    }

    assert len(imports) > 1_000
    assert {(path, name) for path, name in imports if _holds_tests(name)} == set()


def _imported(path: Path) -> set[str]:
    """Return the full names that a module imports, `from` and its module joined."""
    whole = [node for node in nodes_of(path) if isinstance(node, ast.Import)]
    parts = [node for node in nodes_of(path) if isinstance(node, ast.ImportFrom)]
    return {
        *(alias.name for node in whole for alias in node.names),
        *(f"{node.module}.{alias.name}" for node in parts for alias in node.names),
    }


def _holds_tests(name: str) -> bool:
    folders = name.split(".")
    return folders[0] == "tests" and any(
        part.startswith("test_") or part == "conftest" for part in folders[1:]
    )


def test_what_starts_processes_is_marked() -> None:
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    starting = [path for path in files if STARTERS & _imported(path)]

    assert len(starting) > 15
    assert [str(path.relative_to(ROOT)) for path in starting if not _is_marked(path)] == []


def _is_marked(path: Path) -> bool:
    own = re.search(r"@pytest\.mark\.(processes|nginx|systemd)\b", path.read_text())
    return bool(own or list(find_markers(path.relative_to(ROOT).as_posix())))


QUICK: Final = "not (processes or programs or nginx or systemd or slow)"


@pytest.mark.parametrize(
    ("expression", "path", "is_left_out"),
    [
        (QUICK, "tests/fuzz/", True),
        (QUICK, "tests/browser/pages.py", True),
        (QUICK, "tests/cadence_service/", False),
        (QUICK, "tests/cadence_service/test_model.py", True),
        (QUICK, "tests/push_blaster/use_cases/executions/", False),
        (QUICK, "tests/push_blaster/use_cases/executions/test_run.py", False),
        (QUICK, "tests/push_blaster/use_cases/executions/test_modes.py", True),
        (QUICK, "tests/deploy/test_deploy.py", False),
        ("systemd", "tests/deploy/test_deploy.py", False),
        ("slow and not nginx", "tests/day/test_day.py", True),
        ("", "tests/fuzz/", False),
    ],
)
def test_files_are_not_imported_if_no_marker_can_choose_their_tests(
    expression: str, path: str, is_left_out: bool
) -> None:
    assert leaves_out(expression, path) is is_left_out


@pytest.mark.parametrize("service", ["push_blaster", "cadence_service"])
@pytest.mark.parametrize("layer", ["web", "use_cases", "adapters", "domain"])
def test_make_quick_takes_tests_of_every_layer(service: str, layer: str) -> None:
    folder = ROOT / "tests" / service / layer
    names = [path.relative_to(ROOT).as_posix() for path in folder.rglob("test_*.py")]

    assert f'-m "{QUICK}"' in (ROOT / "Makefile").read_text()
    assert [name for name in names if not leaves_out(QUICK, name)]
