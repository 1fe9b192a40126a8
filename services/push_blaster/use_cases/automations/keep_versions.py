"""Record the versions of automations: at each change, and when a file was edited in its place."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from chassis.postgres import Connection, Database, DatabaseAwayError, DatabaseFaultError
from push_blaster.adapters.automations.automation_document import complete_or_why
from push_blaster.adapters.automations.document_files import DocumentChange
from push_blaster.adapters.automations.version_table import (
    NewestVersion,
    NewVersion,
    claim_version,
    digest_of,
    insert_version,
    lock_versions,
    select_newest,
    select_version,
    update_digest,
)
from push_blaster.adapters.executions.execution_table import lock_automation
from push_blaster.adapters.schedule.schedule_marks import select_generations
from push_blaster.domain.automations.version import REMOVALS, VersionKind

log = structlog.get_logger()

#: How long a change waits for another one of the same automation to be recorded.
LOCKED: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class VersionRecorder:
    """Records what this process writes; `author` returns the name of the token that asked for it.

    The file is written already. If the database is away, the change stays, and an engine records
    later what is in the file.
    """

    database: Database
    clock: Callable[[], datetime]
    author: Callable[[], str | None] = lambda: None

    def note(self, change: DocumentChange) -> None:
        """Record a change of an automation."""
        try:
            with self.database.transaction(LOCKED) as connection:
                _record(connection, change, self.author(), self.clock())
        except (DatabaseAwayError, DatabaseFaultError):
            log.warning("version_not_recorded", automation=change.id, exc_info=True)


def record_found(connection: Connection, document: Mapping[str, Any], now: datetime) -> bool:
    """Record what an edit of the file has left in it; False if that is no news."""
    lock_versions(connection, document["id"])
    return _record_found(connection, document, now)


def record_gone(connection: Connection, automation_id: str, now: datetime) -> bool:
    """Record that the file of an automation is gone; False if that is known."""
    lock_versions(connection, automation_id)
    return _record_removal(connection, automation_id, NewRemoval(VersionKind.GONE, now))


@dataclass(frozen=True, slots=True)
class NewRemoval:
    """The end of an automation; without a `document`, its last version tells what it was."""

    kind: VersionKind
    at: datetime
    author: str | None = None
    document: Mapping[str, Any] | None = None
    generation: int | None = None


def _record(
    connection: Connection, change: DocumentChange, author: str | None, now: datetime
) -> None:
    if change.after is None:  # an undo may be giving the generation back; it locks in this order
        lock_automation(connection, change.id)
    lock_versions(connection, change.id)
    if change.after is None:
        generation = select_generations(connection, [change.id])[change.id]
        removal = NewRemoval(VersionKind.DELETED, now, author, change.before, generation)
        _record_removal(connection, change.id, removal)
        return
    if claim_version(connection, change.after, author, change.reason):
        return
    if change.before:  # an edit of the file that no engine has seen yet
        _record_found(connection, change.before, now)
    kind = VersionKind.SAVED if change.before else VersionKind.CREATED
    new = NewVersion(
        kind=kind, document=change.after, saved_at=now, author=author, reason=change.reason
    )
    insert_version(connection, new)


def _record_found(connection: Connection, document: Mapping[str, Any], now: datetime) -> bool:
    newest = select_newest(connection, document["id"]).get(document["id"])
    if newest and newest.kind not in REMOVALS and _is_same(connection, newest, document):
        return False
    insert_version(connection, NewVersion(kind=VersionKind.FOUND, document=document, saved_at=now))
    return True


def _record_removal(connection: Connection, automation_id: str, removal: NewRemoval) -> bool:
    newest = select_newest(connection, automation_id).get(automation_id)
    document = removal.document
    if document is None and newest:
        last = select_version(connection, automation_id, newest.id)
        document = last.document if last else None
    is_known = removal.kind is VersionKind.GONE and (not newest or newest.kind in REMOVALS)
    if document is None or is_known:
        return False
    new = NewVersion(
        kind=removal.kind,
        document=document,
        saved_at=removal.at,
        author=removal.author,
        generation=removal.generation,
    )
    insert_version(connection, new)
    return True


def _is_same(connection: Connection, newest: NewestVersion, document: Mapping[str, Any]) -> bool:
    """Return whether a document is the newest version, perhaps of before a field got a default."""
    digest = digest_of(document)
    if newest.digest == digest:
        return True
    last = select_version(connection, document["id"], newest.id)
    completed, _ = complete_or_why(last.document) if last else (None, None)
    if completed is None or digest_of(completed) != digest:
        return False
    update_digest(connection, newest.id, digest)
    return True
