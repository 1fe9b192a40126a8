"""Account for unchecked sends: count the users who got more than the rules allow."""

from typing import Final
from uuid import UUID

import structlog

from push_blaster.adapters.cadence.cadence_http import CadenceUnavailableError
from push_blaster.adapters.cadence.over_cap_table import (
    OverCapCount,
    insert_over_cap,
    mark_counted,
    select_over_cap_count,
    select_reached,
    select_uncounted,
)
from push_blaster.adapters.executions.execution_view import select_execution
from push_blaster.domain.cadence.names import count_by_rule
from push_blaster.domain.executions.execution import Execution, LogLevel
from push_blaster.domain.executions.timeline import counted_instant
from push_blaster.domain.number_words import number_of
from push_blaster.use_cases.context import SendContext, StepContext, note

log = structlog.get_logger()

#: How many users one request asks about.
SLICE: Final = 10_000
#: How many executions are counted in one run of the maintenance.
AT_ONCE: Final = 20


def count_over_cap(context: SendContext) -> int:
    """Count users over their caps of each unchecked execution; return how many were counted.

    An execution is counted once cadence has recorded its sends, so not while cadence is away.
    """
    with context.database.transaction() as connection:
        uncounted = select_uncounted(connection, AT_ONCE)
    for number, execution_id in enumerate(uncounted):
        with context.database.transaction() as connection:
            execution = select_execution(connection, execution_id)
        try:
            for push in execution.pushes:
                _count_push(context, execution, push.position)
        except CadenceUnavailableError as error:
            log.info("over_cap_postponed", execution=execution_id, reason=str(error))
            return number
        _finish(context, execution_id)
    return len(uncounted)


def _count_push(context: SendContext, execution: Execution, position: int) -> None:
    sent_at = counted_instant(execution, position)
    if sent_at is None:
        return
    layer_id = execution.automation.pushes[position - 1].layer_id
    last: UUID | None = None
    while True:
        with context.database.transaction() as connection:
            reached = select_reached(connection, execution.id, position, last, SLICE)
        if not reached:
            return
        found = []
        for window in {one.window for one in reached}:
            users = [one.user_id for one in reached if one.window == window]
            found += context.cadence.find_over_cap(users, layer_id, window or sent_at)
        with context.database.transaction() as connection:
            insert_over_cap(connection, execution.id, position, found)
        last = reached[-1].user_id


def _finish(context: StepContext, execution_id: str) -> None:
    with context.database.transaction() as connection:
        mark_counted(connection, execution_id, context.clock())
        count = select_over_cap_count(connection, execution_id)
    if count:
        level = LogLevel.WARNING if count.users else LogLevel.INFO
        note(context, execution_id, "cadence", _describe(count), level)


def _describe(count: OverCapCount) -> str:
    if not count.users:
        return "Cadence has recorded all unchecked sends: nobody got more than the rules allow."
    return (
        f"Cadence has recorded all unchecked sends: {number_of(count.users, 'user')} got more "
        f"than the rules allow ({count_by_rule(count.by_rule)})."
    )
