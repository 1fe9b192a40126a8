"""The command push-blaster migrate-original."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.adapters.audiences.script_folder import ScriptFolder
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.original.original_files import NoOriginalError, count_records
from push_blaster.cli_frame import audited
from push_blaster.settings import PushSettings
from push_blaster.use_cases.original.migrate_original import (
    Migration,
    MigrationOutcome,
    Target,
    look_at_original,
    migrate_original,
)


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only say what would be made.")
def migrate_from_original(folder: Path, dry_run: bool) -> None:
    """Migrate .automations and .scheduled-pushes of the original in FOLDER, as drafts.

    The command overwrites nothing, sends nothing, and is safe to repeat.
    """
    settings = PushSettings.from_environ()
    target = Target(
        files=AutomationFiles(settings.data_folder / "automations"),
        scripts=ScriptFolder(settings.data_folder / "scripts"),
        limits=settings.engine.limits,
    )
    try:
        planned = look_at_original(folder, target, utc_now())
    except NoOriginalError as error:
        raise click.ClickException(str(error)) from error
    migrations = planned if dry_run else _migrate(settings, folder, planned, target)
    for migration in migrations:
        _print_migration(migration)
    counted = Counter(migration.outcome for migration in migrations)
    click.echo(
        "\n" + ", ".join(f"{counted[outcome]} {outcome}" for outcome in MigrationOutcome) + "."
    )
    for name, count in count_records(folder).items():
        click.echo(f"{count} {name} stay where they are.")


def _migrate(
    settings: PushSettings, folder: Path, planned: Sequence[Migration], target: Target
) -> list[Migration]:
    database = Database(settings.database_url, max_connections=1)
    with audited(database, {"folder": str(folder)}):
        return migrate_original(planned, target)


def _print_migration(migration: Migration) -> None:
    click.echo(f"\n{migration.file.kind}/{migration.file.name}")
    click.echo(f"  {migration.outcome}: {migration.reason or migration.automation_id}")
    for finding in migration.findings:
        click.echo(f"  ! {finding}")
