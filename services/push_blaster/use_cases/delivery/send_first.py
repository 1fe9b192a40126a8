"""Send the first messages of many pushes together, so that none of these pushes begins late."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import structlog

from chassis.http.correlation import working_on
from chassis.postgres import Connection
from push_blaster.adapters.delivery.batch_table import TakenBatch
from push_blaster.adapters.delivery.first_messages import (
    give_back_first_batches,
    keep_first_batches,
)
from push_blaster.adapters.operations.execution_stops import has_stops, select_stopped
from push_blaster.domain.automations.automation import InDoubtPolicy
from push_blaster.domain.delivery.ledger import LedgerPage
from push_blaster.domain.delivery.message import (
    FINAL,
    Delivery,
    Message,
    Outcome,
    TransportUnavailableError,
)
from push_blaster.domain.executions.execution import Execution
from push_blaster.use_cases.context import SendContext, StepFailedError, watch_for_stop
from push_blaster.use_cases.delivery.note_lateness import note_lateness
from push_blaster.use_cases.delivery.reach_devices import reach_devices
from push_blaster.use_cases.delivery.record_outcomes import OutcomeRecorder
from push_blaster.use_cases.delivery.send_batch import give_up, tally_outcomes
from push_blaster.use_cases.delivery.send_messages import (
    SendTask,
    gather,
    open_recorder,
    record_group,
    unanswered,
)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstMessages:
    """The first messages of a push that has begun; they are claimed, and the batch is held."""

    execution: Execution
    batch: TakenBatch
    messages: Sequence[Message]

    @property
    def page(self) -> LedgerPage:
        """Return the page of the ledger that has the messages' users."""
        return self.batch.key.page


@dataclass(slots=True, kw_only=True)
class _Attempt:
    """The send of the first messages of one push, and what has become of them so far.

    Shape: `open` are the users without an answer; the messages of `unknown` users may have arrived.
    """

    first: FirstMessages
    task: SendTask
    recorder: OutcomeRecorder
    open: set[UUID]
    unknown: set[UUID] = field(default_factory=set)
    outcomes: Counter[Outcome] = field(default_factory=Counter)


def send_first_messages(context: SendContext, firsts: Sequence[FirstMessages]) -> None:
    """Send claimed messages, and record their outcomes; then any engine sends the rest.

    Shape: no user is in two of `firsts`. A stop of one execution ends the whole call within a
    second; what was not sent by then is given back, and sent with the rest unless it is stopped.
    """
    pages = [first.page for first in firsts]
    going = list(pages)

    def are_ours(connection: Connection) -> bool:
        ids = [page.execution_id for page in going]
        if has_stops(connection, ids) or select_stopped(connection, ids):
            return False
        return keep_first_batches(connection, going, context.clock())

    should_stop = watch_for_stop(context, None, are_ours, every_s=0.5)
    with _attempts(context, firsts, should_stop) as attempts:
        _give_back_stopped(context, attempts)
        # A stop that came before the send cuts off no message of another execution.
        going = [page for page in pages if attempts[page.execution_id].open]
        begun_at = context.clock()
        _send(context, attempts, begun_at, should_stop)
        for attempt in attempts.values():
            _end(context, attempt, begun_at)
    with context.database.transaction() as connection:
        give_back_first_batches(connection, pages)


@contextmanager
def _attempts(
    context: SendContext, firsts: Sequence[FirstMessages], should_stop: Callable[[], bool]
) -> Iterator[Mapping[str, _Attempt]]:
    """Yield an attempt for each execution; what it recorded last is in its journal or settled."""
    attempts = {
        first.execution.id: _Attempt(
            first=first,
            task=SendTask(
                page=first.page,
                may_send=lambda _: True,
                should_stop=should_stop,
                resend_in_doubt=first.execution.automation.settings.in_doubt
                is InDoubtPolicy.RESEND,
            ),
            recorder=open_recorder(context, first.page),
            open={message.user_id for message in first.messages},
        )
        for first in firsts
    }
    try:
        yield attempts
    finally:
        for attempt in attempts.values():
            attempt.recorder.close()


def _give_back_stopped(context: SendContext, attempts: Mapping[str, _Attempt]) -> None:
    """Give back what was claimed for executions that somebody stopped just before."""
    with context.database.transaction() as connection:
        stopped = select_stopped(connection, list(attempts))
    for execution_id in stopped:
        _record_unsent(attempts[execution_id])


def _send(
    context: SendContext,
    attempts: Mapping[str, _Attempt],
    begun_at: datetime,
    should_stop: Callable[[], bool],
) -> None:
    """Send once, and record every outcome; what an attempt left unknown is in doubt."""
    senders = {user_id: a for a in attempts.values() for user_id in a.open}
    messages = [m for a in attempts.values() for m in a.first.messages if m.user_id in a.open]
    try:
        for group in gather(reach_devices(context.transport, messages, should_stop)):
            _record(context, senders, group, begun_at)
    except TransportUnavailableError as error:
        context.pacer.note_fault(str(error))
        log.warning("first_messages_not_sent", reason=str(error), executions=len(attempts))
        for attempt in attempts.values():
            _record_unsent(attempt)
    except Exception:
        log.exception("transport_failed", executions=len(attempts))
        for attempt in attempts.values():
            attempt.unknown |= attempt.open


def _record(
    context: SendContext,
    senders: Mapping[UUID, _Attempt],
    group: Sequence[Delivery],
    begun_at: datetime,
) -> None:
    by_execution: dict[str, list[Delivery]] = {}
    for delivery in group:
        execution_id = senders[delivery.user_id].first.execution.id
        by_execution.setdefault(execution_id, []).append(delivery)
    for own in by_execution.values():
        attempt = senders[own[0].user_id]
        done = record_group(context, attempt.task, attempt.recorder, own, begun_at)
        attempt.outcomes.update(d.outcome for d in done)
        attempt.open -= {d.user_id for d in own}
        attempt.unknown |= {d.user_id for d in own if d.outcome is Outcome.IN_DOUBT}


def _record_unsent(attempt: _Attempt) -> None:
    attempt.recorder.record([Delivery(user_id, Outcome.NOT_SENT) for user_id in attempt.open])
    attempt.open.clear()


def _end(context: SendContext, attempt: _Attempt, begun_at: datetime) -> None:
    """Write what is left to the ledger; a message in doubt is sent again with the rest, or not."""
    first = attempt.first
    if not attempt.task.resend_in_doubt:
        attempt.recorder.record(unanswered(attempt.unknown))
    attempt.recorder.write_all()
    if not attempt.outcomes and not attempt.unknown:  # nothing went out
        return
    with working_on(first.execution.id):
        note_lateness(context, first.execution, first.page, begun_at)
        final = Counter({o: n for o, n in attempt.outcomes.items() if o in FINAL})
        try:
            tally_outcomes(context.database, first.execution, first.batch, final)
        except StepFailedError as failure:
            give_up(context, first.execution, first.batch, failure)
