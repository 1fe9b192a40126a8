"""Restore an old version of an automation: its content comes back, as a new version."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from chassis.postgres import Database
from push_blaster.adapters.automations.automation_document import (
    complete_document,
    is_on,
    read_automation,
)
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.automations.document_files import (
    BrokenDocumentError,
    StaleVersionError,
)
from push_blaster.adapters.automations.version_table import select_version, select_versions
from push_blaster.domain.automations.version import Version
from push_blaster.use_cases.automations.change_automation import (
    AutomationChange,
    Judge,
    write_version,
)
from push_blaster.use_cases.executions.stop_execution import suspend_pending

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
    A file that cannot be read is kept under another name, and the automation is paused.
    Raises: ValidationError, DocumentNotFoundError, StaleVersionError, and what `judge` raises.
    """
    try:
        current = files.load(version.automation_id)
    except BrokenDocumentError:
        return _restore_over_broken(files, database, version, now)
    if expected_version not in {None, current["version"]}:
        raise StaleVersionError(current["id"], expected_version or 0, current["version"])
    document = restored_document(current, version.document, now)
    if content_of(document) == content_of(current):
        return AutomationChange(current)
    judge(read_automation(document))
    return write_version(files, database, current, document, now, _describe(version))


def _describe(version: Version) -> str:
    return f"Restored from version {version.version} of {version.saved_at:%Y-%m-%d %H:%M} UTC."


def _restore_over_broken(
    files: AutomationFiles, database: Database, version: Version, now: datetime
) -> AutomationChange:
    """Write the content of a version in the place of a file that nobody can read.

    No clock has seen the automation meanwhile, so one that was on comes back paused.
    """
    with database.transaction() as connection:
        last = select_versions(connection, version.automation_id)[0].document
    status = {"status": "paused"} if is_on(last) else {}
    document = restored_document({**last, **status}, version.document, now)
    reason = _describe(version)
    with files.reporting_last():
        files.replace_broken(document, last, reason)
        cancelled = suspend_pending(database, version.automation_id, reason, now) if status else ()
    return AutomationChange(document, tuple(cancelled))


def content_of(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the part of a document that a restore brings back."""
    return {name: value for name, value in document.items() if name not in STAYS}
