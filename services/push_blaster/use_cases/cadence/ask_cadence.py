"""Ask the cadence service whom a push may go to; if it cannot be asked, follow the policy."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog

from push_blaster.adapters.cadence.cadence_client import HOLD, CadenceUnavailableError
from push_blaster.adapters.delivery.delivery_ledger import reservation_key
from push_blaster.adapters.delivery.send_metrics import timing_cap_check
from push_blaster.adapters.executions.execution_table import mark_uncapped
from push_blaster.adapters.operations.outbox import insert_alert
from push_blaster.domain.automations.automation import FailPolicy
from push_blaster.domain.cadence.cadence import Verdict
from push_blaster.domain.delivery.ledger import LedgerPage
from push_blaster.domain.executions.execution import Execution, LogLevel
from push_blaster.domain.executions.modes import delivers
from push_blaster.domain.executions.phase import Phase
from push_blaster.domain.executions.timeline import counted_instant
from push_blaster.domain.operations.alert import AlertEvent
from push_blaster.use_cases.context import SendContext, StepContext, StepFailedError, note

log = structlog.get_logger()

#: Slots are held longer once so much of the time has gone.
HOLD_AGAIN_AFTER: Final = HOLD / 3


def ask_cadence(
    context: SendContext,
    execution: Execution,
    page: LedgerPage,
    user_ids: Sequence[UUID],
    held_until: datetime | None = None,
) -> Verdict:
    """Return the verdict on the users of one batch, and hold the eligible ones' slots.

    Asked again for the same users it is the same. One that let everybody through unchecked marks
    the execution. A dry run holds nothing.
    Shape: users who were held are asked about in a question of their own, for that instant.
    Raises: StepFailedError if nobody could be checked and the automation's policy is `closed`.
    """
    verdict = _judge(context, execution, page, user_ids, held_until)
    if not verdict.failed_open:
        return verdict
    if execution.automation.settings.fail_policy is FailPolicy.CLOSED:
        raise StepFailedError(
            f"Cadence could not be checked ({verdict.reason}), and the automation's failPolicy "
            "is closed: nobody is sent to unchecked. Mend the cadence service and run again."
        )
    _mark(context, execution, page.position, verdict.reason or "it failed open")
    return verdict


class HeldSlots:
    """The slots that cadence holds for one batch, for as long as the batch is worked on."""

    def __init__(
        self, context: SendContext, execution: Execution, keys: Collection[str], *, is_new: bool
    ) -> None:
        """Take the keys of the reservations, and whether they have been held from now on only."""
        self._are_held = delivers(execution.mode)
        self._context = context
        self._keys = keys
        self._held_at = context.clock() if is_new else context.clock() - HOLD_AGAIN_AFTER

    def keep(self) -> None:
        """Hold them longer, if a good part of their time has gone."""
        now = self._context.clock()
        if not self._are_held or now - self._held_at < HOLD_AGAIN_AFTER:
            return
        self._held_at = now
        for key in self._keys:
            try:
                self._context.cadence.hold_longer(key)
            except CadenceUnavailableError as error:
                log.info("slots_left_to_run_out", key=key, reason=str(error))


def _judge(
    context: SendContext,
    execution: Execution,
    page: LedgerPage,
    user_ids: Sequence[UUID],
    held_until: datetime | None,
) -> Verdict:
    layer_id = execution.automation.pushes[page.position - 1].layer_id
    at = held_until or counted_instant(execution, page.position) or context.clock()
    try:
        with timing_cap_check():
            if not delivers(execution.mode):
                return context.cadence.filter_audience(user_ids, layer_id, at)
            key = reservation_key(page, held_until)
            return context.cadence.reserve_audience(user_ids, layer_id, at, key)
    except CadenceUnavailableError as error:
        return Verdict(frozenset(user_ids), {}, failed_open=True, reason=str(error))


def _mark(context: StepContext, execution: Execution, position: int, reason: str) -> None:
    with context.database.transaction() as connection:
        is_first = mark_uncapped(connection, execution.id, reason)
        if is_first:
            insert_alert(connection, execution.id, AlertEvent.FAIL_OPEN, context.clock())
    if is_first:
        text = f"Push {position} goes out without its cadence check: {reason}"
        note(context, execution.id, Phase.LIVE_EXECUTION, text, LogLevel.WARNING)
