"""Approve an execution in its window; check at its end that nothing has changed since then."""

from dataclasses import replace

from chassis.postgres import Database
from push_blaster.adapters.cadence.cadence_client import CadenceClient
from push_blaster.adapters.cadence.cadence_http import CadenceUnavailableError
from push_blaster.adapters.executions.approval_table import save_approval, select_approval
from push_blaster.adapters.executions.execution_log import append_log
from push_blaster.adapters.executions.execution_view import select_execution
from push_blaster.domain.automations.automation import FailPolicy
from push_blaster.domain.executions.approval import (
    Approval,
    Hashes,
    find_change,
    hash_rules,
    hash_what_is_sent,
)
from push_blaster.domain.executions.execution import Execution, LogLevel
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.context import SendContext, StepFailedError, note


class CannotApproveError(Exception):
    """The execution is not in its window, or has changed since the approver looked at it."""


def approve_execution(
    database: Database, cadence: CadenceClient, execution_id: str, approval: Approval
) -> Execution:
    """Let the execution go live at its time, as it is now; the newest approval counts.

    Shape: an empty hash of `approval` matches everything; another must match the execution.
    Raises: ExecutionNotFoundError, CannotApproveError, CadenceUnavailableError.
    """
    with database.transaction() as connection:
        execution = select_execution(connection, execution_id)
    current = _hash(execution, hash_rules(cadence.read_rules()))
    seen = approval.hashes
    if (seen.content or current.content, seen.audience or current.audience) != (
        current.content,
        current.audience,
    ):
        raise CannotApproveError(
            f"{execution_id!r} has changed since it was looked at; read it again."
        )
    with database.transaction() as connection:
        if not save_approval(connection, execution_id, replace(approval, hashes=current)):
            raise CannotApproveError(
                f"The execution {execution_id!r} is approved in its cancellation window; "
                f"it is in the phase {execution.phase}."
            )
        text, level = f"Approved by {approval.by}.", LogLevel.SUCCESS
        append_log(connection, execution_id, Phase.CANCELLATION_WINDOW, text, approval.at, level)
    return execution


def find_missing_approval(context: SendContext, execution: Execution) -> str | None:
    """Return why the execution may not go live without an approval; None if it may.

    Raises: StepFailedError if the rules cannot be read and the fail policy is closed.
    """
    if execution.approval_reason is None:
        return None
    with context.database.transaction() as connection:
        approval = select_approval(connection, execution.id)
    if approval is None:
        return f"Nobody approved it during its window. {execution.approval_reason}"
    change = find_change(approval.hashes, _hash(execution, _hash_rules(context, execution)))
    if change:
        return f"The approval is void: {change} changed after it. {execution.approval_reason}"
    return None


def _hash(execution: Execution, rules: str | None) -> Hashes:
    return replace(hash_what_is_sent(execution.automation.pushes, execution.pushes), rules=rules)


def _hash_rules(context: SendContext, execution: Execution) -> str | None:
    try:
        return hash_rules(context.cadence.read_rules())
    except CadenceUnavailableError as error:
        if execution.automation.settings.fail_policy is FailPolicy.CLOSED:
            raise StepFailedError(
                f"Whether the cadence rules are still those approved cannot be read ({error}), "
                "and the automation sends nothing without them (settings.failPolicy)."
            ) from error
        text = f"The rules could not be compared with the approval: {error}"
        note(context, execution.id, Phase.CANCELLATION_WINDOW, text, LogLevel.WARNING)
        return None
