"""Notify a webhook of alerts and violations, each until the webhook has taken it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from push_blaster.adapters.operations.alert_webhook import AlertWebhook, WebhookUnavailableError
from push_blaster.adapters.operations.outbox import mark_notified, take_notices
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.operations.alert import AlertEvent, Notice, NoticeTable
from push_blaster.use_cases.context import StepContext

log = structlog.get_logger()

#: After so many tries a notice is given up.
MAX_TRIES: Final = 10


@dataclass(frozen=True, slots=True)
class Channel:
    """A webhook, and the events that it gets: those of executions in some modes.

    Shape: `with_violations` adds the findings of safeguards, for the emergency contacts.
    """

    webhook: AlertWebhook
    events: Collection[AlertEvent]
    modes: Collection[Mode]
    with_violations: bool = False


def send_notices(context: StepContext, channel: Channel) -> int:
    """Post the notices that the webhook has not taken yet; return how many went out.

    If this process dies before it records that a notice was taken, the notice is posted again under
    the same id.
    """
    sent = 0
    with context.database.transaction() as connection:
        notices = take_notices(
            connection,
            channel.events,
            channel.modes,
            context.clock(),
            with_violations=channel.with_violations,
        )
    for notice in notices:
        is_sent = _post(channel.webhook, notice)
        sent += is_sent
        if is_sent or notice.tries >= MAX_TRIES:
            with context.database.transaction() as connection:
                mark_notified(connection, notice, context.clock())
    return sent


def _post(webhook: AlertWebhook, notice: Notice) -> bool:
    is_violation = notice.table is NoticeTable.VIOLATIONS
    if is_violation and notice.mode is Mode.SIMULATION:
        return True  # findings of a simulation concern nobody outside
    body = _violation_body(notice) if is_violation else _alert_body(notice)
    common = {
        "automationId": notice.automation_id,
        "executionId": notice.execution_id,
        "emergencyContacts": notice.contacts,
        "timestamp": notice.at.isoformat(),
    }
    try:
        webhook.post({**body, **common})
    except WebhookUnavailableError as error:
        log.warning("notice_not_sent", notice=notice.id, reason=str(error))
        return False
    return True


def _violation_body(notice: Notice) -> Mapping[str, object]:
    text = f"{(notice.severity or '').upper()} {notice.automation_name}: {notice.message}"
    return {
        "text": f"{text} ({', '.join(notice.contacts)})" if notice.contacts else text,
        "violationId": notice.id,
        "type": notice.kind,
        "severity": notice.severity,
    }


def _alert_body(notice: Notice) -> Mapping[str, object]:
    return {
        "text": _describe_alert(notice),
        "alertId": notice.id,
        "event": notice.kind,
        "mode": notice.mode,
        "slot": notice.slot.isoformat(),
        "reason": notice.reason,
        "funnels": [funnel.to_document() for funnel in notice.funnels],
    }


def _describe_alert(notice: Notice) -> str:
    """Return one line for people: the execution, the event, the reason, and the progress."""
    slot = notice.slot.isoformat(sep=" ", timespec="minutes")
    text = f"{notice.kind.upper().replace('_', ' ')} {notice.automation_name}, {slot}"
    is_open = notice.kind == AlertEvent.FAIL_OPEN
    reason = notice.uncapped_reason if is_open else notice.reason
    funnels = () if is_open else notice.funnels
    sentences = [f"{text}: {reason}" if reason else text]
    sentences += [f"Push {n}: {funnel.describe()}." for n, funnel in enumerate(funnels, start=1)]
    return " ".join([*sentences, *(f"({contact})" for contact in notice.contacts)])
