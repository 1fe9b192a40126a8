"""Ask the cadence service whom a push may go to; if it cannot be asked, follow the policy."""

from collections.abc import Sequence
from uuid import UUID

from push_blaster.adapters.cadence_client import CadenceUnavailableError
from push_blaster.adapters.execution_table import mark_uncapped
from push_blaster.domain.automation import FailPolicy
from push_blaster.domain.cadence import Verdict
from push_blaster.domain.execution import Execution, LogLevel, Phase
from push_blaster.use_cases.parts import Parts, StepFailedError, note
from push_blaster.use_cases.track_sends import nominal_instant


def ask_cadence(
    parts: Parts, execution: Execution, position: int, user_ids: Sequence[UUID]
) -> Verdict:
    """Return the verdict on `user_ids`; one that let everybody through marks the execution.

    Raises: StepFailedError if nobody could be checked and the automation's policy is `closed`.
    """
    verdict = _judge(parts, execution, position, user_ids)
    if not verdict.failed_open:
        return verdict
    if execution.automation.settings.fail_policy is FailPolicy.CLOSED:
        raise StepFailedError(
            f"Cadence could not be checked ({verdict.reason}), and the automation's failPolicy "
            "is closed: nobody is sent to unchecked. Mend the cadence service and run again."
        )
    _mark(parts, execution, position, verdict.reason or "it failed open")
    return verdict


def _judge(parts: Parts, execution: Execution, position: int, user_ids: Sequence[UUID]) -> Verdict:
    layer_id = execution.automation.pushes[position - 1].layer_id
    at = nominal_instant(execution, position) or parts.clock()
    try:
        return parts.cadence.filter_audience(user_ids, layer_id, at)
    except CadenceUnavailableError as error:
        return Verdict(frozenset(user_ids), {}, failed_open=True, reason=str(error))


def _mark(parts: Parts, execution: Execution, position: int, reason: str) -> None:
    with parts.database.transaction() as connection:
        is_first = mark_uncapped(connection, execution.id, reason)
    if is_first:
        text = f"Push {position} goes out without its cadence check: {reason}"
        note(parts, execution.id, Phase.LIVE_EXECUTION, text, LogLevel.WARNING)
