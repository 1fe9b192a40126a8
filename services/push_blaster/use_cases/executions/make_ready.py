"""Make a push ready before its instant: check its audience, reserve slots, write first messages."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Final
from uuid import UUID

import structlog

from push_blaster.adapters.audiences.frozen_audiences import read_batch
from push_blaster.adapters.cadence.cadence_http import CadenceBusyError
from push_blaster.adapters.delivery.delivery_ledger import reservation_key
from push_blaster.adapters.devices.device_table import select_living
from push_blaster.adapters.executions.ready_executions import BegunPush, save_slots_key
from push_blaster.domain.audiences.audience import AudienceRow, Batch
from push_blaster.domain.delivery.ledger import LedgerPage
from push_blaster.domain.delivery.message import Message
from push_blaster.domain.executions.execution import Execution, PushProgress, PushStatus
from push_blaster.domain.executions.timeline import (
    Step,
    find_current_push,
    find_next_step,
    plan_execution,
)
from push_blaster.use_cases.cadence.ask_cadence import judge_audience
from push_blaster.use_cases.cadence.track_sends import release_slots
from push_blaster.use_cases.context import SendContext, StepFailedError
from push_blaster.use_cases.delivery.apply_holdout import find_holdout
from push_blaster.use_cases.delivery.find_opted_out import find_opted_out
from push_blaster.use_cases.delivery.personalise import personalise
from push_blaster.use_cases.executions.run_live import find_batches, go_live

log = structlog.get_logger()

#: How many messages of each push are made ready at most; the rest follows in the usual way.
FIRST_MESSAGES: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadySend:
    """A push whose first messages can go out at its instant, without anything to be read before.

    Shape: `after` is the execution as it is when the push has begun; `devices` are the registered
    devices of the messages, each with its user.
    """

    before: Execution
    after: Execution
    position: int
    due_at: datetime
    batches: Sequence[Batch]
    messages: Sequence[Message]
    devices: frozenset[tuple[str, UUID]]

    @property
    def page(self) -> LedgerPage:
        """Return the page of the ledger that has the messages' users."""
        return LedgerPage(self.after.id, self.position, is_test=False)

    def begin(self, now: datetime) -> BegunPush:
        """Return the push as it begins now."""
        push = replace(self.after.pushes[self.position - 1], started_at=now)
        return BegunPush(before=self.before, after=self.after.with_push(push), push=push)


def make_ready(context: SendContext, execution: Execution) -> ReadySend | None:
    """Return the next push of a live execution, ready to begin; None if it begins as usual.

    A push begins as usual if anything is special about it: times of the users' own, a rate of its
    own, exits, an experiment, a late window, cadence that is away or busy, a fault that its step
    has to report.
    """
    try:
        after = _foresee(context, execution)
        return _prepare(context, execution, after) if after else None
    except (StepFailedError, CadenceBusyError) as reason:
        log.info("push_not_made_ready", execution=execution.id, reason=str(reason))
        return None


def give_up_ready(context: SendContext, one: ReadySend) -> None:
    """Release the slots of a push that was made ready, and that nobody will begin."""
    release_slots(context, one.after, one.page)


def _foresee(context: SendContext, execution: Execution) -> Execution | None:
    """Return the execution as its next push begins on time; None if that push is special."""
    following = find_next_step(execution, context.clock())
    if following is None or following.step not in {Step.GO_LIVE, Step.START_PUSH}:
        return None
    if _is_special(execution):
        return None
    live = go_live(context, execution) if following.step is Step.GO_LIVE else execution
    push = find_current_push(live.pushes)
    if push is None or push.due_at is None or push.due_at > following.at:
        return None
    begun = replace(push, status=PushStatus.SENDING, started_at=push.due_at)
    return _with_slots(live, begun)


def _is_special(execution: Execution) -> bool:
    """Return whether who gets the next push, and when, is known only at its instant."""
    settings, current = execution.automation.settings, find_current_push(execution.pushes)
    has_own_time = settings.quiet_hours or settings.local_time
    tests = current and execution.sequence[current.position - 1].experiment
    return bool(has_own_time or settings.rate_per_minute or settings.exit_on or tests)


def _with_slots(live: Execution, push: PushProgress) -> Execution | None:
    """Return the execution as its push has begun, with the key of its slots; None if it is late.

    The sends of a push that begins much later than planned count when it begins. By then the slots
    of a push that was ready in time have run out.
    """
    counted = plan_execution(live)[push.position - 1]
    if push.due_at != counted:
        return None
    page = LedgerPage(live.id, push.position, is_test=False)
    # A further engine that makes the push ready asks the same question under the same key.
    key = push.slots_key or f"{reservation_key(page)}/ready-{live.fence}"
    return live.with_push(replace(push, slots_key=key, slots_for=counted))


def _prepare(context: SendContext, before: Execution, after: Execution) -> ReadySend | None:
    push = next(push for push in after.pushes if push.status is PushStatus.SENDING)
    page = LedgerPage(after.id, push.position, is_test=False)
    batches = find_batches(context, push)
    rows = _choose_rows(context, before, after, page, batches[0]) if batches else []
    definition = after.automation.pushes[push.position - 1]
    found = personalise(context, after, page, definition, rows).messages
    messages = [message for message in found if message.fault is None]
    if not messages or push.due_at is None:
        return None
    with context.database.transaction() as connection:
        devices = select_living(connection, _tokens(messages))
    return ReadySend(
        before=before,
        after=after,
        position=push.position,
        due_at=push.due_at,
        batches=batches,
        messages=messages,
        devices=devices,
    )


def _tokens(messages: Sequence[Message]) -> list[str]:
    own = [message.device_token for message in messages]
    return own + [other.token for message in messages for other in message.other_devices]


def _choose_rows(
    context: SendContext, before: Execution, after: Execution, page: LedgerPage, batch: Batch
) -> list[AudienceRow]:
    """Reserve slots for a batch, and return the first users who get the push."""
    push = after.pushes[page.position - 1]
    if push.audience is None:
        return []
    rows = read_batch(context.data_folder / push.audience.file, batch.offset, batch.rows)
    left_out = find_holdout(context.limits, after, rows, {})
    others = [row for row in rows if row.user_id not in left_out]
    with context.database.transaction() as connection:
        is_unchanged = save_slots_key(connection, before, push)
    if not is_unchanged or not others:
        return []
    verdict = judge_audience(context, after, page, [row.user_id for row in others])
    if verdict.failed_open:
        return []
    eligible = (row for row in others if row.user_id in verdict.eligible)
    first = list(islice(eligible, FIRST_MESSAGES))
    users = [row.user_id for row in first]
    with context.database.transaction() as connection:
        left_out = find_opted_out(connection, after, page.position, users, context.clock())
    return [row for row in first if row.user_id not in left_out]
