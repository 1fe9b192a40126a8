"""The commands: cadence-service serve | migrate."""

import time
from pathlib import Path
from typing import Final

import click

from cadence_service.adapters.partitions import make_partitions
from cadence_service.settings import Settings
from chassis.clock import utc_now
from chassis.logs import configure_logs
from chassis.migrations import migrate as migrate_database
from chassis.postgres import Database
from chassis.serving import serve as serve_app
from chassis.settings import SettingsError

MIGRATIONS: Final = Path(__file__).parent / "migrations"


@click.group()
def main() -> None:
    """Decides whom we may push to, and remembers every push."""


@main.command()
def serve() -> None:
    """Serve the API (gunicorn)."""
    settings = _settings()
    serve_app(
        "cadence_service.app:create_app()",
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
    )


@main.command()
def migrate() -> None:
    """Bring the schema up to date and make partitions ahead; safe to repeat."""
    settings = _settings()
    configure_logs("cadence-migrate", settings.log_format)
    database = Database(settings.database_url, max_connections=1)
    database.wait_until_there(sleep=time.sleep)
    migrate_database(database, MIGRATIONS)
    with database.transaction() as connection:
        make_partitions(connection, utc_now())
    click.echo("The cadence database is up to date.")


def _settings() -> Settings:
    try:
        return Settings.from_environ()
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
