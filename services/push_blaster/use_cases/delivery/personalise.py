"""Turn rows of an audience into messages: find each user's device, fill in the texts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from push_blaster.adapters.delivery.message_size import find_excess
from push_blaster.adapters.devices.known_languages import with_languages
from push_blaster.adapters.engagement.receipt_keys import select_receipt_keys
from push_blaster.domain.audiences.audience import AudienceRow
from push_blaster.domain.automations.automation import Push, ReachedDevices
from push_blaster.domain.delivery.deep_link import LinkPolicy, write_in_ascii
from push_blaster.domain.delivery.ledger import LedgerPage, LedgerState, Refusal
from push_blaster.domain.delivery.message import Message, display_tags
from push_blaster.domain.delivery.push_template import Wordings, render_row, with_ascii_links
from push_blaster.domain.devices.device import Address
from push_blaster.domain.executions.execution import Execution
from push_blaster.domain.executions.modes import delivers, goes_to_audience
from push_blaster.use_cases.context import SendContext
from push_blaster.use_cases.devices.find_devices import UserAddresses, find_devices


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
    if wordings.needs_language:
        with context.database.transaction() as connection:
            rows = with_languages(connection, rows)
    writer = _Writer(
        push=push,
        tag=display_tags(execution.id, push.id),
        links=context.limits.links,
        wordings=wordings,
        reach=reach,
        write_receipt=_receipts_of(context, execution, page),
    )
    personal = Personal()
    for row in rows:
        found = writer.write(row)
        if isinstance(found, Refusal):
            personal.refusals.append(found)
        else:
            personal.messages.append(found)
    return personal


#: Stands for the devices of a user whose devices could not be read.
_NOWHERE: Final = (Address("", kind=""),)


@dataclass(slots=True, kw_only=True)
class _Writer:
    """Writes the messages of a push."""

    push: Push
    tag: Callable[[UUID], str]
    links: LinkPolicy
    wordings: Wordings
    reach: UserAddresses
    write_receipt: Callable[[UUID, int], str]
    places: dict[str | None, int] = field(init=False)

    def __post_init__(self) -> None:
        """Number the variants as receipts do."""
        self.places = {variant.id: place for place, variant in enumerate(self.push.variants, 1)}
        self.places[None] = 0

    def write(self, row: AudienceRow) -> Message | Refusal:
        """Return the message for a row, or why it has none."""
        user_id = row.user_id
        variant, template = self.wordings.choose(user_id)
        own = self.reach.devices.get(user_id)
        fault = None if own else self.reach.unknown.get(user_id)
        if not own and fault is None:
            return Refusal(user_id, LedgerState.NO_TOKEN, "no living device token")
        texts = render_row(self.links, template, row)
        if isinstance(texts, Refusal):
            return texts
        newest, *others = own or _NOWHERE
        message = Message(
            user_id=user_id,
            device_token=newest.token,
            title=texts.title,
            body=texts.body,
            deep_link=write_in_ascii(texts.deep_link),
            display_tag=self.tag(user_id),
            device_kind=newest.kind,
            device_keys=newest.keys,
            other_devices=tuple(others),
            fault=fault,
            variant=variant,
            receipt=self.write_receipt(user_id, self.places[variant]),
            content=with_ascii_links(texts.content),
        )
        excess = find_excess(message)
        return Refusal(user_id, LedgerState.TOO_LONG, excess) if excess else message


def _receipts_of(
    context: SendContext, execution: Execution, page: LedgerPage
) -> Callable[[UUID, int], str]:
    """Return what writes the receipts of a page, by the user and the place of the variant."""
    with context.database.transaction() as connection:
        keys = select_receipt_keys(connection, context.clock())
    is_test = page.is_test or not goes_to_audience(execution.mode)
    is_dry_run = not delivers(execution.mode)
    return keys.writer(execution.number, page.position, is_test=is_test, is_dry_run=is_dry_run)
