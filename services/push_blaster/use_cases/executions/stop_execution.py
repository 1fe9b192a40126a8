"""Stop an execution: cancel it before it is live, or stop it in any phase; with a receipt."""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from chassis.postgres import Connection, Database
from push_blaster.adapters.delivery.delivery_report import select_ledger_counts
from push_blaster.adapters.executions.execution_log import append_log
from push_blaster.adapters.executions.execution_table import (
    end_execution,
    select_running_automations,
    select_running_ids,
)
from push_blaster.adapters.executions.execution_view import select_execution
from push_blaster.domain.automations.automation import Automation
from push_blaster.domain.executions.execution import Execution, LogLevel, Trigger
from push_blaster.domain.executions.funnel import Funnel, add_funnels
from push_blaster.domain.executions.phase import BEFORE_LIVE, RUNNING, Phase
from push_blaster.domain.schedule.schedule import slots_between

#: How long a stop waits for messages in flight before it returns its receipt.
DRAIN_S: Final = 1.0


class CannotStopError(Exception):
    """The execution is past the phases in which this kind of stop is possible."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The receipt of a stop: for each push, how many users got it, and how many will not.

    Shape: `funnels` maps a push's position to its counts, as on the execution.
    """

    execution: Execution
    funnels: Mapping[int, Funnel]

    @property
    def totals(self) -> Funnel:
        """Return the counts of all pushes together."""
        return add_funnels(self.funnels.values())


def cancel_execution(database: Database, execution_id: str, reason: str, now: datetime) -> Receipt:
    """Cancel an execution that is not yet live.

    Raises: ExecutionNotFoundError; CannotStopError if it is live already, or has ended.
    """
    return _stop(database, execution_id, BEFORE_LIVE, reason, now)


def stop_execution(database: Database, execution_id: str, reason: str, now: datetime) -> Receipt:
    """Stop an execution in any phase; nothing more is sent once this has returned.

    Raises: ExecutionNotFoundError; CannotStopError if it has ended.
    """
    return _stop(database, execution_id, RUNNING, reason, now)


def cancel_pending(database: Database, automation_id: str, reason: str, now: datetime) -> list[str]:
    """Cancel the automation's executions that are not yet live, and return their ids."""
    with database.transaction() as connection:
        pending = select_running_ids(connection, automation_id, BEFORE_LIVE)
        return [
            execution_id
            for execution_id in pending
            if _cancel(connection, execution_id, BEFORE_LIVE, reason, now)
        ]


def cancel_off_schedule(connection: Connection, automation: Automation, now: datetime) -> None:
    """Cancel executions that are not live yet and whose slots the schedule no longer has."""
    for execution_id in select_running_ids(connection, automation.id, BEFORE_LIVE):
        execution = select_execution(connection, execution_id)
        if execution.trigger is Trigger.SCHEDULE and not _has_slot(automation, execution.slot):
            reason = "The schedule was changed and no longer has its slot."
            _cancel(connection, execution_id, BEFORE_LIVE, reason, now)


def _has_slot(automation: Automation, slot: datetime) -> bool:
    return bool(slots_between(automation.schedule, slot - timedelta(microseconds=1), slot))


def end_everything(database: Database, reason: str, now: datetime) -> dict[str, list[str]]:
    """End every execution in any phase; return the ids of those that ended, by automation."""
    ended: dict[str, list[str]] = {}
    with database.transaction() as connection:
        for automation_id in select_running_automations(connection):
            for execution_id in select_running_ids(connection, automation_id, RUNNING):
                if _cancel(connection, execution_id, RUNNING, reason, now):
                    ended.setdefault(automation_id, []).append(execution_id)
    return ended


def _stop(
    database: Database, execution_id: str, phases: Collection[Phase], reason: str, now: datetime
) -> Receipt:
    with database.transaction() as connection:
        stopped = _cancel(connection, execution_id, phases, reason, now)
        execution = select_execution(connection, execution_id)
    if not stopped and execution.phase is not Phase.CANCELLED:
        raise CannotStopError(_why_not(execution))
    return Receipt(execution=execution, funnels=_drain(database, execution))


def _cancel(
    connection: Connection,
    execution_id: str,
    phases: Collection[Phase],
    reason: str,
    now: datetime,
) -> bool:
    stopped = end_execution(connection, execution_id, phases, (Phase.CANCELLED, reason), now)
    if stopped:
        append_log(connection, execution_id, Phase.CANCELLED, reason, now, LogLevel.WARNING)
    return stopped


def _drain(database: Database, execution: Execution) -> dict[int, Funnel]:
    """Return the funnels when no message is in flight any more, or after `DRAIN_S`."""
    give_up_at = time.monotonic() + DRAIN_S
    while True:
        with database.transaction() as connection:
            counted = select_ledger_counts(connection, execution.id)
        funnels = {
            push.position: push.count_funnel(counted.get(push.position))
            for push in execution.pushes
        }
        in_flight = any(funnel.in_flight for funnel in funnels.values())
        if not in_flight or time.monotonic() >= give_up_at:
            return funnels
        time.sleep(0.05)


def _why_not(execution: Execution) -> str:
    if execution.phase is Phase.LIVE_EXECUTION:
        return (
            f"The execution {execution.id!r} is live already, so it cannot be cancelled; "
            "stop it instead (POST …/stop)."
        )
    return f"The execution {execution.id!r} has ended already: {execution.phase}."
