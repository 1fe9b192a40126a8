"""Mark devices as dead when a batch ends; if too many of them are dead, an operator decides."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from chassis.postgres import Connection, Database
from push_blaster.adapters.delivery.delivery_ledger import fail_dead
from push_blaster.adapters.devices.device_table import mark_devices_dead
from push_blaster.adapters.devices.doubted_devices import (
    DeadByInstant,
    Verdict,
    count_verdict,
    doubt_of_other_project,
    doubt_reported,
    has_reported,
    take_doubted,
    take_reported,
)
from push_blaster.adapters.executions.execution_view import select_execution
from push_blaster.domain.delivery.ledger import LedgerPage
from push_blaster.domain.executions.execution import Execution
from push_blaster.domain.executions.safeguards import (
    DEAD_SAMPLE,
    Severity,
    Violation,
    ViolationType,
    are_hardly_dead,
)
from push_blaster.domain.number_words import number_of
from push_blaster.use_cases.context import report_within

#: A batch with few outcomes is judged together with this number of batches before it.
BATCHES_BEFORE: Final = 20


def judge_devices(
    connection: Connection, execution: Execution, page: LedgerPage, now: datetime
) -> int:
    """Mark the devices that the outcomes of a page call dead, once the page has all its outcomes.

    If most of the outcomes say so, the devices are kept and doubted, an alert says why, and the
    messages fail; the answer is how many. Devices of another project are kept in any case. Safe to
    repeat.
    """
    if not has_reported(connection, page):
        return 0
    if reasons := doubt_of_other_project(connection, page):
        report_within(connection, execution, _describe_set_up(page, reasons), now)
        if not has_reported(connection, page):
            return 0
    verdict, where = count_verdict(connection, page, batches_before=0), "a batch"
    if verdict.outcomes < DEAD_SAMPLE:
        verdict = count_verdict(connection, page, BATCHES_BEFORE)
        where = f"the last batches up to batch {page.batch}"
    if not are_hardly_dead(verdict.dead, verdict.outcomes):
        _mark(connection, take_reported(connection, page))
        return 0
    reason = doubt_reported(connection, page)
    report_within(connection, execution, _describe_doubt(page, verdict, where, reason), now)
    return fail_dead(connection, page)


def _describe_doubt(page: LedgerPage, verdict: Verdict, where: str, reason: str) -> Violation:
    text = (
        f"The provider called the devices of {verdict.dead} of "
        f"{number_of(verdict.outcomes, 'user')} in {where} of push {page.position} dead. "
        "The devices were kept, and messages to them count as failed. If the devices are dead, "
        "mark them as dead on the page of the execution, or "
        f"with POST /api/executions/{page.execution_id}/dead-devices. "
        f"The first reason: {reason}"
    )
    kind, data = ViolationType.MANY_DEAD_DEVICES, verdict._asdict()
    return Violation(kind, Severity.WARNING, text, data, page.position)


def _describe_set_up(page: LedgerPage, reasons: Sequence[str]) -> Violation:
    """Return the finding; it is written down once for each push."""
    text = (
        f"{number_of(len(reasons), 'device')} of batch {page.batch} of push {page.position} "
        "registered with another project, app or environment than the one that sends "
        "(FIREBASE_PROJECT_ID, APNS_TOPIC, APNS_ENVIRONMENT), and "
        "later batches may have more. The set-up is at fault: the devices were kept, and messages "
        "to them count as failed. If the set-up is right, mark the devices as dead on the page of "
        f"the execution, or with POST /api/executions/{page.execution_id}/dead-devices; the apps "
        f"then have to register again. The first reason: {reasons[0]}"
    )
    kind, data = ViolationType.DEVICES_OF_OTHER_PROJECT, {"devices": len(reasons)}
    return Violation(kind, Severity.WARNING, text, data, page.position)


def mark_doubted_devices(database: Database, execution_id: str) -> int:
    """Mark the doubted devices of an execution as dead, and forget the doubt; return how many.

    A second call finds no devices, and returns 0. Raises: ExecutionNotFoundError.
    """
    with database.transaction() as connection:
        select_execution(connection, execution_id)
        return _mark(connection, take_doubted(connection, execution_id))


def _mark(connection: Connection, reported: DeadByInstant) -> int:
    """Mark devices; one that was registered again after it was called dead stays alive."""
    return sum(
        mark_devices_dead(connection, dead, at, unless_seen_later=True)
        for at, dead in reported.items()
    )
