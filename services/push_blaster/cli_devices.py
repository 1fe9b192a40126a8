"""The commands push-blaster import-devices and vapid-keys."""

from pathlib import Path

import click

from chassis.clock import utc_now
from chassis.csv_reader import CsvError
from chassis.postgres import Database
from push_blaster.adapters.devices.device_csv import read_devices
from push_blaster.adapters.transports.vapid import make_key_pair
from push_blaster.cli_frame import audited
from push_blaster.settings import PushSettings
from push_blaster.use_cases.devices.import_devices import import_devices as import_device_rows


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only say what would be registered.")
def import_devices(file: Path, *, dry_run: bool) -> None:
    """Register the devices of the CSV FILE; safe to repeat. Ends with 1 if a row is bad."""
    settings = PushSettings.from_environ()
    database = Database(settings.database_url, max_connections=1)
    try:
        with (
            audited(database, {"file": str(file), "dryRun": dry_run}),
            file.open("rb") as content,
        ):
            found = read_devices(content, file.name, utc_now(), settings.delivery.push_hosts)
            done = import_device_rows(database, found.rows, utc_now(), dry_run=dry_run)
    except CsvError as error:
        raise click.ClickException(str(error)) from error
    if found.note:
        click.echo(found.note, err=True)
    for row in done.bad_rows:
        click.echo(f"line {row.line}: {row.fault}", err=True)
    for row in done.noted_rows:
        click.echo(f"line {row.line}: {' '.join(row.notes)}", err=True)
    verb = "would be registered" if dry_run else "registered"
    click.echo(f"{done.written} {verb}, {done.unchanged} unchanged, {done.bad} refused.")
    if done.bad:
        raise click.exceptions.Exit(1)


@click.command()
def vapid_keys() -> None:
    """Make the pair of keys for Web Push; browsers subscribe with the public key."""
    private, public = make_key_pair()
    click.echo(f"WEBPUSH_PRIVATE_KEY={private}")
    click.echo(f"# For pushManager.subscribe({{applicationServerKey: …}}): {public}")
