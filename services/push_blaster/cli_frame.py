"""Shared parts of the commands: the audit log of their changes."""

from collections.abc import Mapping
from contextlib import AbstractContextManager

import click

from chassis.postgres import Database
from push_blaster.use_cases.access.audit_command import audited_command


def audited(database: Database, what: Mapping[str, object]) -> AbstractContextManager[None]:
    """Return the context that records the command in the audit log before it changes anything."""
    path = click.get_current_context().command_path
    return audited_command(database, path.partition(" ")[2], what)
