"""What commands share: the settings, and the audit log of their changes."""

from collections.abc import Mapping
from contextlib import AbstractContextManager

import click

from chassis.postgres import Database
from chassis.settings import SettingsError
from push_blaster.settings import PushSettings
from push_blaster.use_cases.access.audit_command import audited_command


def read_settings() -> PushSettings:
    """Return the settings; if they are wrong, the command ends and says how."""
    try:
        return PushSettings.from_environ()
    except SettingsError as error:
        raise click.ClickException(str(error)) from error


def audited(database: Database, what: Mapping[str, object]) -> AbstractContextManager[None]:
    """Return the context that records the command in the audit log before it changes anything."""
    path = click.get_current_context().command_path
    return audited_command(database, path.partition(" ")[2], what)
