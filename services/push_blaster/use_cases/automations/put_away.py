"""Duplicate automations, put them into the archive, and undo a deletion."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

from chassis.postgres import Connection, Database
from push_blaster.adapters.automations.automation_document import (
    complete_document,
    is_on,
    read_automation,
)
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.automations.document_files import (
    BrokenDocumentError,
    DocumentExistsError,
    DocumentNotFoundError,
)
from push_blaster.adapters.automations.version_table import (
    select_last_removal,
    select_version_before,
)
from push_blaster.adapters.executions.execution_table import lock_automation
from push_blaster.adapters.executions.suspensions import insert_suspensions, select_cancelled_for
from push_blaster.adapters.operations.emergency_stops import is_stopped_since
from push_blaster.adapters.schedule.schedule_marks import return_to_generation
from push_blaster.domain.automations.version import Version
from push_blaster.domain.executions.execution import execution_id
from push_blaster.use_cases.automations.change_automation import (
    DELETED,
    AutomationChange,
    Judge,
    changed_document,
    create_automation,
    edit_automation,
    write_version,
)
from push_blaster.use_cases.automations.restore_version import STAYS, content_of

#: The longest name that an automation may have.
LONGEST_NAME: Final = 255


class NotDeletedError(Exception):
    """No deleted automation with this id is kept."""


class IdTakenError(Exception):
    """The id of a deleted automation belongs to another one now."""


def duplicate_document(original: Mapping[str, Any], name: str | None) -> Mapping[str, Any]:
    """Return a draft like the original, without its id, for `create_automation`."""
    name = name or f"Copy of {original['name']}"[:LONGEST_NAME].strip()
    origin = {"createdBy": "duplicate", "duplicateOf": original["id"]}
    return {
        **{field: value for field, value in original.items() if field not in STAYS},
        "name": name,
        "status": "draft",
        "isActive": False,
        "metadata": {**(original.get("metadata") or {}), **origin},
    }


def duplicate_automation(
    files: AutomationFiles, original: Mapping[str, Any], draft: Mapping[str, Any], now: datetime
) -> AutomationChange:
    """Write a duplicate, a draft; ValidationError, DocumentExistsError."""
    return create_automation(files, draft, now, f"Duplicated from {original['id']!r}.")


def archive(
    files: AutomationFiles,
    database: Database,
    automation_id: str,
    expected_version: int | None,
    now: datetime,
) -> AutomationChange:
    """Take an automation out of the lists and off the clock; its pending executions are cancelled.

    Raises: DocumentNotFoundError, BrokenDocumentError, StaleVersionError.
    """
    current = files.load(automation_id)
    if current.get("isArchived"):
        return AutomationChange(current)
    sent = {"isArchived": True, **_based_on(expected_version)}
    reason = "The automation was archived."
    return edit_automation(files, database, automation_id, sent, now, reason)


def unarchive(
    files: AutomationFiles,
    database: Database,
    automation_id: str,
    expected_version: int | None,
    judge: Judge | None,
    now: datetime,
) -> AutomationChange:
    """Take an automation out of the archive; it is on again if there is a `judge` who lets it.

    If everything was stopped while it was archived, it stays paused.
    Raises: DocumentNotFoundError, BrokenDocumentError, StaleVersionError, and what `judge` raises.
    """
    old = files.load(automation_id)
    if not old.get("isArchived"):
        return AutomationChange(old)
    on = {"status": "active", "isActive": True} if judge and not _is_stopped(database, old) else {}
    sent = {"isArchived": False, **on, **_based_on(expected_version)}
    document = changed_document(old, sent, now)
    if judge:
        judge(read_automation(document))
    reason = "Taken out of the archive."
    return write_version(files, database, old, document, now, reason)


def _is_stopped(database: Database, archived: Mapping[str, Any]) -> bool:
    with database.transaction() as connection:
        return is_stopped_since(connection, read_automation(archived).updated_at)


def undo_delete(
    files: AutomationFiles, database: Database, automation_id: str, now: datetime
) -> Mapping[str, Any]:
    """Bring a deleted automation back, as it was, with its generation; safe to repeat.

    What the deletion cancelled begins again if its send time is still to come. If everything was
    stopped after the deletion, the automation comes back paused.
    Raises: NotDeletedError, IdTakenError, ValidationError.
    """
    try:
        with database.transaction() as connection:
            lock_automation(connection, automation_id)
            removed = _find_removed(connection, automation_id)
            document = _as_it_was(connection, removed, now)
            _give_slots_back(connection, removed, now)
            return _write_undone(files, document)
    except DocumentExistsError as error:  # and the transaction has changed nothing
        with database.transaction() as connection:
            removed = _find_removed(connection, automation_id)
        return _find_undone(files, removed, error)


def _find_removed(connection: Connection, automation_id: str) -> Version:
    removed = select_last_removal(connection, automation_id)
    if removed is None:
        raise NotDeletedError(
            f"No deleted automation {automation_id!r} is kept; GET /api/automation/deleted lists "
            "those that can be brought back."
        )
    return removed


def _write_undone(files: AutomationFiles, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Write the document, unless an undo wrote it whose transaction failed after that.

    Raises: DocumentExistsError; then the transaction of the caller must change nothing.
    """
    try:
        files.create(document, "The deletion was undone.")
    except DocumentExistsError:
        present = _find_present(files, document["id"])
        if present is None or {**document, "updatedAt": present.get("updatedAt")} != present:
            raise
        return present
    return document


def _as_it_was(connection: Connection, removed: Version, now: datetime) -> Mapping[str, Any]:
    """Return the document of a removed automation as its next version."""
    old = removed.document
    document = {**old, "version": old["version"] + 1, "updatedAt": now.isoformat()}
    # An emergency stop may not have paused it yet when it was deleted.
    before = select_version_before(connection, removed)
    if is_on(old) and is_stopped_since(connection, (before or removed).saved_at):
        document |= {"status": "paused"}
    return complete_document(document)


def _give_slots_back(connection: Connection, removed: Version, now: datetime) -> None:
    """Return to the generation, and suspend what the deletion cancelled, so that it comes back."""
    if removed.generation is None:
        return
    return_to_generation(connection, removed.automation_id, removed.generation)
    found = select_cancelled_for(connection, removed.automation_id, DELETED, now)
    own = [
        one.id
        for one in found
        if one.id == execution_id(one.automation_id, one.slot, generation=removed.generation)
    ]
    insert_suspensions(connection, own)


def _find_undone(
    files: AutomationFiles, removed: Version, error: DocumentExistsError
) -> Mapping[str, Any]:
    """Return the automation if the same deletion was undone before; IdTakenError if not."""
    present, old = _find_present(files, removed.automation_id), removed.document
    if present:
        has_come_back = present.get("createdAt") == old.get("createdAt") is not None
        if has_come_back or content_of(present) == content_of(old):
            return present
    raise IdTakenError(
        f"The deletion of {removed.automation_id!r} cannot be undone: another automation uses this "
        "id now, or an id that differs only in upper and lower case. The texts of the deleted one "
        "are still among the versions of this id."
    ) from error


def _find_present(files: AutomationFiles, automation_id: str) -> Mapping[str, Any] | None:
    with suppress(DocumentNotFoundError, BrokenDocumentError):
        return files.load(automation_id)
    return None


def _based_on(version: int | None) -> Mapping[str, Any]:
    return {} if version is None else {"version": version}
