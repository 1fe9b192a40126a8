"""Start an automation for the caller of a request."""

from datetime import datetime, timedelta

from chassis.bearer_auth import caller_only_simulates
from chassis.clock import utc_now
from push_blaster.domain.executions.execution import Execution
from push_blaster.domain.executions.modes import Mode
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.executions.start_execution import StartRequest, start_automation


def start_for_caller(
    context: WebContext,
    automation_id: str,
    mode: Mode,
    idempotency_key: str | None,
    *,
    window: timedelta | None = None,
    slot: datetime | None = None,
) -> Execution:
    """Start a saved automation now; a caller who only simulates starts a simulation.

    Raises: what start_automation raises.
    """
    asked = StartRequest(
        mode=mode,
        is_simulated=caller_only_simulates(),
        idempotency_key=idempotency_key,
        window=window,
        slot=slot,
    )
    return start_automation(context, automation_id, asked, utc_now())
