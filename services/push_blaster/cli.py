"""The commands: push-blaster serve | engine | migrate."""

import time
from pathlib import Path
from typing import Final

import click

from chassis.logs import configure_logs
from chassis.migrations import migrate as migrate_database
from chassis.postgres import Database
from chassis.serving import serve as serve_app
from chassis.settings import SettingsError
from push_blaster.engine import run_engine
from push_blaster.settings import Settings

MIGRATIONS: Final = Path(__file__).parent / "migrations"


@click.group()
def main() -> None:
    """Push automations: who gets which push sequence, when."""


@main.command()
def serve() -> None:
    """Serve the API (gunicorn); it never fires and never sends."""
    settings = _settings()
    serve_app(
        "push_blaster.app:create_app()",
        host=settings.host,
        port=settings.port,
        workers=settings.web_workers,
    )


@main.command()
def engine() -> None:
    """Run the clock, and the executions whose steps are due."""
    settings = _settings()
    configure_logs("push-engine", settings.log_format)
    run_engine(settings)


@main.command()
def migrate() -> None:
    """Bring the database's schema up to date; waits for the database, safe to repeat."""
    settings = _settings()
    configure_logs("push-migrate", settings.log_format)
    database = Database(settings.database_url, max_connections=1)
    database.wait_until_there(sleep=time.sleep)
    migrate_database(database, MIGRATIONS)
    click.echo("The push_blaster database is up to date.")


def _settings() -> Settings:
    try:
        return Settings.from_environ()
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
