"""Turn rows of an audience into messages: find each user's device, fill in the texts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from push_blaster.adapters.delivery.message_size import find_excess
from push_blaster.adapters.engagement.receipt_keys import select_receipt_keys
from push_blaster.adapters.engagement.result_push_table import SentPush, insert_result_pushes
from push_blaster.domain.audiences.audience import AudienceRow
from push_blaster.domain.automations.automation import Push, ReachedDevices
from push_blaster.domain.delivery.ledger import LedgerPage, LedgerState, Refusal
from push_blaster.domain.delivery.message import Message, display_tag
from push_blaster.domain.delivery.push_template import Wordings, render_row
from push_blaster.domain.devices.device import Address
from push_blaster.domain.executions.execution import Execution
from push_blaster.domain.executions.modes import delivers, goes_to_audience
from push_blaster.use_cases.context import SendContext
from push_blaster.use_cases.devices.find_devices import find_devices


@dataclass(frozen=True, slots=True)
class Personal:
    """The messages, and the users without a message and why."""

    messages: list[Message] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)


def personalise_push(
    context: SendContext, execution: Execution, page: LedgerPage, rows: Sequence[AudienceRow]
) -> Personal:
    """Return the messages of a push: users get their variants, the winner, or its own texts.

    A winner's message names no variant: only the users who test them were chosen by chance.
    """
    position, push = page.position, execution.automation.pushes[page.position - 1]
    if not goes_to_audience(execution.mode):
        return personalise(context, execution, page, push.worded(None), rows)
    rest = [row for row in rows if execution.gets_winner(position, row.user_id)]
    if not rest:
        return personalise(context, execution, page, push, rows)
    testers = [row for row in rows if not execution.gets_winner(position, row.user_id)]
    tested = personalise(context, execution, page, push, testers)
    winner = push.worded(execution.find_winner(position))
    others = personalise(context, execution, page, winner, rest)
    return Personal([*tested.messages, *others.messages], [*tested.refusals, *others.refusals])


def personalise(
    context: SendContext,
    execution: Execution,
    page: LedgerPage,
    push: Push,
    rows: Sequence[AudienceRow],
) -> Personal:
    """Return a message for each row that can get one, in the order of the rows."""
    every = execution.automation.settings.devices is ReachedDevices.ALL
    reach = find_devices(
        context.database, context.device_source, rows, context.clock(), every=every
    )
    wordings = Wordings(execution.automation.id, push)
    places = {None: 0} | {variant.id: place for place, variant in enumerate(push.variants, 1)}
    write_receipt = _receipts_of(context, execution, page)
    personal = Personal()
    for row in rows:
        variant, template = wordings.choose(row.user_id)
        if not reach.is_known(row.user_id):
            refusal = Refusal(row.user_id, LedgerState.NO_TOKEN, "no living device token")
            personal.refusals.append(refusal)
            continue
        texts = render_row(context.limits.links, template, row)
        if isinstance(texts, Refusal):
            personal.refusals.append(texts)
            continue
        newest, *others = reach.devices.get(row.user_id, _NOWHERE)
        message = Message(
            user_id=row.user_id,
            device_token=newest.token,
            title=texts.title,
            body=texts.body,
            deep_link=texts.deep_link,
            display_tag=display_tag(execution.id, push.id, row.user_id),
            device_kind=newest.kind,
            device_keys=newest.keys,
            other_devices=tuple(others),
            fault=reach.unknown.get(row.user_id),
            variant=variant,
            receipt=write_receipt(row.user_id, places[variant]),
        )
        excess = find_excess(message)
        if excess:
            personal.refusals.append(Refusal(row.user_id, LedgerState.TOO_LONG, excess))
        else:
            personal.messages.append(message)
    return personal


def _receipts_of(
    context: SendContext, execution: Execution, page: LedgerPage
) -> Callable[[UUID, int], str]:
    """Return what writes the receipts of a page, by the user and the place of the variant.

    An engine of the version before, which writes no receipts, may have begun the push.
    """
    now, progress = context.clock(), execution.pushes[page.position - 1]
    with context.database.transaction() as connection:
        keys = select_receipt_keys(connection, now)
        if not page.is_test:
            sent_at = progress.due_at or now
            insert_result_pushes(connection, [SentPush(execution, page.position, sent_at)])
    is_test = page.is_test or not goes_to_audience(execution.mode)
    is_dry_run = not delivers(execution.mode)
    return keys.writer(execution.number, page.position, is_test=is_test, is_dry_run=is_dry_run)


#: Stands for the devices of a user whose devices could not be read.
_NOWHERE: Final = (Address("", kind=""),)
