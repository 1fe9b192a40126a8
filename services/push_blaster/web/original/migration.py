"""Routes that migrate files of the original from `original` in the data folder."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from marshmallow import ValidationError

from chassis.bearer_auth import Role, asks_for
from chassis.clock import utc_now
from chassis.service import Routes
from chassis.typed_schemas import object_schema
from push_blaster.adapters.original.original_files import OriginalFile, OriginalKind, count_records
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.original.migrate_original import (
    Migration,
    MigrationOutcome,
    Target,
    look_at_original,
    migrate_original,
)
from push_blaster.web.frame.common_schemas import envelope_schema

MigrationSchema = object_schema(
    "Migration",
    file=str,
    scheduled_push_id=str | None,
    automation_id=str | None,
    migration_date=datetime,
    preserve_original=bool,
    outcome=MigrationOutcome,
    reason=str | None,
    findings=list[str],
)
AvailableSchema = object_schema(
    "Available",
    counts=dict[str, int],
    available_for_migration=(MigrationSchema,),
    not_available=(MigrationSchema,),
    migration_status=object_schema("MigrationStatus", can_migrate=bool, recommend_migration=bool),
)
MigratedSchema = object_schema(
    "Migrated",
    migrated_count=int,
    skipped_count=int,
    dry_run=bool,
    migrations=(MigrationSchema,),
    skipped=(MigrationSchema,),
    automations=list[dict[str, Any]],
)


def migration_routes(context: WebContext) -> Routes:
    """Return the routes that migrate files of the original."""
    routes = Routes("migration", __name__, description="From the original")
    target = Target(files=context.files, scripts=context.scripts, limits=context.limits)
    folder = context.data_folder / "original"
    path = "/api/automation/migrate"

    @routes.route(path, methods=["GET"])
    @routes.response(200, envelope_schema("AvailableAnswer", AvailableSchema))
    def look() -> dict[str, object]:
        """List the files that can be migrated, and why others cannot; 404 if there are none."""
        found = look_at_original(folder, target, utc_now())
        available = [m for m in found if m.outcome is MigrationOutcome.AVAILABLE]
        others = [m for m in found if m.outcome is not MigrationOutcome.AVAILABLE]
        data = {
            "counts": _count(found) | count_records(folder),
            "available_for_migration": [_show_migration(migration) for migration in available],
            "not_available": [_show_migration(migration) for migration in others],
            "migration_status": {
                "can_migrate": bool(available),
                "recommend_migration": bool(available),
            },
        }
        return {"success": True, "data": data, "message": f"{len(available)} to migrate."}

    @routes.route(path, methods=["POST"])
    @asks_for(Role.ADMIN)
    @routes.body("Migrate")
    @routes.response(200, envelope_schema("MigratedAnswer", MigratedSchema))
    def migrate(
        *,
        scheduled_push_ids: Sequence[str] = (),
        automation_ids: Sequence[str] = (),
        migrate_all: bool = False,
        dry_run: bool = False,
    ) -> dict[str, object]:
        """Migrate the named files, or all, as drafts; nothing is overwritten or sent."""
        named = (scheduled_push_ids, automation_ids)
        if not (migrate_all or any(named)):
            raise ValidationError({"scheduledPushIds": ["Name some, or set migrateAll."]})
        found = look_at_original(folder, target, utc_now())
        wanted = [m for m in found if migrate_all or _is_named(m.file, *named)]
        _check_named(wanted, *named)
        done = wanted if dry_run else migrate_original(wanted, target)
        return _answer_migrated(done, dry_run=dry_run)

    return routes


def _answer_migrated(done: Sequence[Migration], *, dry_run: bool) -> dict[str, object]:
    made = [m for m in done if m.outcome in {MigrationOutcome.AVAILABLE, MigrationOutcome.MIGRATED}]
    skipped = [m for m in done if m not in made]
    data = {
        "migrated_count": len(made),
        "skipped_count": len(skipped),
        "dry_run": dry_run,
        "migrations": [_show_migration(migration) for migration in made],
        "skipped": [_show_migration(migration) for migration in skipped],
        "automations": [migration.document for migration in made],
    }
    verb = "would be" if dry_run else "are"
    message = f"{len(made)} {verb} migrated as drafts, {len(skipped)} skipped."
    return {"success": True, "data": data, "message": message}


def _is_named(
    file: OriginalFile, scheduled_push_ids: Sequence[str], automation_ids: Sequence[str]
) -> bool:
    is_push = file.kind is OriginalKind.SCHEDULED_PUSH
    return file.id in (scheduled_push_ids if is_push else automation_ids)


def _check_named(
    wanted: Sequence[Migration], scheduled_push_ids: Sequence[str], automation_ids: Sequence[str]
) -> None:
    names = {*scheduled_push_ids, *automation_ids}
    unknown = sorted(names - {migration.file.id for migration in wanted})
    if unknown:
        complaint = f"The original has none of the id {', '.join(map(repr, unknown))}."
        raise ValidationError({"scheduledPushIds": [complaint]})


def _count(found: list[Migration]) -> dict[str, int]:
    kinds = [migration.file.kind for migration in found]
    outcomes = [migration.outcome for migration in found]
    return {
        "scheduledPushes": kinds.count(OriginalKind.SCHEDULED_PUSH),
        "automations": kinds.count(OriginalKind.AUTOMATION),
        "available": outcomes.count(MigrationOutcome.AVAILABLE),
        "present": outcomes.count(MigrationOutcome.PRESENT),
        "skipped": outcomes.count(MigrationOutcome.SKIPPED),
    }


def _show_migration(migration: Migration) -> dict[str, object]:
    file = migration.file
    return {
        "file": f"{file.kind}/{file.name}",
        "scheduled_push_id": file.id if file.kind is OriginalKind.SCHEDULED_PUSH else None,
        "automation_id": migration.automation_id,
        "migration_date": utc_now(),
        "preserve_original": True,
        "outcome": migration.outcome,
        "reason": migration.reason,
        "findings": migration.findings,
    }
