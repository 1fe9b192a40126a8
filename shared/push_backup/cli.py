"""The commands: push-backup save | check | restore."""

from pathlib import Path

import click
from environs import Env

from chassis.settings import SettingsError, require_secret
from push_backup.backup import BackupError, Places
from push_backup.backup import check as check_backup
from push_backup.backup import restore as restore_backup
from push_backup.backup import save as save_backup


@click.group()
def main() -> None:
    """Back up and restore both databases and the data folder; settings as the services have."""


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
def save(folder: Path) -> None:
    """Write a backup to the new FOLDER; services and engines may run meanwhile."""
    try:
        save_backup(_places(), folder)
    except BackupError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"The backup is in {folder}.")


@main.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def check(folder: Path) -> None:
    """Check that the backup in FOLDER is complete and undamaged."""
    try:
        check_backup(folder, _places())
    except BackupError as error:
        raise click.ClickException(str(error)) from error
    click.echo("The backup is complete and undamaged.")


@main.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def restore(folder: Path) -> None:
    """Restore the backup in FOLDER into empty databases and an empty data folder."""
    try:
        restore_backup(folder, _places())
    except BackupError as error:
        raise click.ClickException(str(error)) from error
    click.echo("Restored. Before you start an engine, read docs/operations.md: restore.")


def _places() -> Places:
    env = Env()
    try:
        return Places(
            databases={
                "push_blaster": require_secret(env, "PUSH_BLASTER_DATABASE_URL"),
                "cadence": require_secret(env, "PUSH_CADENCE_DATABASE_URL"),
            },
            data_folder=Path(require_secret(env, "PUSH_DATA_DIR")),
        )
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
