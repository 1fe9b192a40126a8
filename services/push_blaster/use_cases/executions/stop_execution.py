"""Stop an execution: cancel it before it is live, or stop it in any phase; with a receipt."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from chassis.postgres import Connection, Database, LockedError
from push_blaster.adapters.executions.execution_table import (
    lock_automation,
    select_automations,
    select_running_ids,
)
from push_blaster.adapters.executions.execution_view import select_execution
from push_blaster.adapters.executions.suspensions import delete_suspensions, insert_suspensions
from push_blaster.adapters.funnels import select_funnels
from push_blaster.adapters.operations.emergency_stops import insert_emergency_stop
from push_blaster.adapters.operations.execution_stops import (
    end_stopped,
    has_stops,
    insert_stops,
    insert_unseen_stop,
)
from push_blaster.adapters.operations.stop_requests import (
    StopRequest,
    insert_request,
    take_requests,
)
from push_blaster.adapters.schedule.schedule_marks import begin_generation
from push_blaster.domain.automations.automation import Automation
from push_blaster.domain.executions.execution import Execution, Trigger
from push_blaster.domain.executions.funnel import Funnel, add_funnels
from push_blaster.domain.executions.phase import BEFORE_LIVE, RUNNING, Phase
from push_blaster.domain.operations.emergency_stop import EmergencyStop
from push_blaster.domain.schedule.schedule import has_slot

#: How long a stop waits for messages in flight before it returns its receipt.
DRAIN_S: Final = 1.0
#: How long it waits for the row of an execution that another transaction has locked.
LOCKED_S: Final = 0.3
#: How long it waits for the tables, which a change of their columns locks as a whole.
TABLES_LOCKED: Final = timedelta(seconds=1)
#: How often it looks.
LOOK_S: Final = 0.05


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


_NO_RECEIPT: Final = "There is no receipt yet, because another transaction has locked the tables;"
_STOP_ACCEPTED: Final = (
    f"The stop is accepted, and nothing more is sent. {_NO_RECEIPT} send the stop again for a "
    "receipt."
)


def cancel_execution(database: Database, execution_id: str, reason: str, now: datetime) -> Receipt:
    """Cancel an execution that is not yet live.

    Raises: ExecutionNotFoundError; CannotStopError if it is live already, or has ended; LockedError
    if the cancel holds, but there is no receipt, because somebody has locked a whole table.
    """
    request = StopRequest(
        phases=BEFORE_LIVE, reason=reason, asked_at=now, execution_id=execution_id
    )
    with _kept_if_locked(database, request):
        return _stop_one(database, request)


def stop_execution(database: Database, execution_id: str, reason: str, now: datetime) -> Receipt:
    """Stop an execution in any phase; nothing more is sent once this has returned.

    Raises: ExecutionNotFoundError; CannotStopError if it has ended; LockedError as for a cancel.
    """
    request = StopRequest(phases=RUNNING, reason=reason, asked_at=now, execution_id=execution_id)
    with _kept_if_locked(database, request, _insert_unseen):
        return _stop_one(database, request)


def cancel_pending(database: Database, automation_id: str, reason: str, now: datetime) -> list[str]:
    """Cancel the automation's executions that are not yet live for good, and return their ids."""
    return _stop_all(
        database,
        StopRequest(phases=BEFORE_LIVE, reason=reason, asked_at=now, automation_id=automation_id),
    )


def suspend_pending(
    database: Database, automation_id: str, reason: str, now: datetime
) -> list[str]:
    """Cancel executions that are not live yet, until the automation is on again; return the ids."""
    return _stop_all(
        database,
        StopRequest(
            phases=BEFORE_LIVE,
            reason=reason,
            asked_at=now,
            automation_id=automation_id,
            is_suspension=True,
        ),
    )


def suspend_execution(database: Database, execution_id: str, reason: str, now: datetime) -> bool:
    """Cancel one execution until its automation is on again; False if it is live, or has ended."""
    with database.transaction() as connection:
        return bool(_suspend(connection, execution_id, reason, now))


def begin_next_generation(database: Database, automation_id: str) -> None:
    """Let the next automation with the id of a deleted one have slots of its own."""
    with database.transaction() as connection:
        lock_automation(connection, automation_id)
        begin_generation(connection, automation_id)


def cancel_off_schedule(connection: Connection, automation: Automation, now: datetime) -> None:
    """Cancel executions that are not live yet and whose slots the schedule no longer has."""
    reason = "The schedule was changed and no longer has this send."
    for execution_id in select_running_ids(connection, automation.id, BEFORE_LIVE):
        if _is_off_schedule(automation, select_execution(connection, execution_id)):
            _suspend(connection, execution_id, reason, now)


def _suspend(connection: Connection, execution_id: str, reason: str, now: datetime) -> list[str]:
    request = StopRequest(
        phases=BEFORE_LIVE,
        reason=reason,
        asked_at=now,
        execution_id=execution_id,
        is_suspension=True,
    )
    return _carry_out(connection, request)


def _is_off_schedule(automation: Automation, execution: Execution) -> bool:
    is_scheduled = execution.trigger is Trigger.SCHEDULE
    return is_scheduled and not has_slot(automation.schedule, execution.slot)


def stop_every_execution(database: Database, reason: str, now: datetime) -> dict[str, str]:
    """Stop every execution in any phase; return those not stopped before, with their automations.

    Until the emergency stop is finished, the clock opens nothing for automations that were active.
    """
    with database.transaction() as connection:
        insert_emergency_stop(connection, reason, now)
    stopped = _stop_all(database, StopRequest(phases=RUNNING, reason=reason, asked_at=now))
    with database.transaction() as connection:
        return select_automations(connection, stopped)


def stop_executions_before(database: Database, stop: EmergencyStop, now: datetime) -> None:
    """Stop what an emergency stop has left, because its process died or the tables were locked."""
    with database.transaction() as connection:
        request = StopRequest(phases=RUNNING, reason=stop.reason, asked_at=stop.asked_at)
        end_stopped(connection, now, insert_stops(connection, request, only_older=True))


def stop_running(
    database: Database, automation_id: str, reason: str, now: datetime
) -> dict[str, Funnel]:
    """Stop the automation's executions in any phase; return what each of them had sent."""
    request = StopRequest(phases=RUNNING, reason=reason, asked_at=now, automation_id=automation_id)
    return drain(database, _stop_all(database, request), now)


def end_stopped_executions(database: Database, now: datetime) -> list[str]:
    """End stopped executions whose rows, or whose whole table, others had locked until now."""
    with database.transaction() as connection:
        for request in take_requests(connection):
            _stop(connection, request, only_older=True)
        return end_stopped(connection, now)


def drain(database: Database, execution_ids: Sequence[str], now: datetime) -> dict[str, Funnel]:
    """Return what stopped executions had sent, when none of it is in flight any more.

    Messages in flight are waited for until `DRAIN_S` is over, the row of an execution that somebody
    else has locked until `LOCKED_S` is over. Raises: LockedError if somebody has locked a table.
    """
    begun_at = time.monotonic()
    while True:
        try:
            with database.transaction(TABLES_LOCKED) as connection:
                end_stopped(connection, now, execution_ids)
                counted = select_funnels(connection, execution_ids)
                is_locked = has_stops(connection, execution_ids)
        except LockedError as locked:
            raise LockedError(_STOP_ACCEPTED) from locked
        totals = {id_: add_funnels(funnels.values()) for id_, funnels in counted.items()}
        in_flight = any(funnel.in_flight for funnel in totals.values())
        waited_s = time.monotonic() - begun_at
        if not (in_flight or is_locked) or waited_s >= (DRAIN_S if in_flight else LOCKED_S):
            return totals
        time.sleep(LOOK_S)


def _insert_unseen(connection: Connection, request: StopRequest) -> None:
    """Stop an execution without a look at it: in every phase."""
    execution_id = request.execution_id or ""
    insert_unseen_stop(
        connection, execution_id, (Phase.CANCELLED, request.reason), request.asked_at
    )
    delete_suspensions(connection, [execution_id])


@contextmanager
def _kept_if_locked(
    database: Database,
    request: StopRequest,
    keep: Callable[[Connection, StopRequest], None] = insert_request,
) -> Iterator[None]:
    """Keep the request if tables are locked: steps and claims obey it, engines carry it out."""
    try:
        yield
    except LockedError as locked:
        with database.transaction(TABLES_LOCKED) as connection:
            keep(connection, request)
        raise LockedError(_describe(request)) from locked


def _describe(request: StopRequest) -> str:
    if request.phases == RUNNING:
        return _STOP_ACCEPTED
    what = "pause" if request.is_suspension else "cancel"
    return (
        f"The {what} is accepted, and nothing that is not live yet goes live. {_NO_RECEIPT} read "
        "the executions later."
    )


def _stop_all(database: Database, request: StopRequest) -> list[str]:
    """Stop what the request names; return which were not stopped before. Raises: LockedError."""
    with (
        _kept_if_locked(database, request),
        database.transaction(TABLES_LOCKED) as connection,
    ):
        return _carry_out(connection, request)


def _carry_out(connection: Connection, request: StopRequest) -> list[str]:
    """Stop executions, and end those whose rows are free; return which were not stopped before."""
    stopped = _stop(connection, request)
    end_stopped(connection, request.asked_at, stopped)
    return stopped


def _stop(connection: Connection, request: StopRequest, *, only_older: bool = False) -> list[str]:
    if not request.is_suspension:
        ids = [request.execution_id] if request.execution_id else None
        delete_suspensions(connection, ids, request.automation_id)
    stopped = insert_stops(connection, request, only_older=only_older)
    if request.is_suspension:
        insert_suspensions(connection, stopped)
    return stopped


def _stop_one(database: Database, request: StopRequest) -> Receipt:
    execution_id, now = request.execution_id or "", request.asked_at
    with database.transaction(TABLES_LOCKED) as connection:
        _carry_out(connection, request)
        execution = select_execution(connection, execution_id)
    if not execution.is_stopping and execution.phase is not Phase.CANCELLED:
        raise CannotStopError(_why_not(execution))
    drain(database, [execution_id], now)
    with database.transaction(TABLES_LOCKED) as connection:
        execution = select_execution(connection, execution_id)
        funnels = select_funnels(connection, [execution_id])[execution_id]
    return Receipt(execution=execution, funnels=funnels)


def _why_not(execution: Execution) -> str:
    if execution.phase is Phase.LIVE_EXECUTION:
        return (
            f"The execution {execution.id!r} is live already, so it cannot be cancelled; "
            "stop it instead (POST …/stop)."
        )
    return f"The execution {execution.id!r} has ended already: {execution.phase}."
