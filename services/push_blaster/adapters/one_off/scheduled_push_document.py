"""A scheduled push is an automation that sends one push once; this module converts both.

The document of such an automation has the field `scheduledPush`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from push_blaster.adapters.automations.automation_document import read_automation
from push_blaster.domain.automations.automation import Automation, Frequency
from push_blaster.domain.schedule.schedule import next_slots
from push_blaster.domain.zones import FIRST_YEAR

MARK: Final = "scheduledPush"
LEAD_MINUTES: Final = 10
_LONG_AGO: Final = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledPush:
    """One push to one audience at one instant.

    Shape: `criteria` is the document's audienceCriteria.
    Units: `scheduled_for` in whole seconds, UTC.
    """

    id: str
    scheduled_for: datetime
    title: str
    body: str
    layer_id: int
    criteria: Mapping[str, Any]
    audience_description: str
    deep_link: str = ""
    created_at: str | None = None


def is_scheduled_push(document: Mapping[str, Any]) -> bool:
    """Return whether the automation is still one push at one instant."""
    is_once = document["schedule"]["frequency"] == Frequency.ONCE
    return MARK in document and is_once and len(document["pushSequence"]) == 1


def read_scheduled_push(document: Mapping[str, Any]) -> ScheduledPush:
    """Return the scheduled push that the automation is."""
    automation = read_automation(document)
    (push,) = automation.pushes
    return ScheduledPush(
        id=automation.id,
        scheduled_for=read_instant(automation),
        title=push.title,
        body=push.body,
        layer_id=push.layer_id,
        criteria=document.get("audienceCriteria") or {},
        audience_description=document[MARK].get("audienceDescription") or "",
        deep_link=push.deep_link,
        created_at=document.get("createdAt"),
    )


def read_instant(automation: Automation) -> datetime:
    """Return the one instant at which an automation of the frequency `once` sends."""
    return next_slots(automation.schedule, _LONG_AGO, 1)[0].at


def write_fields(push: ScheduledPush) -> Mapping[str, Any]:
    """Return the fields of an automation's document for message, audience and time."""
    at = push.scheduled_for.astimezone(UTC)
    text = {"title": push.title, "body": push.body, "deepLink": push.deep_link}
    return {
        "name": push.title[:255],
        "description": push.audience_description,
        "schedule": {
            "timezone": "UTC",
            "frequency": "once",
            "startDate": f"{at:%Y-%m-%d}",
            "executionTime": f"{at:%H:%M:%S}",
            "leadTimeMinutes": LEAD_MINUTES,
        },
        "pushSequence": [{**text, "layerId": push.layer_id}],
        "audienceCriteria": dict(push.criteria),
        MARK: {"audienceDescription": push.audience_description},
    }


def write_document(push: ScheduledPush, window: timedelta) -> Mapping[str, Any]:
    """Return the document of a new automation: without a test, with a cancellation window."""
    return {
        "id": push.id,
        "type": "single_push",
        **write_fields(push),
        "settings": {
            "dryRunFirst": False,
            "cancellationWindowMinutes": window.total_seconds() / 60,
            "safeguards": {"requireTestFirst": False},
        },
        "metadata": {"createdBy": "scheduled_push"},
    }
