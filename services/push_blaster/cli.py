"""The commands: push-blaster serve | engine | migrate."""

import os
import sys
import time
from pathlib import Path
from typing import Final

import click

from chassis.logs import configure_logs
from chassis.migrations import migrate as migrate_database
from chassis.postgres import Database
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
    arguments = [
        "gunicorn",
        "push_blaster.app:create_app()",
        f"--bind={settings.host}:{settings.port}",
        f"--workers={settings.web_workers}",
        "--worker-class=gthread",
        "--threads=8",
        "--timeout=120",
        "--graceful-timeout=5",
        "--log-level=warning",
    ]
    os.execv(sys.executable, [sys.executable, "-m", *arguments])  # noqa: S606 - our own process


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
