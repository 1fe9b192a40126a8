"""Take the events that apps and pages report: verify each receipt, and keep what counts."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis.postgres import Connection, Database
from push_blaster.adapters.engagement.event_inbox import insert_events
from push_blaster.adapters.engagement.pushes_of_receipts import (
    KnownPush,
    MessageKey,
    PushKey,
    select_own_sends,
    select_pushes,
)
from push_blaster.domain.engagement.event import (
    ACCEPTED_FOR,
    Event,
    EventKind,
    Refusal,
    RefusedItem,
    ReportedEvent,
    ReportRefusedError,
    clamp,
    read_event,
    read_item,
)
from push_blaster.domain.engagement.receipt import Receipt
from push_blaster.use_cases.engagement.opt_out_by_receipt import Tap, opt_out_by_receipts


@dataclass(frozen=True, slots=True)
class TakenEvents:
    """What became of a report.

    Shape: of the `accepted`, those that are `not_counted` are of tests, dry runs and prefetches.
    """

    accepted: int
    not_counted: int
    refused: int
    problems: Sequence[RefusedItem]


@dataclass(frozen=True, slots=True)
class _Proved:
    """An event whose receipt is ours."""

    reported: ReportedEvent
    receipt: Receipt

    @property
    def push(self) -> PushKey:
        return self.receipt.execution_number, self.receipt.position

    @property
    def message(self) -> MessageKey:
        return (*self.push, self.receipt.user_id)


def take_events(
    database: Database,
    read_receipt: Callable[[str], Receipt],
    items: Sequence[object],
    now: datetime,
    *,
    counts: bool = True,
) -> TakenEvents:
    """Append the events of a report to the inbox; they are durable when this returns.

    Whoever reports `opted_out` is opted out at once.

    Shape: `read_receipt` raises ReportRefusedError. A report that does not count is only checked.
    """
    problems: list[RefusedItem] = []
    proved: dict[int, _Proved] = {}
    for index, item in enumerate(items):
        one = read_item(problems, index, _prove, item, read_receipt)
        # A test goes out before its push begins, so that the push may be unknown.
        if one is not None and one.receipt.counts:
            proved[index] = one
    counted = _store(database, proved, problems, now, counts=counts) if proved else 0
    accepted = len(items) - len(problems)
    return TakenEvents(accepted, accepted - counted, len(problems), sorted(problems))


def _prove(item: object, read_receipt: Callable[[str], Receipt]) -> _Proved:
    reported = read_event(item)
    return _Proved(reported, read_receipt(reported.receipt))


def _store(
    database: Database,
    proved: Mapping[int, _Proved],
    problems: list[RefusedItem],
    now: datetime,
    *,
    counts: bool,
) -> int:
    """Append the events that count, and opt users out who say so; return how many events count."""
    with database.transaction() as connection:
        pushes = select_pushes(connection, {one.push for one in proved.values()})
        own_sends = _find_late_sends(connection, proved.values(), pushes, now)
        found = [
            (one, read_item(problems, index, _place, one, pushes, own_sends, now))
            for index, one in proved.items()
        ]
        taken = [(one, event) for one, event in found if event is not None and event.counts]
        if not (taken and counts):
            return 0
        insert_events(connection, [event for _, event in taken], now)
        taps = [
            Tap(event, pushes[one.push], one.reported.scope, one.reported.at)
            for one, event in taken
            if event.kind is EventKind.OPTED_OUT
        ]
        opt_out_by_receipts(connection, taps, now)
    return len(taken)


def _find_late_sends(
    connection: Connection,
    proved: Iterable[_Proved],
    pushes: Mapping[PushKey, KnownPush],
    now: datetime,
) -> Mapping[MessageKey, datetime]:
    """Return when the messages went out whose push began too long ago for their events."""
    late = {
        one.message
        for one in proved
        if one.push in pushes and now > pushes[one.push].sent_at + ACCEPTED_FOR
    }
    return select_own_sends(connection, late) if late else {}


def _place(
    one: _Proved,
    pushes: Mapping[PushKey, KnownPush],
    own_sends: Mapping[MessageKey, datetime],
    now: datetime,
) -> Event:
    """Return the event at its push. Raises: ReportRefusedError."""
    receipt, reported, push = one.receipt, one.reported, pushes.get(one.push)
    if push is None:
        raise ReportRefusedError(Refusal.UNKNOWN_PUSH, "receipt: Its push is not known here.")
    sent_at = max(push.sent_at, own_sends.get(one.message, push.sent_at))
    if now > sent_at + ACCEPTED_FOR:
        text = f"receipt: Its push was sent at {sent_at:%Y-%m-%d %H:%M} UTC, more than"
        raise ReportRefusedError(Refusal.EXPIRED, f"{text} {ACCEPTED_FOR.days} days ago.")
    return Event(
        *one.push,
        variant=receipt.variant,
        user_id=receipt.user_id,
        kind=reported.kind,
        action=reported.action,
        at=clamp(reported.at, push.sent_at, now),
        counts=push.is_counted,
    )
