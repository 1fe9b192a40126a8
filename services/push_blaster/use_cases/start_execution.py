"""Start an execution by hand, now."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chassis.postgres import Connection, Database
from push_blaster.adapters.execution_log import append_log
from push_blaster.adapters.execution_table import (
    NewExecution,
    insert_execution,
    lock_automation,
    select_running_ids,
)
from push_blaster.adapters.execution_view import select_execution, select_execution_by_key
from push_blaster.domain.execution import ENDED, Execution, Mode, Phase, Trigger, execution_id


class AlreadyRunningError(Exception):
    """Another execution of the automation has not ended yet."""


class IdempotencyConflictError(Exception):
    """The idempotency key was used before, for something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequest:
    """Who wants what to run.

    Shape: `document` is the automation's, with what this run changes already in it.
    """

    document: Mapping[str, Any]
    mode: Mode
    idempotency_key: str | None


def start_execution(database: Database, request: StartRequest, now: datetime) -> Execution:
    """Open an execution whose slot is now; the engine begins it at once.

    The same idempotency key gives the same execution, however often it is sent.
    Raises: AlreadyRunningError, IdempotencyConflictError.
    """
    automation_id = str(request.document["id"])
    with database.transaction() as connection:
        lock_automation(connection, automation_id)
        earlier = _find_earlier(connection, request)
        if earlier:
            return earlier
        running = select_running_ids(connection, automation_id, set(Phase) - ENDED)
        if running:
            raise AlreadyRunningError(
                f"The execution {running[0]!r} of this automation still runs; "
                "wait for its end, cancel it or stop it first."
            )
        new = NewExecution(
            id=execution_id(automation_id, now),
            document=request.document,
            mode=request.mode,
            trigger=Trigger.MANUAL,
            slot=now,
            begins_at=now,
            idempotency_key=request.idempotency_key,
        )
        insert_execution(connection, new, now)
        append_log(connection, new.id, Phase.WAITING, "Started by hand.", now)
        return select_execution(connection, new.id)


def _find_earlier(connection: Connection, request: StartRequest) -> Execution | None:
    if request.idempotency_key is None:
        return None
    earlier = select_execution_by_key(connection, request.idempotency_key)
    if earlier and (earlier.automation.id, earlier.mode) != (request.document["id"], request.mode):
        raise IdempotencyConflictError(
            f"The Idempotency-Key was used before, for the execution {earlier.id!r}; "
            "send a new key for a new execution."
        )
    return earlier
