"""Find the users who do not want a push; nothing overrides an opt-out."""

from collections.abc import Collection, Iterable
from datetime import datetime
from uuid import UUID

from chassis.postgres import Connection
from push_blaster.adapters.devices.opt_out_table import select_opt_outs_of
from push_blaster.domain.audiences.audience import read_user_ids
from push_blaster.domain.automations.automation import Automation
from push_blaster.domain.delivery.ledger import LedgerState, Refusal
from push_blaster.domain.devices.opt_out import OptOut
from push_blaster.domain.executions.execution import Execution
from push_blaster.domain.executions.modes import goes_to_audience


def find_opted_out(
    connection: Connection,
    execution: Execution,
    position: int,
    user_ids: Collection[UUID],
    now: datetime,
    *,
    is_test: bool = False,
) -> dict[UUID, Refusal]:
    """Return which users do not want the push, and why; the users named for a test get the test."""
    is_test = is_test or not goes_to_audience(execution.mode)
    named = find_named(execution) if is_test else ()
    asked = [user_id for user_id in user_ids if user_id not in named]
    if not asked:
        return {}
    layer_id = execution.automation.pushes[position - 1].layer_id
    found = select_opt_outs_of(connection, asked, now)
    return refuse_opted_out(found, execution.automation, layer_id)


def find_named(execution: Execution) -> Collection[UUID]:
    """Return the users who are named for the tests of an execution."""
    return read_user_ids(execution.automation.settings.test_user_ids)[0]


def refuse_opted_out(
    opt_outs: Iterable[OptOut], automation: Automation, layer_id: int
) -> dict[UUID, Refusal]:
    """Return which users do not want a push of this layer, and why.

    Sends, previews and forecasts decide it here.
    """
    return {
        one.user_id: Refusal(one.user_id, LedgerState.OPTED_OUT, one.describe())
        for one in opt_outs
        if one.concerns(layer_id, automation.id)
    }
