"""The commands behind `make run`: local-stack run | example."""

import click

from chassis.commands.command_group import CommandGroup
from local_stack.embedded_postgres import EmbeddedPostgresError
from local_stack.example import run_example
from local_stack.runner import LocalStackError, run_stack
from local_stack.settings import StackSettings


@click.group(cls=CommandGroup)
def main() -> None:
    """Everything on one machine, for trying it out and for development."""


@main.command()
def run() -> None:
    """Start PostgreSQL, both services and the engine; on a first start, run the example."""
    try:
        run_stack(StackSettings.from_environ())
    except (LocalStackError, EmbeddedPostgresError) as error:
        raise click.ClickException(str(error)) from error


@main.command()
def example() -> None:
    """Run the example automation again, against a stack that runs."""
    try:
        run_example(StackSettings.from_environ())
    except LocalStackError as error:
        raise click.ClickException(str(error)) from error
