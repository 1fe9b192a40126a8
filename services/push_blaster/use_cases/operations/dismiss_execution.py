"""Dismiss an execution that went wrong: nobody needs to look at it any more."""

from datetime import datetime

from chassis.postgres import Database
from push_blaster.adapters.executions.execution_view import select_execution
from push_blaster.adapters.operations.troubled_executions import delete_dismissal, insert_dismissal


class NotTroubledError(Exception):
    """The execution needs nobody, so there is nothing to dismiss."""


def dismiss_execution(
    database: Database, execution_id: str, note: str, by: str, now: datetime
) -> None:
    """Dismiss the execution, until it fails anew; a second note replaces the first.

    Raises: ExecutionNotFoundError, NotTroubledError.
    """
    with database.transaction() as connection:
        execution = select_execution(connection, execution_id)
        if not insert_dismissal(connection, execution_id, note, by, now):
            raise NotTroubledError(
                f"{execution_id!r} is {execution.phase} and {execution.mode}: only a live "
                "execution that failed, was missed, was not approved or went out unchecked needs "
                "a person."
            )


def take_up_again(database: Database, execution_id: str) -> None:
    """Undo the dismissal; safe to repeat. ExecutionNotFoundError."""
    with database.transaction() as connection:
        select_execution(connection, execution_id)
        delete_dismissal(connection, execution_id)
