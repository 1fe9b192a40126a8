"""The folder of automations: one JSON file each, written whole, and checked by version."""

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Final

from marshmallow import ValidationError

from chassis.problems import flatten_messages
from push_blaster.adapters.automation_document import complete_document
from push_blaster.adapters.automation_schema import ID_PATTERN
from push_blaster.adapters.json_files import sync_folder, write_json

#: Files that the original kept among its automations, and that are none.
NOT_AUTOMATIONS: Final = frozenset({"migrations.json"})


class AutomationNotFoundError(Exception):
    """There is no automation of that id."""


class AutomationExistsError(Exception):
    """There is an automation of that id already."""


class BrokenAutomationError(Exception):
    """The automation's file cannot be read as one; it is left as it is until a person mends it."""


class StaleVersionError(Exception):
    """The automation was changed since the version that the change was made from."""

    def __init__(self, automation_id: str, sent: int, current: int) -> None:
        """Take the version that the change was made from, and the present one."""
        super().__init__(
            f"The automation {automation_id!r} is at version {current}, the change was made from "
            f"version {sent}. Read it again, and repeat the change."
        )


@dataclass(frozen=True, slots=True)
class BrokenFile:
    """A file of the folder that is no automation, and why."""

    name: str
    error: str


@dataclass(frozen=True, slots=True)
class Listing:
    """Every automation of the folder, and every file that should be one and is not."""

    documents: tuple[dict[str, Any], ...]
    broken: tuple[BrokenFile, ...]


@dataclass(frozen=True, slots=True)
class _Known:
    stamp: tuple[int, int, int]
    document: dict[str, Any] | None
    broken: BrokenFile | None


class AutomationFiles:
    """The automations of one folder. Documents that it lends are not to be changed in place."""

    def __init__(self, folder: Path) -> None:
        """Take the folder; it is made if it is not there."""
        self.folder = folder
        self._known: dict[str, _Known] = {}
        self._lock = Lock()
        folder.mkdir(parents=True, exist_ok=True)

    def list_all(self) -> Listing:
        """Return every automation by id, and every broken file; only changed files are read."""
        with self._lock:
            self._known = {
                path.name: known
                for path in sorted(self.folder.glob("*.json"))
                if path.name not in NOT_AUTOMATIONS and (known := self._look_at(path))
            }
            found = list(self._known.values())
        return Listing(
            documents=tuple(k.document for k in found if k.document),
            broken=tuple(k.broken for k in found if k.broken),
        )

    def load(self, automation_id: str) -> dict[str, Any]:
        """Return one document; AutomationNotFoundError, BrokenAutomationError."""
        path = self._path(automation_id)
        if not path.exists():
            raise AutomationNotFoundError(f"There is no automation {automation_id!r}.")
        return self._read(path)

    def create(self, document: Mapping[str, Any]) -> None:
        """Write a new automation; AutomationExistsError if its id is taken."""
        path = self._path(document["id"])
        with self._locked():
            if path.exists():
                raise AutomationExistsError(f"There is an automation {document['id']!r} already.")
            write_json(path, document)

    def replace(self, document: Mapping[str, Any], expected_version: int) -> None:
        """Write over an automation still at `expected_version`; StaleVersionError if it is not."""
        with self._locked():
            self._check_version(document["id"], expected_version)
            write_json(self._path(document["id"]), document)

    def delete(self, automation_id: str, expected_version: int | None = None) -> None:
        """Remove an automation, if it is still at `expected_version` (None: whatever it is at)."""
        with self._locked():
            if expected_version is not None:
                self._check_version(automation_id, expected_version)
            path = self._path(automation_id)
            if not path.exists():
                raise AutomationNotFoundError(f"There is no automation {automation_id!r}.")
            path.unlink()
            sync_folder(self.folder)

    def _check_version(self, automation_id: str, expected: int) -> None:
        current = self.load(automation_id)["version"]
        if current != expected:
            raise StaleVersionError(automation_id, expected, current)

    def _path(self, automation_id: str) -> Path:
        if not ID_PATTERN.fullmatch(automation_id):
            raise AutomationNotFoundError(f"There is no automation {automation_id!r}.")
        return self.folder / f"{automation_id}.json"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep every other process from writing between our look and our write."""
        with (self.folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _look_at(self, path: Path) -> _Known | None:
        try:
            status = path.stat()
        except FileNotFoundError:
            return None
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        known = self._known.get(path.name)
        if known and known.stamp == stamp:
            return known
        try:
            return _Known(stamp, self._read(path), None)
        except BrokenAutomationError as error:
            return _Known(stamp, None, BrokenFile(path.name, str(error)))

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            document = complete_document(json.loads(path.read_text(encoding="utf-8-sig")))
        except ValidationError as error:
            reasons = "; ".join(flatten_messages(error.messages))
            raise BrokenAutomationError(f"{path.name}: {reasons}") from error
        except (OSError, ValueError) as error:
            raise BrokenAutomationError(f"{path.name} is no readable JSON: {error}") from error
        if f"{document['id']}.json" != path.name:
            raise BrokenAutomationError(f"{path.name} holds the id {document['id']!r}; rename it.")
        return document
