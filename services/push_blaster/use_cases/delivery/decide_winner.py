"""Decide which variant of a push the users get who did not test its variants."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from chassis.postgres import Connection
from push_blaster.adapters.engagement.variant_counts import select_trials
from push_blaster.adapters.executions.decision_table import lock_decision, save_decision
from push_blaster.adapters.executions.execution_log import append_log
from push_blaster.domain.executions.decision import PushDecision, make_decision
from push_blaster.domain.executions.execution import Execution
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.context import StepContext, check_permission


def decide_when_due(
    context: StepContext,
    execution: Execution,
    position: int,
    may_send: Callable[[Connection], bool],
) -> Execution:
    """Return the execution with the decision about a push; it is made once, when it is due.

    Raises: StepStoppedError when sending is not permitted any more.
    """
    progress, now = execution.pushes[position - 1], context.clock()
    known = progress.decision
    if known is None or known.decided_at or now < context.shift(known.decides_at):
        return execution
    with context.database.transaction() as connection:
        made = _make(connection, execution, position, now)
        check_permission(connection, may_send)
    return execution.with_push(replace(progress, decision=made))


def _make(
    connection: Connection, execution: Execution, position: int, now: datetime
) -> PushDecision | None:
    """Return the decision that somebody has made, or make it; nobody else makes it meanwhile."""
    known = lock_decision(connection, execution.id, position)
    push = execution.automation.pushes[position - 1]
    if known is None or known.decided_at or push.experiment is None:
        return known
    trials = select_trials(connection, execution.id, position, push.experiment.metric)
    made = make_decision(known, push, trials, now)
    save_decision(connection, execution.id, position, made)
    text = f"Push {position}: {made.reason}"
    append_log(connection, execution.id, Phase.LIVE_EXECUTION, text, now)
    return made
