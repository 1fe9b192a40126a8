"""Limits that the code under services/ and shared/ keeps."""

import re
from pathlib import Path
from typing import Final

ROOT = Path(__file__).parents[2]
FILES: Final = sorted(
    path
    for folder in ("services", "shared")
    for path in (ROOT / folder).rglob("*.py")
    if "migrations" not in path.parts
)


def _place(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_every_type_that_is_ignored_has_its_reason() -> None:
    ignored = re.compile(r"# type: ignore\b(?!\[[\w, -]+\]  # \w)")
    paths = [*FILES, *(ROOT / "tests").rglob("*.py")]

    found = [_place(path) for path in paths if ignored.search(path.read_text())]
    assert found == [_place(Path(__file__))], "this file spells the mark, and ignores nothing"
