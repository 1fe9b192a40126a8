"""The command push-blaster prune."""

from dataclasses import asdict
from datetime import timedelta
from typing import Final

import click

from chassis.commands.removal import require_plausible, yes_remove
from chassis.commands.upkeep import note_done
from chassis.logs import configure_logs
from chassis.postgres import Database, database_now
from push_blaster.adapters.engagement.event_table import EVENTS
from push_blaster.cli_frame import audited
from push_blaster.domain.number_words import number_of
from push_blaster.settings import PruneSettings
from push_blaster.use_cases.operations.prune import Kept, Pruning, plan_pruning
from push_blaster.use_cases.operations.prune import prune as remove_old

#: This many executions may be removed even if few remain.
FEW: Final = 20


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@yes_remove
def prune(*, dry_run: bool, yes_remove: int | None) -> None:
    """Remove records whose retention (PUSH_KEEP_…) has ended, and make weeks of events ahead.

    The clock of the database decides. Entries of the audit log are first written into audit-log/ of
    the data folder.
    """
    settings = PruneSettings.from_environ()
    configure_logs("push-prune", settings.log_format)
    database = Database(
        settings.database_url, max_connections=1, statement_timeout=timedelta(hours=1)
    )
    with database.transaction() as connection:
        now = database_now(connection)
    kept = Kept(database=database, data_folder=settings.data_folder, retention=settings.retention)
    planned = plan_pruning(kept, now)
    if dry_run:
        click.echo(f"Would remove {_describe(planned)}")
        return
    going, of = len(planned.executions), planned.executions_in_all
    require_plausible(going, of, "executions", few=FEW, yes=yes_remove)
    keep = {name: number_of(time.days, "day") for name, time in asdict(settings.retention).items()}
    EVENTS.make_partitions(database, now, now - settings.retention.events)
    with audited(database, keep):
        click.echo(f"Removed {_describe(remove_old(kept, now))}")
    note_done(database, "prune")


def _describe(pruning: Pruning) -> str:
    parts = [
        number_of(len(pruning.executions), "execution"),
        number_of(len(pruning.folders), "folder") + " of audiences",
        number_of(len(pruning.uploads), "upload"),
        number_of(pruning.script_runs, "run") + " of scripts",
        number_of(pruning.dead_devices, "dead device"),
        number_of(pruning.changes, "entry") + " of the audit log",
        number_of(pruning.versions, "version") + " of automations",
        number_of(len(pruning.weeks), "week") + " of events",
        "results of " + number_of(pruning.results, "push"),
    ]
    return f"{', '.join(parts)}."
