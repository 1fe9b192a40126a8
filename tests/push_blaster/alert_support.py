"""Destinations of alerts for tests."""

from collections.abc import Collection, Sequence

from push_blaster.adapters.operations.alert_sender import AlertSender
from push_blaster.adapters.operations.alert_webhook import AlertWebhook, EnvironmentWebhook
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.operations.alert import USUAL
from push_blaster.domain.operations.destination import FINDING
from push_blaster.use_cases.operations.send_notices import hand_over
from tests.push_blaster.bench import Bench

HOOK = "https://hooks.example.com/alerts"


def a_sender(
    url: str = HOOK,
    events: Collection[str] = USUAL,
    modes: Collection[str] = (Mode.LIVE,),
    keys: Sequence[bytes] = (),
    public_url: str | None = None,
) -> AlertSender:
    """Return what an engine has whose setting names one webhook."""
    webhook = AlertWebhook(url, keys=keys)
    named = EnvironmentWebhook("PUSH_ALERT_WEBHOOK_URL", webhook, events, modes)
    return AlertSender(environment=[named], public_url=public_url)


def listening(bench: Bench, sender: AlertSender) -> AlertSender:
    """Let an engine with these settings begin: what is raised from now on goes to its webhook."""
    hand_over(bench.context, sender)
    return sender


def listening_for_findings(bench: Bench, url: str = HOOK) -> AlertSender:
    """Let an engine begin whose webhook gets only what safeguards find."""
    return listening(bench, a_sender(url, {FINDING}))
