"""An execution as the API answers it: the execution itself, and what belongs to it elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chassis.clock import utc_now
from chassis.postgres import Connection, Database
from push_blaster.adapters.cadence.over_cap_table import OverCapCount, select_over_cap_count
from push_blaster.adapters.delivery.tester_table import Tester, select_testers
from push_blaster.adapters.devices.doubted_devices import count_doubted, count_of_other_project
from push_blaster.adapters.executions.approval_table import select_approval
from push_blaster.adapters.executions.execution_view import (
    EnteredPhase,
    select_execution,
    select_phases,
)
from push_blaster.adapters.funnels import select_funnels
from push_blaster.adapters.operations.engine_table import ALIVE_WITHIN, select_paces
from push_blaster.domain.automations.automation import Push
from push_blaster.domain.executions.approval import Approval, Hashes, hash_what_is_sent
from push_blaster.domain.executions.execution import Execution, PushProgress
from push_blaster.domain.executions.funnel import Funnel
from push_blaster.domain.executions.phase import Phase


@dataclass(frozen=True, slots=True)
class ShownPush:
    """One push of an execution: its definition, its progress, and its present funnel."""

    push: Push
    progress: PushProgress
    funnel: Funnel


@dataclass(frozen=True, slots=True)
class ShownApproval:
    """The content for the approver, and the approval, if there is one."""

    reason: str
    current: Hashes
    given: Approval | None


@dataclass(frozen=True, slots=True)
class Details:
    """The fields that only the answer about one execution has."""

    approval: ShownApproval | None
    over_cap: OverCapCount | None
    pace: Sequence[Mapping[str, Any]]
    doubted_devices: int
    devices_of_other_project: int
    testers: Sequence[Tester]


@dataclass(frozen=True, slots=True)
class ShownExecution:
    """An execution as the API answers it."""

    execution: Execution
    phases: Sequence[EnteredPhase]
    pushes: Sequence[ShownPush]
    details: Details | None = None


@dataclass(frozen=True, slots=True)
class ShownReceipt:
    """The receipt of a stop, for all pushes together."""

    execution: ShownExecution
    totals: Funnel


def list_shown(connection: Connection, executions: Sequence[Execution]) -> list[ShownExecution]:
    """Return executions as a list answers them."""
    ids = [execution.id for execution in executions]
    entered, funnels = select_phases(connection, ids), select_funnels(connection, ids)
    return [
        ShownExecution(one, entered.get(one.id, []), _list_pushes(one, funnels[one.id]))
        for one in executions
    ]


def show_execution(database: Database, execution: Execution) -> ShownExecution:
    """Return one execution with everything that belongs to it."""
    with database.transaction() as connection:
        return _select_shown(connection, execution)


def read_execution(database: Database, execution_id: str) -> ShownExecution:
    """Return the same for an id; ExecutionNotFoundError, NewerExecutionError."""
    with database.transaction() as connection:
        return _select_shown(connection, select_execution(connection, execution_id))


def _select_shown(connection: Connection, execution: Execution) -> ShownExecution:
    phases = select_phases(connection, [execution.id]).get(execution.id, [])
    funnels = select_funnels(connection, [execution.id])[execution.id]
    details = Details(
        approval=_show_approval(execution, select_approval(connection, execution.id)),
        over_cap=select_over_cap_count(connection, execution.id),
        pace=_select_paces(connection, execution),
        doubted_devices=count_doubted(connection, execution.id),
        devices_of_other_project=count_of_other_project(connection, execution.id),
        testers=select_testers(connection, execution.id),
    )
    return ShownExecution(execution, phases, _list_pushes(execution, funnels), details)


def _list_pushes(execution: Execution, funnels: Mapping[int, Funnel]) -> list[ShownPush]:
    return [
        ShownPush(push, progress, funnels[progress.position])
        for push, progress in zip(execution.automation.pushes, execution.pushes, strict=False)
    ]


def _show_approval(execution: Execution, given: Approval | None) -> ShownApproval | None:
    """Return the content for the approver; None if no approval is needed."""
    if execution.approval_reason is None:
        return None
    current = hash_what_is_sent(execution.automation.pushes, execution.pushes)
    return ShownApproval(execution.approval_reason, current, given)


def _select_paces(connection: Connection, execution: Execution) -> Sequence[Mapping[str, Any]]:
    """Return the pace at which each engine sends, while the execution is live."""
    if execution.phase is not Phase.LIVE_EXECUTION:
        return []
    paces = select_paces(connection, utc_now() - ALIVE_WITHIN)
    own = execution.automation.settings.rate_per_minute
    if own is None:
        return paces
    return [
        {**pace, "ratePerMinute": min(own, pace["ratePerMinute"]), "ownRatePerMinute": own}
        for pace in paces
    ]
