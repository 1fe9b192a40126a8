"""Send alerts and violations to their destinations, each until the destination has taken it.

Whatever was raised is handed over once, to each destination that wants it then. So a destination
that comes later, or that was off, gets nothing from before.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Final

import structlog

from push_blaster.adapters.operations.alert_deliveries import (
    AGAIN,
    LEASE,
    insert_alert_deliveries,
    mark_not_taken,
    mark_taken,
    put_back,
    select_due_destinations,
    take_alert_deliveries,
)
from push_blaster.adapters.operations.alert_sender import AlertSender
from push_blaster.adapters.operations.alert_webhook import NotTakenError
from push_blaster.adapters.operations.destination_table import (
    confirm_settings,
    leave_settings,
    select_destinations,
)
from push_blaster.adapters.operations.outbox import AT_ONCE, take_notices
from push_blaster.domain.operations.alert_body import describe_notice
from push_blaster.domain.operations.destination import AlertDelivery, Destination
from push_blaster.use_cases.context import StepContext

log = structlog.get_logger()

#: How many destinations get alerts at the same time; one that hangs delays no other.
_AT_THE_SAME_TIME: Final = 4


def send_notices(context: StepContext, sender: AlertSender) -> int:
    """Send what is due to the destinations; return how many alerts were taken.

    If this process dies before it records that an alert was taken, the alert is sent again under
    the same id.
    """
    hand_over(context, sender)
    own = [one.fingerprint for one in sender.environment]
    with context.database.transaction() as connection:
        due = select_due_destinations(connection, own, context.clock())
    if not due:
        return 0
    with ThreadPoolExecutor(_AT_THE_SAME_TIME) as pool:
        return sum(pool.map(lambda destination_id: _send(context, sender, destination_id), due))


def hand_over(context: StepContext, sender: AlertSender) -> None:
    """Confirm the settings of this engine, and hand what was raised to the destinations."""
    described = [one.describe() for one in sender.environment]
    with context.database.transaction() as connection:
        confirm_settings(connection, described, context.clock())
    while _hand_over_some(context, sender) >= AT_ONCE:
        pass


def leave(context: StepContext, sender: AlertSender) -> None:
    """Record that this engine, with its settings, ends."""
    own = [one.fingerprint for one in sender.environment]
    with context.database.transaction() as connection:
        leave_settings(connection, own, context.clock())


def _hand_over_some(context: StepContext, sender: AlertSender) -> int:
    now = context.clock()
    with context.database.transaction() as connection:
        notices = take_notices(connection, now)
        destinations = select_destinations(connection, only_on=True) if notices else []
        handed = [
            (destination.id, notice, describe_notice(notice, sender.public_url))
            for notice in notices
            for destination in destinations
            if destination.wants(notice)
        ]
        insert_alert_deliveries(connection, handed, now)
    return len(notices)


def _send(context: StepContext, sender: AlertSender, destination_id: str) -> int:
    """Send a destination its alerts, until it does not take one; return how many it took.

    A try that might last longer than the lease of the alerts is not begun: another engine may then
    send them, too.
    """
    now, until = context.clock(), time.monotonic() + LEASE.total_seconds()
    with context.database.transaction() as connection:
        destinations = select_destinations(connection, destination_id, only_on=True)
        taken = take_alert_deliveries(connection, destination_id, now) if destinations else []
    took, is_taken = 0, True
    while taken and is_taken and not context.is_shutting_down():
        if time.monotonic() + sender.longest_try(destinations[0]).total_seconds() > until:
            break
        is_taken = _send_one(context, sender, destinations[0], taken.pop(0))
        took += is_taken
    rest = context.clock() + (timedelta(0) if is_taken else AGAIN)
    with context.database.transaction() as connection:
        put_back(connection, taken, rest)
    return took


def _send_one(
    context: StepContext, sender: AlertSender, to: Destination, delivery: AlertDelivery
) -> bool:
    reason = _try(sender, to, delivery, context.clock())
    with context.database.transaction() as connection:
        if reason is None:
            mark_taken(connection, delivery, context.clock())
        else:
            mark_not_taken(connection, delivery, reason, context.clock())
    return reason is None


def _try(
    sender: AlertSender, to: Destination, delivery: AlertDelivery, now: datetime
) -> str | None:
    """Return why the destination did not take the alert; None if it took it."""
    try:
        sender.send(to, delivery.id, delivery.body, now)
    except Exception as error:  # noqa: BLE001 - one that nobody can send stops no other
        is_known = isinstance(error, NotTakenError)
        reason = str(error) if is_known else f"it cannot be sent ({type(error).__name__})"
        log.warning("alert_not_taken", destination=to.name, alert=delivery.id, reason=reason)
        return reason
    return None
