"""Find the users who have left the sequence: they did what `settings.exitOn` names."""

from collections.abc import Sequence
from uuid import UUID

from chassis.postgres import Database
from push_blaster.adapters.engagement.exit_search import select_exits
from push_blaster.domain.automations.experiment import USER_EVENTS
from push_blaster.domain.delivery.ledger import LedgerState, Refusal
from push_blaster.domain.executions.execution import Execution
from push_blaster.domain.executions.modes import goes_to_audience


def find_exited(
    database: Database, execution: Execution, user_ids: Sequence[UUID]
) -> dict[UUID, Refusal]:
    """Return which users did the goal or the event since the execution began."""
    exit_on = execution.automation.settings.exit_on
    if not exit_on or not user_ids or not goes_to_audience(execution.mode):
        return {}
    events = [name for name in exit_on if name in USER_EVENTS]
    goals = [name for name in exit_on if name not in USER_EVENTS]
    with database.transaction() as connection:
        exits = select_exits(connection, execution.id, user_ids, events, goals)
    return {user_id: Refusal(user_id, LedgerState.EXITED, f"did {what}") for user_id, what in exits}
