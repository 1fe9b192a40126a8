"""Ask the cadence service who may get a push; while it is away, follow the policy."""

import math
import time
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog

from push_blaster.adapters.cadence.cadence_client import RESERVATION, CadenceClient
from push_blaster.adapters.cadence.cadence_http import (
    CadenceBusyError,
    CadenceUnauthorizedError,
    CadenceUnavailableError,
)
from push_blaster.adapters.delivery.send_metrics import timing_cap_check
from push_blaster.adapters.executions.execution_table import mark_uncapped
from push_blaster.adapters.operations.outbox import insert_alert
from push_blaster.domain.automations.automation import FailPolicy
from push_blaster.domain.cadence.cadence import CapVerdict
from push_blaster.domain.delivery.ledger import LedgerPage
from push_blaster.domain.executions.execution import Execution, LogLevel
from push_blaster.domain.executions.modes import delivers
from push_blaster.domain.executions.phase import Phase
from push_blaster.domain.executions.timeline import counted_instant
from push_blaster.domain.operations.alert import AlertEvent
from push_blaster.use_cases.cadence.slots_key import find_slots_key
from push_blaster.use_cases.context import SendContext, StepContext, StepFailedError, note

log = structlog.get_logger()

#: A reservation is extended when this much of its time has passed.
EXTEND_AFTER: Final = RESERVATION / 3


def ask_cadence(
    context: SendContext,
    execution: Execution,
    page: LedgerPage,
    user_ids: Sequence[UUID],
    window: datetime | None = None,
) -> CapVerdict:
    """Return the verdict on the users of one batch, and reserve slots for the eligible users.

    The same users get the same verdict again. A verdict that let all users through unchecked marks
    the execution. A dry run reserves nothing.
    Shape: users deferred to a send window are checked separately, for the beginning of `window`.
    Raises: StepFailedError if no user could be checked and the automation's policy is `closed`;
    CadenceBusyError if cadence asks for a later request; then nothing is decided.
    """
    verdict = judge_audience(context, execution, page, user_ids, window)
    if not verdict.failed_open:
        return verdict
    if execution.automation.settings.fail_policy is FailPolicy.CLOSED:
        raise StepFailedError(
            f"Cadence could not be checked ({verdict.reason}), and the automation sends nothing "
            "unchecked (settings.failPolicy). Repair the cadence service and run again."
        )
    _mark(context, execution, page.position, verdict.reason or "it failed open")
    return verdict


def tell_of_cadence(cadence: CadenceClient) -> None:
    """Tell in the log whether the cadence service answers and accepts our token."""
    try:
        cadence.ping()
    except CadenceUnauthorizedError as error:
        log.error("cadence_refuses_token", reason=str(error))  # noqa: TRY400 - its text says all
    except CadenceUnavailableError as error:
        log.warning("cadence_does_not_answer", reason=str(error))


class ReservedSlots:
    """The slots that cadence reserves for one batch while a worker sends the batch."""

    def __init__(
        self, context: SendContext, execution: Execution, keys: Collection[str], *, is_new: bool
    ) -> None:
        """Take the keys of the reservations, and whether they are new."""
        self._is_reserved = delivers(execution.mode)
        self._context = context
        self._keys = keys
        self._reserved_at = time.monotonic() if is_new else -math.inf

    def keep(self) -> None:
        """Extend the reservations if a good part of their time has passed."""
        now = time.monotonic()
        if not self._is_reserved or now - self._reserved_at < EXTEND_AFTER.total_seconds():
            return
        self._reserved_at = now
        for key in self._keys:
            try:
                self._context.cadence.extend_reservation(key)
            except CadenceUnavailableError as error:
                log.info("slots_left_to_run_out", key=key, reason=str(error))


def judge_audience(
    context: SendContext,
    execution: Execution,
    page: LedgerPage,
    user_ids: Sequence[UUID],
    window: datetime | None = None,
) -> CapVerdict:
    """Return the verdict as `ask_cadence` does; if it failed open, the caller follows the policy.

    Raises: CadenceBusyError.
    """
    layer_id = execution.automation.pushes[page.position - 1].layer_id
    at = window or counted_instant(execution, page.position) or context.clock()
    try:
        with timing_cap_check():
            if not delivers(execution.mode):
                return context.cadence.filter_audience(user_ids, layer_id, at)
            key = find_slots_key(execution, page, window)
            return context.cadence.reserve_audience(user_ids, layer_id, at, key)
    except CadenceBusyError:
        raise
    except CadenceUnavailableError as error:
        return CapVerdict(frozenset(user_ids), {}, failed_open=True, reason=str(error))


def _mark(context: StepContext, execution: Execution, position: int, reason: str) -> None:
    with context.database.transaction() as connection:
        is_first = mark_uncapped(connection, execution.id, reason)
        if is_first:
            insert_alert(connection, execution.id, AlertEvent.FAIL_OPEN, context.clock())
    if is_first:
        text = f"Push {position} goes out without its cadence check: {reason}"
        note(context, execution.id, Phase.LIVE_EXECUTION, text, LogLevel.WARNING)
