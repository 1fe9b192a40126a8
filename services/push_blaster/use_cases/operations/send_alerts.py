"""Tell a webhook what became of executions, each event once, until it was taken."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from push_blaster.adapters.operations.alert_table import mark_alert_told, take_untold_alerts
from push_blaster.adapters.operations.alert_webhook import AlertWebhook, WebhookUnavailableError
from push_blaster.domain.executions.funnel import Funnel
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.operations.alert import AlertEvent
from push_blaster.use_cases.context import StepContext
from push_blaster.use_cases.operations.notify_contacts import AGAIN, MAX_TRIES

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Channel:
    """A webhook, and which events of executions in which modes it is told of."""

    webhook: AlertWebhook
    events: Collection[AlertEvent]
    modes: Collection[Mode]


def send_alerts(context: StepContext, channel: Channel) -> int:
    """Post what nobody was told of; return how much went out.

    If we die before we note that one was taken, it comes again under the same `alertId`.
    """
    told = 0
    with context.database.transaction() as connection:
        untold = take_untold_alerts(
            connection, channel.events, channel.modes, context.clock(), AGAIN
        )
    for alert in untold:
        is_told = _post(channel.webhook, alert)
        told += is_told
        if is_told or alert["tries"] >= MAX_TRIES:
            with context.database.transaction() as connection:
                mark_alert_told(connection, alert["execution_id"], alert["event"], context.clock())
    return told


def _post(webhook: AlertWebhook, alert: Mapping[str, Any]) -> bool:
    body = {
        "text": _say(alert),
        "alertId": f"{alert['execution_id']}/{alert['event']}",
        "event": alert["event"],
        "automationId": alert["automation_id"],
        "executionId": alert["execution_id"],
        "mode": alert["mode"],
        "slot": alert["slot"].isoformat(),
        "reason": alert["reason"],
        "funnels": alert["funnels"],
        "emergencyContacts": alert["contacts"] or [],
        "timestamp": alert["at"].isoformat(),
    }
    try:
        webhook.post(body)
    except WebhookUnavailableError as error:
        log.warning("alert_not_told", alert=body["alertId"], reason=str(error))
        return False
    return True


def _say(alert: Mapping[str, Any]) -> str:
    """Return one line for people: what happened to what, why, and how far it came."""
    slot = alert["slot"].isoformat(sep=" ", timespec="minutes")
    text = f"{alert['event'].upper().replace('_', ' ')} {alert['automation_name']}, {slot}"
    is_open = alert["event"] == AlertEvent.FAIL_OPEN
    reason = alert["uncapped_reason"] if is_open else alert["reason"]
    funnels = [] if is_open else [Funnel.from_document(one) for one in alert["funnels"]]
    said = [f"{text}: {reason}" if reason else text]
    said += [f"Push {n}: {funnel.describe()}." for n, funnel in enumerate(funnels, start=1)]
    return " ".join([*said, *(f"({contact})" for contact in alert["contacts"] or [])])
