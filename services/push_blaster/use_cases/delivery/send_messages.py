"""Send messages under the ledger: claim before the send, settle after it."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from chassis.postgres import Connection
from push_blaster.adapters.delivery.delivery_ledger import (
    Deferral,
    claim_again,
    claim_deferred,
    claim_users,
    defer,
    insert_refusals,
    release_claims,
    settle,
)
from push_blaster.adapters.delivery.send_metrics import count_outcomes
from push_blaster.adapters.devices.device_table import mark_devices_dead
from push_blaster.domain.delivery.ledger import LedgerPage, Refusal
from push_blaster.domain.delivery.message import Delivery, Message, Outcome
from push_blaster.domain.delivery.retry import Tried
from push_blaster.use_cases.context import Pacer, SendContext, StepContext, StepStoppedError
from push_blaster.use_cases.delivery.reach_devices import reach_devices

#: Messages claimed at once: what a crash can leave in doubt at the most, for each worker.
CLAIM: Final = 500
#: Outcomes written at once, and for how long they gather.
SETTLE: Final = 500
GATHER_S: Final = 0.2
#: How often a message is begun again whose outcome stays unknown.
ROUNDS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """Users of a page whom an earlier attempt left without an outcome.

    Shape: `in_doubt` were claimed and never settled; `deferred` were not taken by the provider.
    """

    in_doubt: frozenset[UUID] = frozenset()
    deferred: Mapping[UUID, Tried] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SendTask:
    """Under which ledger page, by whose leave, and until when messages are sent.

    Shape: `may_send` holds the leave to send for as long as its transaction lasts; `keep_slots`
    is called before every claim, so that a slow send does not lose the slots held for it;
    `tally` after it, with the outcomes, and may raise StepFailedError.
    """

    page: LedgerPage
    may_send: Callable[[Connection], bool]
    should_stop: Callable[[], bool]
    keep_slots: Callable[[], None] = lambda: None
    tally: Callable[[Counter[Outcome]], None] = lambda _: None
    resend_in_doubt: bool = True
    left: Unfinished = Unfinished()


def send_messages(context: SendContext, task: SendTask, messages: Sequence[Message]) -> None:
    """Send `messages`, each user at most once; what the provider does not take is deferred.

    Raises: StepStoppedError when the leave to send is gone; TransportUnavailableError.
    """
    begun = 0
    while begun < len(messages):
        wanted = min(CLAIM, len(messages) - begun)
        allowed = context.pacer.take(wanted, task.should_stop)
        chunk = messages[begun : begun + allowed]
        begun += allowed
        task.keep_slots()
        claimed = _claim(context, task, chunk)
        task.tally(_send_claimed(context, task, claimed))
        if task.should_stop():
            raise StepStoppedError("stopped between messages")


def leave_in_doubt(
    context: StepContext, page: LedgerPage, user_ids: Iterable[UUID], reason: str
) -> None:
    """Settle claims whose send began as in doubt for good."""
    deliveries = [Delivery(user_id, Outcome.IN_DOUBT, reason=reason) for user_id in user_ids]
    _settle(context, page, deliveries)


def leave_unreachable(
    context: StepContext, page: LedgerPage, left: Unfinished, refusals: Sequence[Refusal]
) -> None:
    """Write down who gets no message and why; what an earlier attempt began stays in doubt."""
    begun = left.in_doubt & {refusal.user_id for refusal in refusals}
    leave_in_doubt(context, page, begun, "its send began before a crash, and cannot begin again")
    with context.database.transaction() as connection:
        insert_refusals(connection, page, refusals, context.clock())


def leave_tried_out(context: StepContext, page: LedgerPage, user_ids: Iterable[UUID]) -> None:
    """Settle claims of a dry run: nothing of it can be in doubt, as nothing was sent."""
    _settle(context, page, [Delivery(user_id, Outcome.DRY_RUN) for user_id in user_ids])


def _claim(context: StepContext, task: SendTask, chunk: Sequence[Message]) -> list[Message]:
    wanted = [message.user_id for message in chunk]
    again = [user_id for user_id in wanted if user_id in task.left.in_doubt]
    deferred = [user_id for user_id in wanted if user_id in task.left.deferred]
    with context.database.transaction() as connection:
        if not task.may_send(connection):
            raise StepStoppedError("no leave to send any more")
        variants = {message.user_id: message.variant for message in chunk}
        claimed = claim_users(connection, task.page, variants, context.clock())
        if deferred:
            due = {user_id: variants[user_id] for user_id in deferred}
            claimed |= claim_deferred(connection, task.page, due, context.clock())
        if again:
            claim_again(connection, task.page, again)
            claimed.update(again)
    return [message for message in chunk if message.user_id in claimed]


def _send_claimed(
    context: SendContext, task: SendTask, messages: list[Message]
) -> Counter[Outcome]:
    """Send claimed messages, those of unknown outcome again, and settle every one of them."""
    outcomes: Counter[Outcome] = Counter()
    for _ in range(ROUNDS):
        deliveries = _send_once(context, task, messages)
        outcomes.update(d.outcome for d in deliveries if d.outcome in _FINAL)
        unknown = {d.user_id for d in deliveries if d.outcome is Outcome.IN_DOUBT}
        messages = [message for message in messages if message.user_id in unknown]
        if not messages or not task.resend_in_doubt or task.should_stop():
            break
        with context.database.transaction() as connection:
            claim_again(connection, task.page, list(unknown))
    _settle(context, task.page, _unknown(messages, "no answer from the provider"))
    return outcomes


def _send_once(context: SendContext, task: SendTask, messages: Sequence[Message]) -> list[Delivery]:
    """Send once; settle every outcome that is known, give back what never began."""
    begun_at = context.clock()
    deliveries: list[Delivery] = []
    try:
        for group in _groups(reach_devices(context.transport, messages, task.should_stop)):
            deferrals, given_up = _sort_deferred(context, task, group, begun_at)
            final = [d for d in group if d.outcome in _FINAL] + given_up
            _settle(context, task.page, final, deferrals)
            count_outcomes(group)
            _inform_pacer(context.pacer, group)
            _mark_devices_dead(context, group)
            deliveries += [d for d in group if d.outcome is not Outcome.DEFERRED] + given_up
            deliveries += [Delivery(d.user_id, Outcome.DEFERRED) for d in deferrals]
    finally:
        known = {d.user_id for d in deliveries if d.outcome is not Outcome.NOT_SENT}
        _give_back(context, task, [m for m in messages if m.user_id not in known])
    return deliveries


_FINAL: Final = frozenset({Outcome.SENT, Outcome.TOKEN_DEAD, Outcome.FAILED, Outcome.DRY_RUN})


def _sort_deferred(
    context: StepContext, task: SendTask, group: Sequence[Delivery], begun_at: datetime
) -> tuple[list[Deferral], list[Delivery]]:
    """Return when each deferred message is tried again, and those whose time is up as failed."""
    deferrals: list[Deferral] = []
    given_up: list[Delivery] = []
    for delivery in group:
        if delivery.outcome is not Outcome.DEFERRED:
            continue
        user_id = delivery.user_id
        before = task.left.deferred.get(user_id, Tried(0, begun_at))
        tried = Tried(before.times + 1, before.since)
        jitter = random.random()  # noqa: S311 - no secret
        asked_s = delivery.retry_after_s
        due_at = context.limits.retry.next_try(tried, context.clock(), asked_s, jitter)
        if due_at is None:
            reason = f"given up after {tried.times} tries: {delivery.reason}"
            given_up.append(Delivery(user_id, Outcome.FAILED, reason=reason))
        else:
            deferrals.append(Deferral(user_id, delivery.reason, tried.times, due_at))
    return deferrals, given_up


def _inform_pacer(pacer: Pacer, group: Sequence[Delivery]) -> None:
    outcomes = Counter(delivery.outcome for delivery in group)
    over_quota = sum(delivery.is_over_quota for delivery in group)
    failed = outcomes[Outcome.DEFERRED] + outcomes[Outcome.IN_DOUBT] - over_quota
    well = sum(outcomes[outcome] for outcome in _FINAL)
    pacer.note(well, failed, over_quota)


def _give_back(context: StepContext, task: SendTask, messages: Sequence[Message]) -> None:
    if not messages:
        return
    with context.database.transaction() as connection:
        release_claims(connection, task.page, [message.user_id for message in messages])
    _settle(context, task.page, _unknown(messages, "stopped before it was sent again"))


def _unknown(messages: Iterable[Message], reason: str) -> list[Delivery]:
    return [Delivery(message.user_id, Outcome.IN_DOUBT, reason=reason) for message in messages]


def _settle(
    context: StepContext,
    page: LedgerPage,
    deliveries: Sequence[Delivery],
    deferrals: Sequence[Deferral] = (),
) -> None:
    if not deliveries and not deferrals:
        return
    now = context.clock()
    with context.database.transaction() as connection:
        settle(connection, page, deliveries, now)
        defer(connection, page, deferrals, now)


def _mark_devices_dead(context: StepContext, deliveries: Iterable[Delivery]) -> None:
    dead = [device for delivery in deliveries for device in delivery.dead_devices]
    if dead:
        with context.database.transaction() as connection:
            mark_devices_dead(connection, dead, context.clock())


def _groups(deliveries: Iterator[Delivery]) -> Iterator[list[Delivery]]:
    """Yield deliveries in groups that are worth a statement."""
    group: list[Delivery] = []
    begun_at = time.monotonic()
    try:
        for delivery in deliveries:
            group.append(delivery)
            if len(group) >= SETTLE or time.monotonic() - begun_at >= GATHER_S:
                yield group
                group, begun_at = [], time.monotonic()
    except Exception:
        # What a transport has told before it failed is known.
        if group:
            yield group
        raise
    if group:
        yield group
