"""Create, change, switch, try out and delete the destinations of alerts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

from chassis.postgres import Connection, Database
from push_blaster.adapters.operations.alert_sender import AlertSender
from push_blaster.adapters.operations.alert_webhook import NotTakenError
from push_blaster.adapters.operations.destination_table import (
    begin_anew,
    delete_destination,
    insert_destination,
    is_name_taken,
    lock_destination,
    lock_names,
    select_destinations,
    update_destination,
    update_destination_secret,
)
from push_blaster.adapters.transports.webhook_transport import make_secret
from push_blaster.domain.access.token import SecretChangedError
from push_blaster.domain.devices.device import find_url_fault
from push_blaster.domain.operations.destination import (
    KINDS_OF_ALERTS,
    Destination,
    DestinationKind,
    DestinationOrder,
    is_mail_address,
)

MAX_NAME: Final = 80
MAX_ADDRESSES: Final = 10
MAX_URL: Final = 2_000
#: How long the old secret of a destination signs beside the new one.
OVERLAP: Final = timedelta(hours=24)
MAX_OVERLAP: Final = timedelta(days=30)
#: So many secrets of a destination may sign at once: each makes the header longer.
MAX_SECRETS: Final = 10


class BadDestinationError(Exception):
    """The destination cannot be saved: `field` does not fit, and the message says why."""

    def __init__(self, field: str, message: str) -> None:
        """Take the field and the message."""
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class StaleDestinationError(Exception):
    """Somebody has changed the destination since the version that a change is based on."""

    def __init__(self, name: str) -> None:
        """Take the name of the destination."""
        super().__init__(
            f"Somebody has changed {name!r} meanwhile. Read it again, and repeat the change."
        )


@dataclass(frozen=True, slots=True)
class DestinationChange:
    """What somebody wants of a destination.

    Shape: without `is_on` it stays switched as it is; `version` is what the change is based on.
    """

    order: DestinationOrder
    is_on: bool | None = None
    version: str | None = None


class DestinationNotFoundError(Exception):
    """There is no such destination that can be changed."""


def create_destination(
    database: Database,
    sender: AlertSender,
    destination_id: str,
    order: DestinationOrder,
    created: tuple[str, datetime],
    *,
    is_on: bool = True,
) -> Destination:
    """Store a destination, `created` by somebody at an instant, and return it.

    The same id again changes nothing, whatever others have made of the destination. It gets what is
    raised from then on. Raises: BadDestinationError.
    """
    secret = make_secret() if order.kind is DestinationKind.WEBHOOK else None
    with database.transaction() as connection:
        lock_destination(connection, destination_id)
        for made_before in select_destinations(connection, destination_id):
            return made_before
        order = _check(connection, sender, order, destination_id)
        insert_destination(connection, destination_id, order, secret, created, is_on=is_on)
        return find_destination(connection, destination_id)


def change_destination(
    database: Database,
    sender: AlertSender,
    destination_id: str,
    change: DestinationChange,
    now: datetime,
) -> Destination:
    """Change a destination; another address gets what is raised from now on.

    Shape: without an `address` the address stays; the kind stays in any case.
    Raises: BadDestinationError, DestinationNotFoundError, StaleDestinationError.
    """
    order = change.order
    with database.transaction() as connection:
        before = _find_own(connection, destination_id)
        if change.version not in {None, before.version}:
            raise StaleDestinationError(before.name)
        order = replace(order, kind=before.kind, address=order.address or before.address)
        order = _check(connection, sender, order, destination_id)
        update_destination(connection, destination_id, order)
        is_on = before.is_on if change.is_on is None else change.is_on
        if order.address != before.address or is_on is not before.is_on:
            begin_anew(connection, destination_id, now, is_on=is_on)
        return find_destination(connection, destination_id)


def switch_destination(
    database: Database, destination_id: str, now: datetime, *, is_on: bool
) -> Destination:
    """Switch a destination on or off; it never gets what is raised while it is off."""
    with database.transaction() as connection:
        if _find_own(connection, destination_id).is_on is not is_on:
            begin_anew(connection, destination_id, now, is_on=is_on)
        return find_destination(connection, destination_id)


def rotate_destination_secret(
    database: Database,
    destination_id: str,
    overlap: timedelta,
    now: datetime,
    mark: str | None = None,
) -> Destination:
    """Give a webhook a new secret; the old one signs beside it for `overlap`.

    A secret that was replaced earlier signs as long as it was promised then.

    Whoever asks again for a secret in the place of the one with this `mark` gets the same one.
    Raises: BadDestinationError, DestinationNotFoundError; SecretChangedError if it has another one.
    """
    with database.transaction() as connection:
        before = _find_own(connection, destination_id)
        if mark is not None and before.has_replaced(mark, now):
            return before
        if mark not in {None, before.mark}:
            raise SecretChangedError(before.name)
        if overlap and len(before.secrets(now)) >= MAX_SECRETS:
            raise BadDestinationError(
                "overlapMinutes",
                f"{MAX_SECRETS} secrets of this destination still sign. Wait until one has "
                "ended; with 0 minutes, the present one ends at once.",
            )
        until = now + min(overlap, MAX_OVERLAP)
        if not update_destination_secret(connection, destination_id, make_secret(), until, now):
            raise BadDestinationError("kind", "only what is posted to a webhook is signed.")
        return find_destination(connection, destination_id)


def remove_destination(database: Database, destination_id: str) -> None:
    """Delete a destination with what is on its way to it; DestinationNotFoundError."""
    with database.transaction() as connection:
        _find_own(connection, destination_id)
        delete_destination(connection, destination_id)


def try_destination(destination: Destination, sender: AlertSender, now: datetime) -> str:
    """Send a test message at once, and return what the destination answered. Raises: NotTakenError.

    A destination of the settings is tried by whoever has the settings.
    """
    if destination.environment:
        raise NotTakenError("it stands in the settings of the engine; the pages cannot reach it")
    text = f"This is a test message for {destination.name}. Alerts of the push system arrive here."
    body = {"text": text, "event": "test", "timestamp": now.isoformat()}
    return sender.send(destination, str(uuid4()), body, now)


def find_destination(connection: Connection, destination_id: str) -> Destination:
    """Return the destination with this id; DestinationNotFoundError."""
    for destination in select_destinations(connection, destination_id):
        return destination
    raise DestinationNotFoundError("There is no such destination of alerts.")


def _find_own(connection: Connection, destination_id: str) -> Destination:
    """Return a destination that people may change, and let nobody else change it meanwhile."""
    lock_destination(connection, destination_id)
    destination = find_destination(connection, destination_id)
    if destination.environment:
        raise DestinationNotFoundError(
            f"This destination stands in {destination.environment}; change the setting."
        )
    return destination


def _check(
    connection: Connection, sender: AlertSender, order: DestinationOrder, destination_id: str
) -> DestinationOrder:
    """Return the order in its usual form; BadDestinationError."""
    order = replace(order, name=" ".join(order.name.split()), address=_tidy(order))
    if not 0 < len(order.name) <= MAX_NAME:
        raise BadDestinationError("name", f"give it a name of up to {MAX_NAME} characters.")
    lock_names(connection)
    if is_name_taken(connection, order.name, destination_id):
        raise BadDestinationError("name", f"another destination is called {order.name!r}.")
    if not order.events or {*order.events} - {*KINDS_OF_ALERTS}:
        raise BadDestinationError("events", "choose at least one kind of alert.")
    if not order.modes:
        raise BadDestinationError("modes", "choose at least one mode.")
    fault = _find_address_fault(order, sender)
    if fault:
        raise BadDestinationError("address", fault)
    return order


def _tidy(order: DestinationOrder) -> str:
    if order.kind is not DestinationKind.EMAIL:
        return order.address.strip()
    return ",".join(dict.fromkeys(order.address.replace(",", " ").replace(";", " ").split()))


def _find_address_fault(order: DestinationOrder, sender: AlertSender) -> str | None:
    if order.kind is DestinationKind.EMAIL:
        return _find_mail_fault(order.address.split(","), sender)
    if len(order.address) > MAX_URL:
        return f"the URL has more than {MAX_URL} characters."
    fault = find_url_fault(order.address, sender.schemes)
    return f"the URL {fault}." if fault else None


def _find_mail_fault(addresses: Sequence[str], sender: AlertSender) -> str | None:
    if sender.mail is None:
        return "no mail server is set up (PUSH_SMTP_HOST, PUSH_SMTP_FROM)."
    wrong = [one for one in addresses if not is_mail_address(one)]
    if wrong:
        return f"{wrong[0]!r} is no address of e-mail such as ops@example.com."
    too_many = len(addresses) > MAX_ADDRESSES
    return f"name up to {MAX_ADDRESSES} addresses." if too_many else None
