"""A group of commands that end in one line when something outside of them is wrong."""

from collections.abc import Mapping
from pkgutil import resolve_name
from typing import Any

import click


class CommandGroup(click.Group):
    """Tells faults of settings, databases and files in a sentence, and ends with 1."""

    def __init__(
        self, *args: Any, elsewhere: Mapping[str, str] | None = None, **given: Any
    ) -> None:
        """Take what click takes, and where other modules have commands: `module:command` by name.

        Such a module is imported only when its command is wanted: some import much.
        """
        super().__init__(*args, **given)
        self._elsewhere = elsewhere or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted([*super().list_commands(ctx), *self._elsewhere])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of this name; None if there is none."""
        if cmd_name in self._elsewhere:
            self.add_command(resolve_name(self._elsewhere[cmd_name]), cmd_name)
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        """Invoke the command; click.ClickException instead of a fault of its surroundings."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            from chassis.commands.faults import describe_fault  # imports every driver

            description = describe_fault(error, ctx.info_name)
            if description is None:
                raise
            raise click.ClickException(description) from error
