"""Tell the emergency contacts' webhook what safeguards found, until it has taken it.

What a simulation found stays here.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import structlog

from chassis.postgres import Database
from push_blaster.adapters.executions.execution_view import select_execution
from push_blaster.adapters.executions.violation_table import mark_told, take_untold
from push_blaster.adapters.operations.alert_webhook import AlertWebhook, WebhookUnavailableError
from push_blaster.domain.executions.modes import Mode
from push_blaster.use_cases.context import StepContext

log = structlog.get_logger()

#: A failed try is repeated after so long, then after twice, three times so long, ….
AGAIN: Final = timedelta(seconds=30)
MAX_TRIES: Final = 10


def tell_contacts(context: StepContext, webhook: AlertWebhook) -> int:
    """Post every violation that nobody was told of; return how many went out."""
    told = 0
    with context.database.transaction() as connection:
        untold = take_untold(connection, context.clock(), AGAIN)
    for violation in untold:
        is_told = _tell(context.database, webhook, violation)
        told += is_told
        if is_told or violation["tries"] >= MAX_TRIES:
            with context.database.transaction() as connection:
                mark_told(connection, [str(violation["id"])], context.clock())
    return told


def _tell(database: Database, webhook: AlertWebhook, violation: Mapping[str, Any]) -> bool:
    with database.transaction() as connection:
        execution = select_execution(connection, violation["execution_id"])
    if execution.mode is Mode.SIMULATION:
        return True
    automation = execution.automation
    contacts = automation.settings.emergency_contacts
    text = f"{violation['severity'].upper()} {automation.name}: {violation['message']}"
    body = {
        "text": f"{text} ({', '.join(contacts)})" if contacts else text,
        "violationId": str(violation["id"]),
        "automationId": automation.id,
        "executionId": violation["execution_id"],
        "type": violation["type"],
        "severity": violation["severity"],
        "emergencyContacts": contacts,
        "timestamp": violation["at"].isoformat(),
    }
    try:
        webhook.post(body)
    except WebhookUnavailableError as error:
        log.warning("contacts_not_told", violation=body["violationId"], reason=str(error))
        return False
    return True
