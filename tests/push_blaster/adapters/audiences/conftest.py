"""Runners of scripts, in folders of their own."""

import sys
from pathlib import Path

import pytest

from tests.push_blaster.adapters.audiences.script_runner import Runner


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


@pytest.fixture
def passable(place: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    """A runner in a folder that others may pass through, with a Python that they may run."""
    place.mkdir(mode=0o711)
    known = [Path(name) for name in (sys.executable, "/usr/bin/python3") if Path(name).exists()]
    python = next(path for path in known if is_passable(path.resolve()))
    monkeypatch.setattr(sys, "executable", str(python))
    return Runner(place)


def is_passable(path: Path) -> bool:
    return all(part.stat().st_mode & 0o001 for part in (path, *path.parents))
