"""The commands push-blaster token create, list and revoke."""

from datetime import timedelta

import click

from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.adapters.access.token_table import select_tokens
from push_blaster.cli_frame import audited
from push_blaster.domain.access.token import Token
from push_blaster.settings import PushSettings
from push_blaster.use_cases.access.audit_command import ACTOR
from push_blaster.use_cases.access.manage_tokens import (
    BadTokenError,
    TokenExistsError,
    TokenNotFoundError,
    create_token,
    revoke_token,
)


@click.group()
def token() -> None:
    """Create, list and revoke the tokens for API and pages."""


@token.command()
@click.argument("name")
@click.option("--role", type=click.Choice(["app", "viewer", "operator", "admin"]), required=True)
@click.option("--days", type=click.IntRange(min=1), help="How long it is valid; else for good.")
@click.option("--test", "is_test", is_flag=True, help="Executions that it starts are simulated.")
@click.option("--owner", help="The person or the team that has it, such as 'Anna Bauer'.")
def create(name: str, role: str, days: int | None, *, is_test: bool, owner: str | None) -> None:
    """Create the token NAME, and print its secret, which nobody can read again."""
    now = utc_now()
    made = Token(
        name=name,
        role=role,
        is_test=is_test,
        created_at=now,
        created_by=ACTOR,
        expires_at=now + timedelta(days=days) if days else None,
        owner=owner,
    )
    database = _database()
    what = {"name": name, "role": role, "days": days, "isTest": is_test, "owner": owner}
    try:
        with audited(database, what):
            click.echo(create_token(database, made))
    except (BadTokenError, TokenExistsError) as error:
        raise click.ClickException(str(error)) from error


@token.command("list")
def list_all() -> None:
    """List the tokens, without their secrets."""
    with _database().transaction() as connection:
        found = select_tokens(connection)
    for one in found:
        used = f"{one.last_used_at:%Y-%m-%d %H:%M}" if one.last_used_at else "never used"
        kind = "  test" if one.is_test else ""
        owner = f"  {one.owner}" if one.owner else ""
        click.echo(f"{one.name}  {one.role}  {one.state(utc_now())}  {used}{kind}{owner}")


@token.command()
@click.argument("name")
def revoke(name: str) -> None:
    """Revoke the token NAME, so that it is not valid any more."""
    database = _database()
    try:
        with audited(database, {"name": name}):
            revoke_token(database, name, utc_now())
    except TokenNotFoundError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{name} opens nothing any more.")


def _database() -> Database:
    return Database(PushSettings.from_environ().database_url, max_connections=1)
