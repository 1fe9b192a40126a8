"""Migrate files of the original as drafts, overwriting nothing, with a report."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from push_blaster.adapters.audiences.script_folder import ScriptFolder
from push_blaster.adapters.automations.automation_document import complete_or_why, read_automation
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.automations.document_files import DocumentExistsError
from push_blaster.adapters.original.original_automations import draft_original_automation
from push_blaster.adapters.original.original_files import OriginalFile, OriginalKind, read_original
from push_blaster.adapters.original.original_pushes import Draft, NotMigratedError, draft_push
from push_blaster.domain.executions.limits import Limits
from push_blaster.use_cases.schedule.plan_automation import PlanContext, plan_automation


class MigrationOutcome(StrEnum):
    """The result of migrating a file of the original, done or planned."""

    AVAILABLE = "available"
    MIGRATED = "migrated"
    PRESENT = "present"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Migration:
    """The migration of one file: its automation here, its findings, or why it is not migrated."""

    file: OriginalFile
    outcome: MigrationOutcome
    document: Mapping[str, Any] | None = None
    findings: tuple[str, ...] = ()
    reason: str | None = None

    @property
    def automation_id(self) -> str | None:
        """The id of the automation here."""
        return self.document["id"] if self.document else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where the migrated automations are written."""

    files: AutomationFiles
    scripts: ScriptFolder
    limits: Limits


def look_at_original(folder: Path, target: Target, now: datetime) -> list[Migration]:
    """Return the planned migration of every file; NoOriginalError."""
    present = {path.stem for path in target.files.folder.glob("*.json")}
    migrations = []
    for file in read_original(folder):
        migrations.append(_look_at(file, target, present, now))
        present.add(migrations[-1].automation_id or "")
    return migrations


def migrate_original(looked_at: Iterable[Migration], target: Target) -> list[Migration]:
    """Write the drafts of available files; nothing is overwritten; safe to repeat."""
    return [_write_draft(migration, target) for migration in looked_at]


def _look_at(file: OriginalFile, target: Target, present: set[str], now: datetime) -> Migration:
    try:
        draft = _make_draft(file, target, now)
    except NotMigratedError as error:
        return Migration(file, MigrationOutcome.SKIPPED, reason=str(error))
    findings = (*draft.findings, *_find_more(draft.document, target, now))
    if draft.document["id"] in present:
        reason = f"There is an automation {draft.document['id']!r} already; it stays as it is."
        return Migration(file, MigrationOutcome.PRESENT, draft.document, findings, reason)
    return Migration(file, MigrationOutcome.AVAILABLE, draft.document, findings)


def _make_draft(file: OriginalFile, target: Target, now: datetime) -> Draft:
    """Return the complete document of a draft, and its findings; NotMigratedError."""
    if file.content is None:
        raise NotMigratedError(file.problem)
    raw = {**file.content, "id": file.id}
    is_push = file.kind is OriginalKind.SCHEDULED_PUSH
    draft = draft_push(raw, target.limits.min_window) if is_push else draft_original_automation(raw)
    document, fault = complete_or_why(_switch_off(draft.document, file, now))
    if document is None:
        raise NotMigratedError(fault)
    return Draft(document, draft.findings)


def _switch_off(
    document: Mapping[str, Any], file: OriginalFile, now: datetime
) -> Mapping[str, Any]:
    """Return the document as a draft, with its origin."""
    source = {"file": f"{file.kind}/{file.name}", "at": now.isoformat()}
    own = document.get("metadata")
    metadata = own if isinstance(own, Mapping) else {}
    return {
        **document,
        "status": "draft",
        "isActive": False,
        "metadata": {"createdBy": "migration_system", **metadata, "migratedFrom": source},
        "createdAt": (file.content or {}).get("createdAt") or now.isoformat(),
        "updatedAt": now.isoformat(),
    }


def _find_more(document: Mapping[str, Any], target: Target, now: datetime) -> list[str]:
    """Return the findings of a plan that considers only the draft."""
    context = PlanContext(others=(), read_rules=tuple, limits=target.limits, scripts=target.scripts)
    plan = plan_automation(read_automation(document), context, now, 3)
    return [finding.message for finding in plan.findings]


def _write_draft(migration: Migration, target: Target) -> Migration:
    if migration.outcome is not MigrationOutcome.AVAILABLE or migration.document is None:
        return migration
    try:
        target.files.create(migration.document)
    except DocumentExistsError as error:
        return replace(migration, outcome=MigrationOutcome.PRESENT, reason=str(error))
    return replace(migration, outcome=MigrationOutcome.MIGRATED)
