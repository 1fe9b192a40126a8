"""The commands: push-backup save | check | restore | mark-restored | remove-old."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Final

import click

from chassis.clock import utc_now
from chassis.commands.command_group import CommandGroup
from chassis.commands.upkeep import note_done
from chassis.postgres import BulkDatabase
from chassis.settings import SettingsReader, require_database_url, require_secret
from push_backup.backup import check as check_backup
from push_backup.backup import remove_old as remove_old_backups
from push_backup.backup import save as save_backup
from push_backup.places import BackupError, Places
from push_backup.restore import restore as restore_backup
from push_backup.restored_mark import mark_restored as mark_as_restored

_UNKNOWN: Final = (
    "What went out after the backup is unknown, to push_blaster and to the caps of cadence. The "
    "first engine pauses every automation, and ends what was under way. Before you start an "
    "engine, read docs/operations.md: restore."
)
_BACKUP = click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))


@click.group(cls=CommandGroup)
def main() -> None:
    """Back up and restore both databases and the data folder; settings as the services have."""


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
def save(folder: Path) -> None:
    """Write a backup to the new FOLDER, and check it; services and engines may run meanwhile."""
    with _one_line("The save was stopped; no backup was made, and nothing is left of it."):
        places = _places()
        left_out = save_backup(places, folder)
    _warn("Not saved", left_out)
    click.echo(f"The backup is in {folder}.")
    note_done(BulkDatabase(places.databases["push_blaster"], max_connections=1), "backup")


@main.command()
@_BACKUP
def check(folder: Path) -> None:
    """Check that the backup in FOLDER is complete, undamaged, and can be restored."""
    with _one_line("The check was stopped."):
        left_out = check_backup(folder)
    _warn("A restore leaves out", left_out)
    click.echo("The backup is complete and undamaged.")


@main.command()
@_BACKUP
def restore(folder: Path) -> None:
    """Restore the backup in FOLDER into empty databases and an empty data folder."""
    with _one_line("The restore was stopped half way; repeat the command to end it."):
        left_out = restore_backup(folder, _places())
    _warn("Not restored", left_out)
    click.echo(f"Restored. {_UNKNOWN}")


@main.command()
@click.option("--saved-at", type=click.DateTime(), help="When the backup was made, in UTC.")
def mark_restored(saved_at: datetime | None) -> None:
    """Mark push_blaster's database as restored, after another program has restored it."""
    read = SettingsReader()
    url = read(require_database_url, "PUSH_BLASTER_DATABASE_URL")
    read.finish()
    with _one_line("Stopped; repeat the command to end it."):
        mark_as_restored(url, saved_at.replace(tzinfo=UTC) if saved_at else None)
    click.echo(f"Marked. {_UNKNOWN}")


@main.command()
@_BACKUP
@click.option("--days", type=click.IntRange(1, 36_500), default=14, show_default=True)
@click.option("--keep", type=click.IntRange(1), default=3, show_default=True)
def remove_old(folder: Path, days: int, keep: int) -> None:
    """Delete the backups in FOLDER that are older than --days; the newest --keep always stay."""
    with _one_line("Stopped; repeat the command to end it."):
        removed = remove_old_backups(folder, utc_now(), timedelta(days=days), keep)
    for path in removed:
        click.echo(f"Deleted {path}.")


@contextmanager
def _one_line(stopped: str) -> Iterator[None]:
    """Turn each failure into one line: the error's, or `stopped` for Ctrl-C and SIGTERM.

    Files that the command makes are readable for its user only.
    """
    before, mask = signal.signal(signal.SIGTERM, _interrupt), os.umask(0o077)
    try:
        yield
    except BackupError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt as error:
        raise click.ClickException(stopped) from error
    finally:
        os.umask(mask)
        signal.signal(signal.SIGTERM, before)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _warn(what: str, paths: list[str]) -> None:
    for path in paths:
        click.echo(f"{what}: {path!r}", err=True)


def _places() -> Places:
    read = SettingsReader()
    places = Places(
        databases={
            "push_blaster": read(require_database_url, "PUSH_BLASTER_DATABASE_URL"),
            "cadence": read(require_database_url, "PUSH_CADENCE_DATABASE_URL"),
        },
        data_folder=Path(read(require_secret, "PUSH_DATA_DIR") or "."),
    )
    read.finish()
    return places
