"""The safeguards that check an audience before the window opens."""

from pathlib import Path

from push_blaster.adapters.audiences.frozen_audiences import (
    AudienceTooLargeError,
    EmptyAudienceError,
    measure_overlap,
)
from push_blaster.adapters.audiences.preparer import Preparer
from push_blaster.adapters.executions.execution_view import select_earlier_audiences
from push_blaster.domain.executions.execution import Execution, PushProgress
from push_blaster.domain.executions.modes import walks_as_live
from push_blaster.domain.executions.safeguards import (
    Severity,
    Violation,
    ViolationType,
    find_overlap_drift,
    find_size_drift,
)
from push_blaster.use_cases.context import StepContext, report
from push_blaster.use_cases.executions.prepare_apart import preparing_apart


def find_audience_violation(fault: Exception) -> Violation | None:
    """Return the finding of the safeguard that refused an audience; None for other faults."""
    kinds: dict[type[Exception], ViolationType] = {
        AudienceTooLargeError: ViolationType.AUDIENCE_SIZE_EXCEEDED,
        EmptyAudienceError: ViolationType.AUDIENCE_EMPTY,
    }
    kind = kinds.get(type(fault))
    return Violation(kind, Severity.CRITICAL, str(fault)) if kind else None


def check_audiences(context: StepContext, execution: Execution) -> None:
    """Report audiences that are larger than the alert threshold."""
    threshold = execution.automation.settings.alert_audience_size
    for push in execution.pushes:
        size = push.audience.distinct if push.audience else 0
        if threshold is not None and size > threshold:
            text = (
                f"Push {push.position} has an audience of {size}, more than the {threshold} of "
                "safeguards.alertThresholds.audienceSize."
            )
            data = {"size": size, "threshold": threshold}
            kind = ViolationType.AUDIENCE_SIZE_EXCEEDED
            report(context, execution, Violation(kind, Severity.WARNING, text, data, push.position))


def find_approval_reason(context: StepContext, execution: Execution) -> str | None:
    """Return why the execution needs an operator's approval to go live; None if it does not.

    An audience that has drifted is reported, and waits for approval.
    """
    if not walks_as_live(execution.mode):
        return None
    reasons = []
    if execution.automation.settings.require_approval:
        reasons.append("The automation asks for approval (settings.requireApproval).")
    above = context.limits.approval_above
    largest = max(push.audience.distinct if push.audience else 0 for push in execution.pushes)
    if above is not None and largest > above:
        reasons.append(f"Its audience of {largest} is over {above} (PUSH_APPROVAL_ABOVE_USERS).")
    reasons += [
        text for push in execution.pushes for text in _check_drift(context, execution, push)
    ]
    return " ".join(reasons) or None


def _check_drift(context: StepContext, execution: Execution, push: PushProgress) -> list[str]:
    if push.audience is None:
        return []
    settings = execution.automation.settings
    with context.database.transaction() as connection:
        earlier = select_earlier_audiences(connection, execution, push.position)
    sizes = [one.size for one in earlier]
    found = find_size_drift(push.audience.distinct, sizes, settings.drift_factor)
    if found is None and settings.min_overlap is not None and earlier:
        last, here = (context.data_folder / file for file in (earlier[0].file, push.audience.file))
        with preparing_apart(context, execution, here.parent / "output") as preparer:
            found = _check_overlap(preparer, last, here, settings.min_overlap)
    if found is None:
        return []
    text = f"Push {push.position} has drifted: {found}."
    data = {"size": push.audience.distinct, "earlier": sizes}
    kind = ViolationType.AUDIENCE_DRIFT
    report(context, execution, Violation(kind, Severity.WARNING, text, data, push.position))
    return [text]


def _check_overlap(preparer: Preparer, last: Path, here: Path, minimum: float) -> str | None:
    if not last.exists():
        return None
    size = last.stat().st_size + here.stat().st_size
    return find_overlap_drift(preparer.run(size, measure_overlap, last, here), minimum)
