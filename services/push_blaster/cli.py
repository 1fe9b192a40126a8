"""The commands of push-blaster: serve, engine, migrate; others stand in modules of their own."""

import time
from typing import Final

import click

from chassis.commands.command_group import CommandGroup
from chassis.http.serving import serve as serve_app
from chassis.logs import configure_logs
from chassis.postgres import Database, database_now
from push_blaster.adapters.engagement.event_table import EVENTS
from push_blaster.settings import MIGRATIONS, PushSettings

__all__ = ["MIGRATIONS", "main"]

_ELSEWHERE: Final = {
    "audit": "push_blaster.cli_audit:audit",
    "erasures": "push_blaster.cli_erasures:erasures",
    "import-devices": "push_blaster.cli_devices:import_devices",
    "migrate-original": "push_blaster.cli_original:migrate_from_original",
    "plan": "push_blaster.cli_plan:plan",
    "prune": "push_blaster.cli_prune:prune",
    "rotate-receipt-key": "push_blaster.cli_receipts:rotate_receipt_key",
    "token": "push_blaster.cli_tokens:token",
    "vapid-keys": "push_blaster.cli_devices:vapid_keys",
}


@click.group(cls=CommandGroup, elsewhere=_ELSEWHERE)
def main() -> None:
    """Push automations: who gets which push sequence, when."""


@main.command()
def serve() -> None:
    """Serve the API and the pages (gunicorn); this process never fires and never sends."""
    settings = PushSettings.from_environ("PUSH_PORT")
    serve_app(
        "push_blaster.app:create_app()",
        host=settings.host,
        port=settings.port,
        workers=settings.web_workers,
    )


@main.command()
def engine() -> None:
    """Run the clock, and the executions that are due."""
    from push_blaster.engine import run_engine  # imports much, and metrics before `serve` may

    settings = PushSettings.from_environ("PUSH_ENGINE_METRICS_PORT")
    configure_logs("push-engine", settings.log_format)
    run_engine(settings)


@main.command()
def migrate() -> None:
    """Bring the schema up to date and make partitions ahead; waits, safe to repeat."""
    from chassis.migrations import migrate as migrate_database  # alembic takes long to import

    settings = PushSettings.from_environ()
    configure_logs("push-migrate", settings.log_format)
    database = Database(settings.database_url, max_connections=1)
    database.wait_until_available(sleep=time.sleep)
    migrate_database(database, MIGRATIONS)
    with database.transaction() as connection:
        now = database_now(connection)
    EVENTS.make_partitions(database, now)
    click.echo("The push_blaster database is up to date.")
