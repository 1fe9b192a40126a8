"""Limits that the code under services/ and shared/ keeps."""

import re
from pathlib import Path

from tests.architecture.sources import ROOT, SOURCES, place_of


def test_every_type_that_is_ignored_has_its_reason() -> None:
    ignored = re.compile(r"# type: ignore\b(?!\[[\w, -]+\]  # \w)")
    paths = [*SOURCES, *(ROOT / "tests").rglob("*.py")]

    found = [place_of(path) for path in paths if ignored.search(path.read_text())]
    assert found == [place_of(Path(__file__))], "this file spells the mark, and ignores nothing"
