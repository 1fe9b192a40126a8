"""The commands: cadence-service serve | migrate | prune."""

import time
from datetime import timedelta
from typing import Final

import click

from cadence_service.adapters.partitions import make_partitions
from cadence_service.settings import MIGRATIONS, CadenceSettings, PruneSettings
from cadence_service.use_cases.prune import plan_pruning
from cadence_service.use_cases.prune import prune as prune_history
from cadence_service.use_cases.record_change import COMMAND_LINE, recorded
from chassis.commands.command_group import CommandGroup
from chassis.commands.removal import require_plausible, yes_remove
from chassis.commands.upkeep import note_done
from chassis.http.serving import serve as serve_app
from chassis.logs import configure_logs
from chassis.postgres import BulkDatabase, database_now

__all__ = ["MIGRATIONS", "main"]

#: This many weeks may be dropped even if few remain.
FEW: Final = 4


@click.group(cls=CommandGroup)
def main() -> None:
    """Decides which users may get a push, and records every push."""


@main.command()
def serve() -> None:
    """Serve the API (gunicorn)."""
    settings = CadenceSettings.from_environ(listens=True)
    serve_app(
        "cadence_service.app:create_app()",
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
    )


@main.command()
def migrate() -> None:
    """Bring the schema up to date and make partitions ahead; safe to repeat."""
    from chassis.migrations import migrate as migrate_database  # alembic takes long to import

    settings = CadenceSettings.from_environ()
    configure_logs("cadence-migrate", settings.log_format)
    database = BulkDatabase(settings.database_url, max_connections=1)
    database.wait_until_available(sleep=time.sleep)
    migrate_database(database, MIGRATIONS)
    with database.transaction() as connection:
        now = database_now(connection)
    make_partitions(database, now)
    click.echo("The cadence database is up to date.")


@main.command()
@click.option("--keep-days", type=click.IntRange(1, 36_500), help="Instead of CADENCE_KEEP_DAYS.")
@click.option("--dry-run", is_flag=True, help="Only print what would be dropped.")
@yes_remove
def prune(keep_days: int | None, *, dry_run: bool, yes_remove: int | None) -> None:
    """Drop weeks of history after their retention; never the window of an active rule.

    The clock of the database decides.
    """
    settings = PruneSettings.from_environ()
    configure_logs("cadence-prune", settings.log_format)
    database = BulkDatabase(
        settings.database_url, max_connections=1, statement_timeout=timedelta(hours=1)
    )
    keep = timedelta(days=keep_days or settings.keep_days)
    with database.transaction() as connection:
        now = database_now(connection)
        planned = plan_pruning(connection, keep, now)
    if dry_run:
        click.echo(f"Would drop {len(planned.weeks)} weeks, all before {planned.kept_from:%F}:")
        click.echo("\n".join(planned.weeks) or "none")
        return
    weeks = len(planned.weeks)
    require_plausible(weeks, planned.weeks_in_all, "weeks", few=FEW, yes=yes_remove)
    asked = {"keepDays": keep.days, "weeks": list(planned.weeks)}
    with recorded(database, "pruned", COMMAND_LINE, asked, now) as record:
        done = prune_history(database, keep, now)
        record |= {"weeks": list(done.weeks), "notifications": done.notifications}
    click.echo(
        f"Dropped {len(done.weeks)} weeks before {done.kept_from:%F}: "
        f"{done.notifications} notifications, {done.keys} keys, {done.reservations} reservations, "
        f"{done.messages} texts, {done.slots} slots without a reservation."
    )
    note_done(database, "prune")
