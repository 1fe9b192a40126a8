"""Create, edit and delete automations."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from chassis.postgres import Database, DatabaseAwayError
from push_blaster.adapters.automations.automation_document import (
    complete_document,
    is_on,
    read_automation,
)
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.automations.document_files import (
    BrokenDocumentError,
    DocumentExistsError,
    DocumentNotWrittenError,
    next_version,
)
from push_blaster.domain.automations.automation import Automation
from push_blaster.use_cases.executions.start_execution import ArchivedError
from push_blaster.use_cases.executions.stop_execution import (
    begin_next_generation,
    cancel_pending,
    suspend_pending,
)

#: Refuses an automation that is about to be made active, if it will surely fail.
Judge = Callable[[Automation], None]
#: Why the executions of a deleted automation were cancelled.
DELETED: Final = "The automation was deleted."


@dataclass(frozen=True, slots=True)
class AutomationChange:
    """A changed automation, and the executions that the change cancelled."""

    document: Mapping[str, Any]
    cancelled: tuple[str, ...] = ()


def create_automation(
    files: AutomationFiles, sent: Mapping[str, Any], now: datetime, reason: str | None = None
) -> AutomationChange:
    """Write a new automation; without an id it gets one.

    Raises: ValidationError, DocumentExistsError.
    """
    document = new_document(sent, now)
    files.create(document, reason)
    return AutomationChange(document)


def new_document(sent: Mapping[str, Any], now: datetime) -> Mapping[str, Any]:
    """Return the complete first version of an automation, without writing it; ValidationError."""
    stamp = now.isoformat()
    draft = {**sent, "id": sent.get("id") or str(uuid4()), "version": 1}
    draft["metadata"] = {"createdBy": "api", **(sent.get("metadata") or {})}
    document = complete_document({**draft, "createdAt": stamp, "updatedAt": stamp})
    document = _without_runs_if_archived(document, {})
    is_scheduled = read_automation(document).is_scheduled
    return {**document, "activatedAt": stamp} if is_scheduled else document


def changed_document(
    old: Mapping[str, Any], sent: Mapping[str, Any], now: datetime
) -> Mapping[str, Any]:
    """Return the next version of `old`, without writing it.

    Raises: ValidationError, StaleVersionError; ArchivedError if it would run although archived.
    """
    metadata = {**(old.get("metadata") or {}), **(sent.get("metadata") or {})}
    document = complete_document({**next_version(old, sent, now), "metadata": metadata})
    return _without_runs_if_archived(document, old)


def _without_runs_if_archived(
    document: Mapping[str, Any], old: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return a document that an older version of the system does not run either if archived."""
    if not document.get("isArchived") or not is_on(document):
        return document
    if old.get("isArchived"):
        raise ArchivedError(document["id"])
    return {**document, "status": "paused", "isActive": False}


def edit_automation(
    files: AutomationFiles,
    database: Database,
    automation_id: str,
    sent: Mapping[str, Any],
    now: datetime,
    reason: str | None = None,
) -> AutomationChange:
    """Replace the fields of the automation by those of `sent`; `metadata` is merged one level deep.

    Raises: ValidationError, DocumentNotFoundError, BrokenDocumentError, StaleVersionError,
    ArchivedError.
    """
    old = files.load(automation_id)
    return write_version(files, database, old, changed_document(old, sent, now), now, reason)


def write_version(
    files: AutomationFiles,
    database: Database,
    old: Mapping[str, Any],
    document: Mapping[str, Any],
    now: datetime,
    reason: str | None = None,
) -> AutomationChange:
    """Write a complete document in the place of `old`; StaleVersionError.

    Shape: if the change takes the automation off the clock, its pending executions are cancelled
    until it is on again; their logs have the `reason`, or else the new status.
    """
    was_scheduled, is_scheduled = (read_automation(d).is_scheduled for d in (old, document))
    if is_scheduled and not was_scheduled:
        document = {**document, "activatedAt": now.isoformat()}
    with files.reporting_last():
        files.replace(document, old["version"], reason)
        if not was_scheduled or is_scheduled:
            return AutomationChange(document)
        reason = reason or f"The automation was switched off (status {document['status']!r})."
        return AutomationChange(document, tuple(suspend_pending(database, old["id"], reason, now)))


def delete_automation(
    files: AutomationFiles,
    database: Database,
    automation_id: str,
    expected_version: int | None,
    now: datetime,
) -> tuple[str, ...]:
    """Delete the automation; return the ids of the executions that this cancelled.

    If the database is away, nothing is deleted; DatabaseAwayError.
    """
    before = None
    with suppress(BrokenDocumentError):
        before = files.load(automation_id)
    cancelled: list[str] = []
    with files.reporting_last(), suppress(DatabaseAwayError):
        files.delete(automation_id, expected_version)
        cancelled += suspend_pending(database, automation_id, DELETED, now)
    try:
        begin_next_generation(database, automation_id)
    except DatabaseAwayError:
        if before:
            with suppress(DocumentExistsError, DocumentNotWrittenError):
                files.create(before)
        raise
    # An engine that had not seen the deletion yet may have opened one more.
    return (*cancelled, *cancel_pending(database, automation_id, DELETED, now))
