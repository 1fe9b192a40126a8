"""Create, edit and delete automations."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from chassis.postgres import Database
from push_blaster.adapters.automations.automation_document import complete_document, read_automation
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.automations.document_files import next_version
from push_blaster.use_cases.executions.stop_execution import end_generation, suspend_pending


@dataclass(frozen=True, slots=True)
class AutomationChange:
    """A changed automation, and the executions that the change cancelled."""

    document: Mapping[str, Any]
    cancelled: tuple[str, ...] = ()


def create_automation(
    files: AutomationFiles, sent: Mapping[str, Any], now: datetime
) -> AutomationChange:
    """Write a new automation; without an id it gets one.

    Raises: ValidationError, DocumentExistsError.
    """
    document = new_document(sent, now)
    files.create(document)
    return AutomationChange(document)


def new_document(sent: Mapping[str, Any], now: datetime) -> Mapping[str, Any]:
    """Return the complete first version of an automation, without writing it; ValidationError."""
    stamp = now.isoformat()
    draft = {**sent, "id": sent.get("id") or str(uuid4()), "version": 1}
    draft["metadata"] = {"createdBy": "api", **(sent.get("metadata") or {})}
    document = complete_document({**draft, "createdAt": stamp, "updatedAt": stamp})
    is_scheduled = read_automation(document).is_scheduled
    return {**document, "activatedAt": stamp} if is_scheduled else document


def changed_document(
    old: Mapping[str, Any], sent: Mapping[str, Any], now: datetime
) -> Mapping[str, Any]:
    """Return the next version of `old`, without writing it; ValidationError, StaleVersionError."""
    metadata = {**(old.get("metadata") or {}), **(sent.get("metadata") or {})}
    return complete_document({**next_version(old, sent, now), "metadata": metadata})


def edit_automation(
    files: AutomationFiles,
    database: Database,
    automation_id: str,
    sent: Mapping[str, Any],
    now: datetime,
    reason: str | None = None,
) -> AutomationChange:
    """Replace the fields of the automation by those of `sent`; `metadata` is merged one level deep.

    Shape: if the change takes the automation off the clock, its pending executions are cancelled
    until it is on again; their logs have the `reason`, or else the new status.
    Raises: ValidationError, DocumentNotFoundError, BrokenDocumentError, StaleVersionError.
    """
    old = files.load(automation_id)
    document = changed_document(old, sent, now)
    was_scheduled, is_scheduled = (read_automation(d).is_scheduled for d in (old, document))
    if is_scheduled and not was_scheduled:
        document = {**document, "activatedAt": now.isoformat()}
    files.replace(document, expected_version=old["version"])
    if not was_scheduled or is_scheduled:
        return AutomationChange(document)
    reason = reason or f"The automation was switched off (status {document['status']!r})."
    return AutomationChange(document, tuple(suspend_pending(database, automation_id, reason, now)))


def delete_automation(
    files: AutomationFiles,
    database: Database,
    automation_id: str,
    expected_version: int | None,
    now: datetime,
) -> tuple[str, ...]:
    """Delete the automation; return the ids of the executions that this cancelled."""
    files.delete(automation_id, expected_version)
    return tuple(end_generation(database, automation_id, now))
