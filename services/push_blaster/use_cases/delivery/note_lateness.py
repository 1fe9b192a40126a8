"""Note when the first message of a push went to the provider, and report a push that began late."""

from datetime import datetime

from chassis.postgres import LockedError
from push_blaster.adapters.delivery.batch_table import note_first_message
from push_blaster.adapters.delivery.send_metrics import LATENESS
from push_blaster.domain.delivery.ledger import LedgerPage
from push_blaster.domain.executions.execution import Execution
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.safeguards import Severity, Violation, ViolationType
from push_blaster.use_cases.context import LOCK_WAIT, StepContext, report
from push_blaster.use_cases.delivery.find_send_windows import has_send_windows


def note_lateness(
    context: StepContext, execution: Execution, page: LedgerPage, at: datetime
) -> None:
    """Note that messages of the push went out at `at`; only the first ones of a push count.

    A push that waits for the send windows of its users, and a push that delivers nothing, are never
    late.
    """
    push = execution.pushes[page.position - 1]
    if push.first_message_at or has_send_windows(execution):
        return
    try:
        with context.database.transaction(waits_for_locks=LOCK_WAIT) as connection:
            is_first = note_first_message(connection, page, at)
    except LockedError:  # a later message notes it; no message waits for who has locked the push
        return
    if push.due_at is None or not is_first or execution.mode is not Mode.LIVE:
        return
    late_s = max(0.0, (at - push.due_at).total_seconds())
    LATENESS.observe(late_s)
    limit_s = context.limits.late_after.total_seconds()
    if late_s > limit_s:
        text = (
            f"Push {page.position} began {late_s:.0f} s after its planned time, more than the "
            f"{limit_s:g} s allowed (PUSH_LATE_AFTER_SECONDS)."
        )
        data = {"lateSeconds": round(late_s, 3), "limit": limit_s}
        kind = ViolationType.LIVE_SEND_LATE
        report(context, execution, Violation(kind, Severity.WARNING, text, data, page.position))
