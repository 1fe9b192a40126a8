"""Send messages under the ledger: claim before the send, settle after it."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog

from chassis.postgres import Connection
from push_blaster.adapters.delivery.delivery_ledger import (
    Deferral,
    claim_again,
    claim_deferred,
    claim_users,
    insert_refusals,
    release_claims,
    select_states,
    settle,
)
from push_blaster.adapters.delivery.outcome_journal import PageJournal
from push_blaster.adapters.delivery.send_metrics import count_outcomes
from push_blaster.adapters.operations.execution_stops import is_stopped
from push_blaster.domain.delivery.ledger import LedgerPage, LedgerState, Refusal
from push_blaster.domain.delivery.message import (
    FINAL,
    Delivery,
    Message,
    Outcome,
    TransportUnavailableError,
)
from push_blaster.domain.delivery.retry import Tried
from push_blaster.domain.executions.execution import Execution
from push_blaster.domain.executions.modes import delivers
from push_blaster.use_cases.context import (
    Pacer,
    SendContext,
    StepContext,
    StepStoppedError,
    check_permission,
)
from push_blaster.use_cases.delivery.reach_devices import reach_devices
from push_blaster.use_cases.delivery.record_outcomes import LedgerOutlet, OutcomeRecorder

log = structlog.get_logger()

#: The number of messages that a worker claims at once: a crash leaves at most so many in doubt.
CLAIM: Final = 500
#: The number of outcomes that are written at once, and the time for which they gather.
SETTLE: Final = 500
GATHER_S: Final = 0.2
#: How often a message is sent while its outcome stays unknown.
ROUNDS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """Users of a page that an earlier attempt left without an outcome.

    Shape: `in_doubt` were claimed and never settled; `deferred` were not taken by the provider.
    """

    in_doubt: frozenset[UUID] = frozenset()
    deferred: Mapping[UUID, Tried] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SendTask:
    """The ledger page under which messages are sent, and the conditions of the send.

    Shape: `may_send` holds the permission to send until its transaction ends; `keep_slots` is
    called before every claim, so that a slow send keeps its reserved slots; `find_opted_out` is
    called within every claim, because users may have opted out since they were chosen;
    `note_begin` and `tally` are called after it, with the instant at which its messages went out
    and with their outcomes; `tally` may raise StepFailedError.
    """

    page: LedgerPage
    may_send: Callable[[Connection], bool]
    should_stop: Callable[[], bool]
    keep_slots: Callable[[], None] = lambda: None
    tally: Callable[[Counter[Outcome]], None] = lambda _: None
    note_begin: Callable[[datetime], None] = lambda _: None
    resend_in_doubt: bool = True
    left: Unfinished = Unfinished()
    find_opted_out: Callable[[Connection, Sequence[UUID]], Mapping[UUID, Refusal]] = lambda *_: {}


def send_messages(context: SendContext, task: SendTask, messages: Sequence[Message]) -> None:
    """Send `messages`, each user at most once; messages that a provider does not take are deferred.

    All outcomes of claimed messages are in the ledger before more messages are claimed.
    Raises: StepStoppedError when sending is not permitted any more; TransportUnavailableError.
    """
    recorder = open_recorder(context, task.page)
    try:
        begun = 0
        while begun < len(messages):
            wanted = min(CLAIM, len(messages) - begun)
            allowed = context.pacer.take(wanted, task.should_stop)
            chunk = messages[begun : begun + allowed]
            begun += allowed
            task.keep_slots()
            claimed = _claim(context, task, chunk)
            _check_not_stopped(context, task.page, recorder, claimed)
            begun_at = context.clock()
            outcomes = _send_claimed(context, task, recorder, claimed)
            if claimed:
                task.note_begin(begun_at)
            task.tally(outcomes)
            if task.should_stop():
                raise StepStoppedError("stopped between messages")
    finally:
        recorder.close()


def read_states(context: StepContext, execution: Execution, page: LedgerPage) -> dict[UUID, str]:
    """Return the ledger's states of the users of a page.

    A dry run first gives back what an attempt claimed that was killed: it has sent nothing.
    """
    with context.database.transaction() as connection:
        states = select_states(connection, page)
        claimed = [user_id for user_id, state in states.items() if state == LedgerState.CLAIMED]
        if delivers(execution.mode) or not claimed:
            return states
        release_claims(connection, page, claimed)
        return select_states(connection, page)


def open_recorder(context: SendContext, page: LedgerPage) -> OutcomeRecorder:
    """Return what records the outcomes of an attempt at a page."""
    return OutcomeRecorder(
        ledger_outlet(context, page), PageJournal(context.data_folder, context.engine_id, page)
    )


def ledger_outlet(context: StepContext, page: LedgerPage) -> LedgerOutlet:
    """Return what writes the outcomes of `page` to the ledger."""
    return LedgerOutlet(
        database=context.database,
        page=page,
        clock=context.clock,
        is_shutting_down=context.is_shutting_down,
    )


def leave_in_doubt(
    context: StepContext, page: LedgerPage, user_ids: Iterable[UUID], reason: str
) -> None:
    """Settle claims whose send began as in doubt, for good."""
    deliveries = [Delivery(user_id, Outcome.IN_DOUBT, reason=reason) for user_id in user_ids]
    _settle(context, page, deliveries)


def leave_unreachable(
    context: StepContext,
    page: LedgerPage,
    left: Unfinished,
    refusals: Sequence[Refusal],
    may_send: Callable[[Connection], bool],
) -> None:
    """Record which users get no message and why; a send that had begun earlier stays in doubt.

    Raises: StepStoppedError when sending is not permitted any more.
    """
    if not refusals:
        return
    begun = left.in_doubt & {refusal.user_id for refusal in refusals}
    leave_in_doubt(context, page, begun, "its send began before a crash, and cannot begin again")
    with context.database.transaction() as connection:
        check_permission(connection, may_send)
        insert_refusals(connection, page, refusals, context.clock())


def leave_tried_out(context: StepContext, page: LedgerPage, user_ids: Iterable[UUID]) -> None:
    """Settle claims of a dry run: none can be in doubt, because nothing was sent."""
    _settle(context, page, [Delivery(user_id, Outcome.DRY_RUN) for user_id in user_ids])


def _claim(context: StepContext, task: SendTask, chunk: Sequence[Message]) -> list[Message]:
    with context.database.transaction() as connection:
        check_permission(connection, task.may_send)
        chunk = _leave_opted_out(connection, task, chunk, context.clock())
        claimed = _claim_each(connection, task, chunk, context.clock())
    if len(claimed) == len(chunk):
        return list(chunk)
    return [message for message in chunk if message.user_id in claimed]


def _leave_opted_out(
    connection: Connection, task: SendTask, chunk: Sequence[Message], now: datetime
) -> Sequence[Message]:
    """Record the users who opted out since they were chosen; return the messages to the others.

    A message that may have arrived before a crash stays in doubt.
    """
    left_out = task.find_opted_out(connection, [message.user_id for message in chunk])
    if not left_out:
        return chunk
    doubtful = [
        Delivery(user_id, Outcome.IN_DOUBT, reason=refusal.reason)
        for user_id, refusal in left_out.items()
        if user_id in task.left.in_doubt
    ]
    settle(connection, task.page, doubtful, now)
    insert_refusals(connection, task.page, list(left_out.values()), now)
    return [message for message in chunk if message.user_id not in left_out]


def _claim_each(
    connection: Connection, task: SendTask, chunk: Sequence[Message], now: datetime
) -> set[UUID]:
    """Claim the users of new and deferred messages, and of those in doubt; return whom."""
    variants = {message.user_id: message.variant for message in chunk}
    again = task.left.in_doubt & variants.keys()
    deferred = task.left.deferred.keys() & variants.keys()
    claimed = claim_users(connection, task.page, variants, now)
    if deferred:
        due = {user_id: variants[user_id] for user_id in deferred}
        claimed |= claim_deferred(connection, task.page, due, now)
    if again:
        claim_again(connection, task.page, list(again))
        claimed |= again
    return claimed


def _check_not_stopped(
    context: StepContext, page: LedgerPage, recorder: OutcomeRecorder, claimed: Sequence[Message]
) -> None:
    """Raise StepStoppedError, and give back what was claimed, if somebody stopped the execution.

    A stop sees the claims that were committed before it; this sees a stop that came before them.
    """
    with context.database.transaction() as connection:
        if not is_stopped(connection, page.execution_id):
            return
    recorder.record([Delivery(message.user_id, Outcome.NOT_SENT) for message in claimed])
    recorder.write_all()
    raise StepStoppedError("stopped before its messages were sent")


def _send_claimed(
    context: SendContext, task: SendTask, recorder: OutcomeRecorder, messages: list[Message]
) -> Counter[Outcome]:
    """Send claimed messages, send those with an unknown outcome again, and settle all of them."""
    outcomes: Counter[Outcome] = Counter()
    for _ in range(ROUNDS):
        deliveries = _send_once(context, task, recorder, messages)
        outcomes.update(d.outcome for d in deliveries if d.outcome in FINAL)
        unknown = {d.user_id for d in deliveries if d.outcome is Outcome.IN_DOUBT}
        messages = [message for message in messages if message.user_id in unknown]
        if not messages or not task.resend_in_doubt or task.should_stop():
            break
        with context.database.transaction() as connection:
            claim_again(connection, task.page, list(unknown))
    recorder.record(unanswered(message.user_id for message in messages))
    recorder.write_all()
    return outcomes


def _send_once(
    context: SendContext, task: SendTask, recorder: OutcomeRecorder, messages: Sequence[Message]
) -> list[Delivery]:
    """Send once, and record every outcome; return the outcomes of the messages that were begun.

    A message that a transport got is sent, failed or in doubt. It is unsent only if the transport
    says so, by its outcome or by TransportUnavailableError.
    """
    begun_at = context.clock()
    begun: list[Delivery] = []
    answered: list[Delivery] = []
    try:
        for group in gather(reach_devices(context.transport, messages, task.should_stop)):
            begun += record_group(context, task, recorder, group, begun_at)
            answered += group
    except TransportUnavailableError as error:
        context.pacer.note_fault(str(error))
        unasked = _find_unanswered(messages, answered)
        recorder.record([Delivery(user_id, Outcome.NOT_SENT) for user_id in unasked])
        recorder.write_all()
        raise
    except Exception as error:
        unknown = _find_unanswered(messages, answered)
        log.exception("transport_failed", execution=task.page.execution_id, open=len(unknown))
        reason = f"the transport failed after the send began: {error}"
        recorder.record([Delivery(u, Outcome.IN_DOUBT, reason=reason) for u in unknown])
    recorder.write_all()
    return begun


def _find_unanswered(messages: Sequence[Message], answered: Sequence[Delivery]) -> set[UUID]:
    return {message.user_id for message in messages} - {one.user_id for one in answered}


def record_group(
    context: SendContext,
    task: SendTask,
    recorder: OutcomeRecorder,
    group: Sequence[Delivery],
    begun_at: datetime,
) -> list[Delivery]:
    """Record a group of outcomes; return them as they are in the ledger afterwards."""
    deferrals, given_up = _sort_deferred(context, task, group, begun_at)
    known = [d for d in group if d.outcome in _RECORDED] + given_up
    recorder.record(known, deferrals)
    count_outcomes(group)
    _inform_pacer(context.pacer, group)
    unknown = [d for d in group if d.outcome is Outcome.IN_DOUBT]
    begun = [d for d in known if d.outcome is not Outcome.NOT_SENT]
    return begun + unknown + [Delivery(d.user_id, Outcome.DEFERRED) for d in deferrals]


#: The outcomes that go to the ledger at once; a message in doubt may be sent again first.
_RECORDED: Final = FINAL | {Outcome.NOT_SENT}


def _sort_deferred(
    context: StepContext, task: SendTask, group: Sequence[Delivery], begun_at: datetime
) -> tuple[list[Deferral], list[Delivery]]:
    """Return when each deferred message is tried again; a message whose time is over has failed."""
    deferrals: list[Deferral] = []
    given_up: list[Delivery] = []
    for delivery in group:
        if delivery.outcome is not Outcome.DEFERRED:
            continue
        user_id = delivery.user_id
        before = task.left.deferred.get(user_id, Tried(0, begun_at))
        tried = Tried(before.times + 1, context.shift(before.since))
        jitter = random.random()  # noqa: S311 - no secret
        asked_s = delivery.retry_after_s
        due_at = context.limits.retry.next_try(tried, context.clock(), asked_s, jitter)
        if due_at is None:
            reason = _why_given_up(context, tried, delivery)
            given_up.append(Delivery(user_id, Outcome.FAILED, reason=reason))
        else:
            deferrals.append(Deferral(user_id, delivery.reason, tried.times, due_at))
    return deferrals, given_up


def _why_given_up(context: StepContext, tried: Tried, delivery: Delivery) -> str:
    policy, asked_s = context.limits.retry, delivery.retry_after_s or 0.0
    why = f"given up after {tried.times} tries: "
    if asked_s and policy.is_too_long(tried, context.clock(), asked_s):
        budget_s = policy.budget.total_seconds()
        why += f"the provider asks for a pause of {asked_s:.0f} s, and the retry budget "
        why += f"(PUSH_RETRY_BUDGET_SECONDS) is {budget_s:.0f} s: "
    return f"{why}{delivery.reason}"


def _inform_pacer(pacer: Pacer, group: Sequence[Delivery]) -> None:
    outcomes = Counter(delivery.outcome for delivery in group)
    over_quota = sum(delivery.is_over_quota for delivery in group)
    failed = outcomes[Outcome.DEFERRED] + outcomes[Outcome.IN_DOUBT] - over_quota
    succeeded = sum(outcomes[outcome] for outcome in FINAL)
    pacer.note(succeeded, failed, over_quota)
    reasons = [d.reason for d in group if d.outcome is Outcome.FAILED and d.reason]
    if outcomes[Outcome.SENT]:
        pacer.note_sent()
    elif reasons:
        pacer.note_fault(reasons[0], len(reasons))


def unanswered(user_ids: Iterable[UUID]) -> list[Delivery]:
    """Return the outcomes of messages whose outcome stays unknown."""
    reason = "no answer from the provider"
    return [Delivery(user_id, Outcome.IN_DOUBT, reason=reason) for user_id in user_ids]


def _settle(context: StepContext, page: LedgerPage, deliveries: Sequence[Delivery]) -> None:
    """Settle outcomes that need no journal: the next attempt finds the same outcomes."""
    if deliveries:
        with context.database.transaction() as connection:
            settle(connection, page, deliveries, context.clock())


def gather(deliveries: Iterator[Delivery]) -> Iterator[list[Delivery]]:
    """Yield deliveries in groups that are large enough for a statement."""
    group: list[Delivery] = []
    begun_at = time.monotonic()
    try:
        for delivery in deliveries:
            group.append(delivery)
            if len(group) >= SETTLE or time.monotonic() - begun_at >= GATHER_S:
                yield group
                group, begun_at = [], time.monotonic()
    except Exception:
        # The outcomes that a transport returned before it failed are known.
        if group:
            yield group
        raise
    if group:
        yield group
