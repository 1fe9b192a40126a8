"""The command push-blaster prune."""

from dataclasses import asdict
from datetime import timedelta

import click

from chassis.clock import utc_now
from chassis.logs import configure_logs
from chassis.postgres import Database
from push_blaster.cli_frame import audited
from push_blaster.settings import PushSettings
from push_blaster.use_cases.operations.prune import Kept, Pruning, plan_pruning
from push_blaster.use_cases.operations.prune import prune as remove_old


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
def prune(*, dry_run: bool) -> None:
    """Remove records whose retention (PUSH_KEEP_…) has ended, and that no execution needs.

    Entries of the audit log are first written into audit-log/ of the data folder.
    """
    settings = PushSettings.from_environ()
    configure_logs("push-prune", settings.log_format)
    database = Database(
        settings.database_url, max_connections=1, statement_timeout=timedelta(hours=1)
    )
    kept = Kept(database=database, data_folder=settings.data_folder, retention=settings.retention)
    if dry_run:
        click.echo(f"Would remove {_describe(plan_pruning(kept, utc_now()))}")
        return
    keep = {name: f"{time.days} days" for name, time in asdict(settings.retention).items()}
    with audited(database, keep):
        click.echo(f"Removed {_describe(remove_old(kept, utc_now()))}")


def _describe(pruning: Pruning) -> str:
    return (
        f"{len(pruning.executions)} executions, {len(pruning.folders)} folders of audiences, "
        f"{len(pruning.uploads)} uploads, {pruning.script_runs} runs of scripts, "
        f"{pruning.dead_devices} dead devices, {pruning.changes} entries of the audit log."
    )
