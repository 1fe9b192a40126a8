"""The commands of push-blaster: serve, engine, migrate, plan, import-devices and others."""

import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click
import orjson
from marshmallow import ValidationError

from chassis.clock import utc_now
from chassis.commands.command_group import CommandGroup
from chassis.csv_reader import CsvError
from chassis.http.serving import serve as serve_app
from chassis.logs import configure_logs
from chassis.migrations import migrate as migrate_database
from chassis.postgres import Database
from chassis.problems import flatten_messages
from push_blaster.adapters.audiences.script_folder import ScriptFolder
from push_blaster.adapters.automations.automation_document import read_draft
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.cadence.cadence_client import CadenceClient
from push_blaster.adapters.cadence.cadence_http import CadenceUnavailableError
from push_blaster.adapters.devices.device_csv import read_devices
from push_blaster.adapters.original.original_files import NoOriginalError, count_records
from push_blaster.adapters.transports.vapid import make_key_pair
from push_blaster.cli_audit import audit
from push_blaster.cli_frame import audited
from push_blaster.cli_prune import prune
from push_blaster.cli_tokens import token
from push_blaster.domain.automations.automation import Automation
from push_blaster.domain.cadence.cadence import CadenceRule
from push_blaster.engine import run_engine
from push_blaster.settings import MIGRATIONS, PushSettings, read_cadence_access, read_limits
from push_blaster.use_cases.devices.import_devices import import_devices as import_device_rows
from push_blaster.use_cases.original.migrate_original import (
    Migration,
    MigrationOutcome,
    Target,
    look_at_original,
    migrate_original,
)
from push_blaster.use_cases.schedule.plan_automation import Plan, PlanContext, plan_automation

__all__ = ["MIGRATIONS", "main"]


@click.group(cls=CommandGroup)
def main() -> None:
    """Push automations: who gets which push sequence, when."""


main.add_command(token)
main.add_command(audit)
main.add_command(prune)


@main.command()
def serve() -> None:
    """Serve the API and the pages (gunicorn); this process never fires and never sends."""
    settings = PushSettings.from_environ()
    serve_app(
        "push_blaster.app:create_app()",
        host=settings.host,
        port=settings.port,
        workers=settings.web_workers,
    )


@main.command()
def engine() -> None:
    """Run the clock, and the executions that are due."""
    settings = PushSettings.from_environ()
    configure_logs("push-engine", settings.log_format)
    run_engine(settings)


@main.command()
def migrate() -> None:
    """Bring the schema of the database up to date; waits for the database, safe to repeat."""
    settings = PushSettings.from_environ()
    configure_logs("push-migrate", settings.log_format)
    database = Database(settings.database_url, max_connections=1)
    database.wait_until_available(sleep=time.sleep)
    migrate_database(database, MIGRATIONS)
    click.echo("The push_blaster database is up to date.")


@main.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--count", type=click.IntRange(1, 100), default=5, help="How many slots of each.")
@click.option("--from", "start", type=click.DateTime(), help="Slots after then, in UTC.")
def plan(files: tuple[Path, ...], count: int, start: datetime | None) -> None:
    """Show when the automations of FILES would send, and what stands out; changes nothing.

    The plan considers the settings of the engine that are set, and caps if CADENCE_SERVICE_URL and
    CADENCE_API_TOKEN are set. Ends with 1 if a
    file is no automation.
    """
    now = utc_now()
    drafts = {path: _read_file(path, now) for path in files}
    automations = [draft for draft in drafts.values() if isinstance(draft, Automation)]
    context = PlanContext(others=automations, read_rules=_read_rules, limits=read_limits())
    after = start.replace(tzinfo=UTC) if start else now
    for path, draft in drafts.items():
        click.echo(f"\n{path}")
        if isinstance(draft, str):
            click.echo(f"  ✗ {draft}")
        else:
            _print_plan(plan_automation(draft, context, after, count))
    if len(automations) < len(drafts):
        raise click.exceptions.Exit(1)


@main.command("migrate-original")
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


def _read_file(path: Path, now: datetime) -> Automation | str:
    """Return the automation of a file, or what is wrong with the file."""
    try:
        return read_draft({"id": path.stem, **orjson.loads(path.read_bytes())}, now)
    except ValidationError as error:
        return "; ".join(flatten_messages(error.messages))
    except (ValueError, TypeError) as error:
        return f"is no JSON object: {error}"


def _read_rules() -> Sequence[CadenceRule]:
    found = read_cadence_access()
    if found is None:
        raise CadenceUnavailableError("CADENCE_SERVICE_URL and CADENCE_API_TOKEN are not set")
    return CadenceClient(*found).read_rules()


def _print_plan(plan: Plan) -> None:
    zone = ZoneInfo(plan.automation.schedule.timezone)
    for slot in plan.slots:
        begins_at = slot.at - plan.automation.schedule.lead_time
        local = slot.at.astimezone(zone).isoformat(sep=" ", timespec="minutes")
        remark = f"  {slot.remark}" if slot.remark else ""
        click.echo(f"  {local}  begins {begins_at.astimezone(zone):%H:%M}{remark}")
    for finding in plan.findings:
        click.echo(f"  ! {finding.message}")


@main.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only say what would be registered.")
def import_devices(file: Path, *, dry_run: bool) -> None:
    """Register the devices of the CSV FILE; safe to repeat. Ends with 1 if a row is bad."""
    settings = PushSettings.from_environ()
    database = Database(settings.database_url, max_connections=1)
    try:
        with (
            audited(database, {"file": str(file), "dryRun": dry_run}),
            file.open("rb") as content,
        ):
            found = read_devices(content, file.name, utc_now(), settings.delivery.push_hosts)
            done = import_device_rows(database, found.rows, utc_now(), dry_run=dry_run)
    except CsvError as error:
        raise click.ClickException(str(error)) from error
    if found.note:
        click.echo(found.note, err=True)
    for row in done.bad_rows:
        click.echo(f"line {row.line}: {row.fault}", err=True)
    verb = "would be registered" if dry_run else "registered"
    click.echo(f"{done.registered} {verb}, {done.unchanged} unchanged, {done.bad} refused.")
    if done.bad:
        raise click.exceptions.Exit(1)


@main.command()
def vapid_keys() -> None:
    """Make the pair of keys for Web Push; browsers subscribe with the public key."""
    private, public = make_key_pair()
    click.echo(f"WEBPUSH_PRIVATE_KEY={private}")
    click.echo(f"# For pushManager.subscribe({{applicationServerKey: …}}): {public}")
