"""Restore an old version of an automation: its content comes back, as a new version."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from chassis.postgres import Database
from push_blaster.adapters.automations.automation_document import complete_document, read_automation
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.automations.document_files import StaleVersionError
from push_blaster.adapters.automations.version_table import select_version
from push_blaster.domain.automations.version import Version
from push_blaster.use_cases.automations.change_automation import (
    AutomationChange,
    Judge,
    write_version,
)

#: What a restore does not bring back: which automation it is, and whether it is on.
STAYS: Final = frozenset(
    {
        *("id", "createdAt", "createdByKey", "version", "updatedAt"),
        *("status", "isActive", "isArchived", "activatedAt"),
    }
)


class VersionNotFoundError(Exception):
    """The automation has no such version, or retention has removed it."""


def find_version(database: Database, automation_id: str, version_id: int) -> Version:
    """Return a version of an automation; VersionNotFoundError."""
    with database.transaction() as connection:
        found = select_version(connection, automation_id, version_id)
    if found is None:
        raise VersionNotFoundError(
            f"The automation {automation_id!r} has no version {version_id}; GET …/versions lists "
            "the versions that are kept."
        )
    return found


def restored_document(
    current: Mapping[str, Any], old: Mapping[str, Any], now: datetime
) -> Mapping[str, Any]:
    """Return the next version of `current` with the content of `old`; ValidationError."""
    content = {name: value for name, value in old.items() if name not in STAYS}
    own = {name: current[name] for name in STAYS if name in current}
    following = {"version": current["version"] + 1, "updatedAt": now.isoformat()}
    return complete_document({**content, **own, **following})


def restore_version(
    files: AutomationFiles,
    database: Database,
    version: Version,
    expected_version: int | None,
    judge: Judge,
    now: datetime,
) -> AutomationChange:
    """Write the content of a version as a new version; if nothing changes, nothing is written.

    An automation that is on stays on, so it is judged as one that is about to be made active.
    Raises: ValidationError, DocumentNotFoundError, BrokenDocumentError, StaleVersionError, and what
    `judge` raises.
    """
    current = files.load(version.automation_id)
    if expected_version not in {None, current["version"]}:
        raise StaleVersionError(current["id"], expected_version or 0, current["version"])
    document = restored_document(current, version.document, now)
    if content_of(document) == content_of(current):
        return AutomationChange(current)
    judge(read_automation(document))
    reason = f"Restored from version {version.version} of {version.saved_at:%Y-%m-%d %H:%M} UTC."
    return write_version(files, database, current, document, now, reason)


def content_of(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the part of a document that a restore brings back."""
    return {name: value for name, value in document.items() if name not in STAYS}
