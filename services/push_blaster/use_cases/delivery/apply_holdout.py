"""The holdout: users who get nothing, so that the others can be compared with them."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from push_blaster.domain.audiences.audience import AudienceRow
from push_blaster.domain.automations.experiment import is_in_holdout
from push_blaster.domain.delivery.ledger import (
    HELD_OUT,
    HELD_OUT_OF_ALL,
    LedgerState,
    Refusal,
)
from push_blaster.domain.executions.execution import Execution, Trigger
from push_blaster.domain.executions.limits import Limits
from push_blaster.domain.executions.modes import goes_to_audience

_STATE: Final = LedgerState.HOLDOUT


def find_holdout(
    limits: Limits, execution: Execution, rows: Sequence[AudienceRow], states: Mapping[UUID, str]
) -> dict[UUID, Refusal]:
    """Return which users of `rows` are in a holdout: the automation's, or that of all automations.

    Tests and ad hoc pushes have none. A user who already has another state keeps it.
    """
    if not goes_to_audience(execution.mode) or execution.trigger is Trigger.AD_HOC:
        return {}
    automation = execution.automation
    own = automation.settings.holdout_percent
    if not own and not limits.holdout_percent:
        return {}
    found = {}
    for user_id in (row.user_id for row in rows if states.get(row.user_id, _STATE) == _STATE):
        if is_in_holdout(limits.holdout_percent, user_id):
            found[user_id] = Refusal(user_id, _STATE, HELD_OUT_OF_ALL)
        elif is_in_holdout(own, user_id, automation.id):
            found[user_id] = Refusal(user_id, _STATE, HELD_OUT)
    return found
