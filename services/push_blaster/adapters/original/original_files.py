"""The folders of the original: its automations, its scheduled pushes, its records."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

#: Lists earlier migrations; the original kept it among its automations.
NO_AUTOMATIONS: Final = frozenset({"migrations.json"})


class OriginalKind(StrEnum):
    """The kind of a file of the original; the value is its folder."""

    AUTOMATION = ".automations"
    SCHEDULED_PUSH = ".scheduled-pushes"


class NoOriginalError(Exception):
    """The folder has no files of the original."""


@dataclass(frozen=True, slots=True)
class OriginalFile:
    """A file of the original: its content, or why it has none."""

    kind: OriginalKind
    name: str
    content: Mapping[str, Any] | None
    problem: str | None = None

    @property
    def id(self) -> str:
        """The id of its content, or else the name of the file."""
        own = (self.content or {}).get("id")
        return own if isinstance(own, str) and own else self.name.removesuffix(".json")


def read_original(folder: Path) -> list[OriginalFile]:
    """Return every automation and every scheduled push of the original; NoOriginalError."""
    if not any((folder / kind).is_dir() for kind in OriginalKind):
        raise NoOriginalError(
            f"{folder} holds neither .automations nor .scheduled-pushes; copy the original's "
            "folders there."
        )
    return list(_read_files(folder))


def count_records(folder: Path) -> dict[str, int]:
    """Return how many push logs and execution records there are; they are not migrated."""
    automations = folder / OriginalKind.AUTOMATION
    return {
        "pushLogs": _count(folder / ".push-logs"),
        "executionRecords": _count(automations / "executions") + _count(automations / "logs"),
    }


def _read_files(folder: Path) -> Iterator[OriginalFile]:
    for kind in OriginalKind:
        for path in sorted((folder / kind).glob("*.json")):
            if path.name not in NO_AUTOMATIONS:
                yield _read_file(kind, path)


def _read_file(kind: OriginalKind, path: Path) -> OriginalFile:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        return OriginalFile(kind, path.name, None, f"It is no readable JSON: {error}.")
    if not isinstance(content, dict):
        return OriginalFile(kind, path.name, None, "It holds no JSON object.")
    return OriginalFile(kind, path.name, content)


def _count(folder: Path) -> int:
    return sum(1 for _ in folder.glob("*.json"))
