"""Events: what an app or a page reports of a push, and why a report is refused."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from enum import StrEnum
from typing import Final, NamedTuple, TypeVar
from uuid import UUID

from push_blaster.domain.devices.opt_out import Scope

Read = TypeVar("Read")

#: A provider keeps a message for a day, and a phone may be offline for 30 days more.
ACCEPTED_FOR: Final = timedelta(days=31)
#: How many events a request may have.
MAX_EVENTS: Final = 100
#: The longest name of a button or of a goal, and what of a wrong value a message shows.
MAX_NAME: Final = 100
_SHOWN: Final = 40
#: How like a name of ours a wrong one must be to be taken for a slip.
_ALIKE: Final = 0.5


class EventKind(StrEnum):
    """What a user did with a push; the values are stored in `events.event`."""

    DELIVERED = "delivered"
    OPENED = "opened"
    DISMISSED = "dismissed"
    ACTION = "action"
    OPTED_OUT = "opted_out"


class Refusal(StrEnum):
    """Why a report is refused; the values are those of answers and of the metric."""

    BAD_FIELD = "bad_field"
    UNKNOWN_EVENT = "unknown_event"
    MALFORMED = "malformed_receipt"
    UNKNOWN_KEY = "unknown_key"
    FORGED = "forged_receipt"
    UNKNOWN_PUSH = "unknown_push"
    EXPIRED = "expired"
    FUTURE = "future"
    KEY_USED = "key_used"
    ERASED = "erased_user"


class ReportRefusedError(Exception):
    """A report cannot be taken; the message names the field and the fix."""

    def __init__(self, reason: Refusal, message: str) -> None:
        """Take the reason for programs, and the message for people."""
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True, order=True)
class RefusedItem:
    """An item of a report that was refused: its place in the request, from 0, and why."""

    index: int
    reason: Refusal
    message: str


def read_item(
    problems: list[RefusedItem], index: int, read: Callable[..., Read], *arguments: object
) -> Read | None:
    """Return what `read` says of an item; if the item is refused, add a problem; return None."""
    try:
        return read(*arguments)
    except ReportRefusedError as refused:
        problems.append(RefusedItem(index, refused.reason, str(refused)))
        return None


@dataclass(frozen=True, slots=True)
class ReportedEvent:
    """An event as it came.

    Shape: `action` names the button, of the event `action`; `scope` says which pushes the user does
    not want, of the event `opted_out`.
    """

    receipt: str
    kind: EventKind
    action: str = ""
    at: datetime | None = None
    scope: Scope | None = None


class Event(NamedTuple):
    """An event of a user of a push; one of a test or of a dry run does not count."""

    execution_number: int
    position: int
    variant: int
    user_id: UUID
    kind: EventKind
    action: str
    at: datetime
    counts: bool


def read_event(item: object) -> ReportedEvent:
    """Return what one item of a report says. Raises: ReportRefusedError."""
    fields = read_fields(item, required=("receipt", "event"), optional=("action", "at", "scope"))
    kind = _read_kind(fields["event"])
    receipt = fields["receipt"]
    if not isinstance(receipt, str):
        raise ReportRefusedError(Refusal.MALFORMED, "receipt: Send the text of the message's data.")
    action = fields.get("action") or ""
    if kind is EventKind.ACTION:
        action = read_name("action", action)
    elif action:
        raise ReportRefusedError(Refusal.BAD_FIELD, "action: Only the event 'action' has one.")
    scope = _read_scope(kind, fields.get("scope"))
    return ReportedEvent(receipt, kind, str(action), read_instant(fields.get("at")), scope)


def read_fields(
    item: object, required: Collection[str], optional: Collection[str]
) -> Mapping[str, object]:
    """Return the fields of an item; a missing or unknown one is refused by name."""
    if not isinstance(item, Mapping):
        raise ReportRefusedError(Refusal.BAD_FIELD, "Send an object.")
    for name in required:
        if item.get(name) is None:
            raise ReportRefusedError(Refusal.BAD_FIELD, f"{name}: Missing.")
    known = (*required, *optional)
    for name in sorted(item.keys() - set(known)):
        hint = _nearest(name, known)
        raise ReportRefusedError(Refusal.BAD_FIELD, f"{name[:_SHOWN]}: Unknown field; {hint}")
    return item


def read_name(field: str, value: object) -> str:
    """Return a name of a button, a goal or a key: printable, and not too long."""
    if not isinstance(value, str) or not value.strip():
        raise ReportRefusedError(Refusal.BAD_FIELD, f"{field}: Send a text that is not empty.")
    name = value.strip()
    if len(name) > MAX_NAME or not name.isprintable():
        limits = f"at most {MAX_NAME} printable characters"
        raise ReportRefusedError(Refusal.BAD_FIELD, f"{field}: Send {limits}.")
    return name


def read_instant(value: object) -> datetime | None:
    """Return an instant, or None if none is given."""
    if value is None:
        return None
    try:
        instant = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        text = "at: Write an instant with its offset, such as 2026-11-24T12:30:00Z."
        raise ReportRefusedError(Refusal.BAD_FIELD, text)
    return instant


def clamp(at: datetime | None, sent_at: datetime, now: datetime) -> datetime:
    """Return when an event was, by the clock of a phone, but between the send and now, in UTC.

    The database does not take every offset that a text may have.
    """
    return min(max(at or now, sent_at), now).astimezone(UTC)


def _read_kind(name: object) -> EventKind:
    try:
        return EventKind(str(name))
    except ValueError as error:
        text = f"event: {str(name)[:_SHOWN]!r} is no event; {_nearest(str(name), list(EventKind))}"
        raise ReportRefusedError(Refusal.UNKNOWN_EVENT, text) from error


def _read_scope(kind: EventKind, name: object) -> Scope | None:
    if name is None:
        return None
    if kind is not EventKind.OPTED_OUT:
        raise ReportRefusedError(Refusal.BAD_FIELD, "scope: Only the event 'opted_out' has one.")
    try:
        return Scope(str(name))
    except ValueError as error:
        text = f"scope: {str(name)[:_SHOWN]!r} is no scope; {_nearest(str(name), list(Scope))}"
        raise ReportRefusedError(Refusal.BAD_FIELD, text) from error


def _nearest(name: str, known: Collection[str]) -> str:
    """Return a hint which of the `known` names may be meant."""
    near = get_close_matches(name[:_SHOWN].lower(), known, 1, _ALIKE)
    return f"did you mean {near[0]}?" if near else f"use one of {', '.join(known)}."
