"""The command push-blaster rotate-receipt-key."""

import click

from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.adapters.engagement.receipt_keys import (
    KEPT,
    TooManyKeysError,
    rotate_receipt_keys,
)
from push_blaster.cli_frame import audited
from push_blaster.domain.number_words import number_of
from push_blaster.settings import PushSettings


@click.command()
def rotate_receipt_key() -> None:
    """Sign new receipts with a new key; those that are under way stay valid."""
    database = Database(PushSettings.from_environ().database_url, max_connections=1)
    try:
        with audited(database, {}), database.transaction() as connection:
            number = rotate_receipt_keys(connection, utc_now())
    except TooManyKeysError as error:
        raise click.ClickException(str(error)) from error
    finally:
        database.close()
    click.echo(
        f"Key {number} signs new receipts. "
        f"Earlier keys stay valid for {number_of(KEPT.days, 'day')}."
    )
