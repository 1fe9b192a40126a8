"""Routes that migrate files of the original from `original` in the data folder."""

from collections.abc import Mapping, Sequence
from typing import Any

from marshmallow import ValidationError, fields, validates_schema

from chassis.bearer_auth import Role, asks_for
from chassis.clock import utc_now
from chassis.schemas import CamelSchema
from chassis.service import Routes
from push_blaster.adapters.original.original_files import OriginalFile, OriginalKind, count_records
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.original.migrate_original import (
    Migration,
    MigrationOutcome,
    Target,
    look_at_original,
    migrate_original,
)


class MigrateSchema(CamelSchema):
    """Body of POST /api/automation/migrate."""

    scheduled_push_ids = fields.List(fields.String(), load_default=list)
    automation_ids = fields.List(fields.String(), load_default=list)
    migrate_all = fields.Boolean(load_default=False)
    dry_run = fields.Boolean(load_default=False)

    @validates_schema
    def _wants_something(self, data: Mapping[str, Any], **_: object) -> None:
        if not (data["migrate_all"] or data["scheduled_push_ids"] or data["automation_ids"]):
            raise ValidationError("Name some, or set migrateAll.", "scheduledPushIds")


class MigrationSchema(CamelSchema):
    """One file of the original, and its migration, done or planned."""

    file = fields.String()
    scheduled_push_id = fields.String(allow_none=True)
    automation_id = fields.String(allow_none=True)
    migration_date = fields.AwareDateTime()
    preserve_original = fields.Boolean()
    outcome = fields.String()
    reason = fields.String(allow_none=True)
    findings = fields.List(fields.String())


class MigrationStatusSchema(CamelSchema):
    """Whether files can be migrated."""

    can_migrate = fields.Boolean()
    recommend_migration = fields.Boolean()


class AvailableSchema(CamelSchema):
    """The files in the original's folders."""

    counts = fields.Dict(keys=fields.String(), values=fields.Integer())
    available_for_migration = fields.List(fields.Nested(MigrationSchema))
    not_available = fields.List(fields.Nested(MigrationSchema))
    migration_status = fields.Nested(MigrationStatusSchema)


class MigratedSchema(CamelSchema):
    """The automations that a migration made, or would make."""

    migrated_count = fields.Integer()
    skipped_count = fields.Integer()
    dry_run = fields.Boolean()
    migrations = fields.List(fields.Nested(MigrationSchema))
    skipped = fields.List(fields.Nested(MigrationSchema))
    automations = fields.List(fields.Dict())


class AvailableAnswerSchema(CamelSchema):
    """The files, in the original's envelope."""

    success = fields.Boolean()
    data = fields.Nested(AvailableSchema)
    message = fields.String()


class MigratedAnswerSchema(CamelSchema):
    """The migration, in the original's envelope."""

    success = fields.Boolean()
    data = fields.Nested(MigratedSchema)
    message = fields.String()


def migration_routes(context: WebContext) -> Routes:
    """Return the routes that migrate files of the original."""
    routes = Routes("migration", __name__, description="From the original")
    target = Target(files=context.files, scripts=context.scripts, limits=context.limits)
    folder = context.data_folder / "original"
    path = "/api/automation/migrate"

    @routes.route(path, methods=["GET"])
    @routes.response(200, AvailableAnswerSchema)
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
    @routes.arguments(MigrateSchema, as_kwargs=True)
    @routes.response(200, MigratedAnswerSchema)
    def migrate(*, migrate_all: bool, dry_run: bool, **named: Sequence[str]) -> dict[str, object]:
        """Migrate the named files, or all, as drafts; nothing is overwritten or sent."""
        found = look_at_original(folder, target, utc_now())
        wanted = [m for m in found if migrate_all or _is_named(m.file, **named)]
        _check_named(wanted, **named)
        done = wanted if dry_run else migrate_original(wanted, target)
        made = [
            m for m in done if m.outcome in {MigrationOutcome.AVAILABLE, MigrationOutcome.MIGRATED}
        ]
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

    return routes


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
