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
@click.option("--forget-earlier", is_flag=True, help="Refuse the receipts of all earlier keys.")
def rotate_receipt_key(*, forget_earlier: bool) -> None:
    """Sign new receipts with a new key; those that are under way stay valid.

    If somebody may know a key, forget the earlier keys: reports of messages that were sent before
    are refused from then on.
    """
    database = Database(PushSettings.from_environ().database_url, max_connections=1)
    try:
        said = {"forget_earlier": forget_earlier}
        with audited(database, said), database.transaction() as connection:
            number = rotate_receipt_keys(connection, utc_now(), forget_earlier=forget_earlier)
    except TooManyKeysError as error:
        raise click.ClickException(str(error)) from error
    finally:
        database.close()
    earlier = "are forgotten" if forget_earlier else f"stay valid for {number_of(KEPT.days, 'day')}"
    click.echo(f"Key {number} signs new receipts. Earlier keys {earlier}.")
