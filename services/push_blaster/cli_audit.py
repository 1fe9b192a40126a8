"""The command push-blaster audit verify."""

import click

from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.settings import PushSettings
from push_blaster.use_cases.access.audit_chain import chain_changes, verify_audit_log


@click.group()
def audit() -> None:
    """The audit log."""


@audit.command()
@click.option("--head", help="NUMBER:HASH that an earlier run printed; it must be the same still.")
def verify(head: str | None) -> None:
    """Verify the chain of the audit log: no entry was changed, and none is missing.

    Ends with 1 if there is a fault. Keep the printed head elsewhere: it proves the entries until
    then.
    """
    database = Database(PushSettings.from_environ().database_url, max_connections=1)
    chain_changes(database, utc_now())
    done = verify_audit_log(database, head)
    for fault in done.faults:
        click.echo(f"✗ {fault}")
    click.echo(
        f"{done.links} links verified, {done.unchained} entries without a link yet. "
        f"Head: {done.number}:{done.hash}"
    )
    if done.faults:
        raise click.exceptions.Exit(1)
