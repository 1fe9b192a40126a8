"""The commands push-blaster erasures save and repeat."""

from pathlib import Path

import click

from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.cli_frame import audited
from push_blaster.settings import PushSettings
from push_blaster.use_cases.users.repeat_erasures import list_erasures, repeat_erasures


@click.group()
def erasures() -> None:
    """Repeat erasures of users after a restore."""


@erasures.command()
def save() -> None:
    """Write the hashes of all erased users to the standard output, for `repeat`."""
    database = Database(PushSettings.from_environ().database_url, max_connections=1)
    try:
        for hash_ in list_erasures(database):
            click.echo(hash_)
    finally:
        database.close()


@erasures.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def repeat(file: Path) -> None:
    """Erase again the users of FILE whom a backup brought back; safe to repeat."""
    settings = PushSettings.from_environ()
    database = Database(settings.database_url, max_connections=2)
    hashes = file.read_text().split()
    try:
        with audited(database, {"hashes": len(hashes)}):
            count = repeat_erasures(database, settings.data_folder, hashes, utc_now())
    except ValueError as error:
        raise click.ClickException(
            f"{file.name} is no file of `erasures save`: {error}."
        ) from error
    finally:
        database.close()
    click.echo(f"{len(hashes)} erasures; {count} of these users are known and are erased again.")
