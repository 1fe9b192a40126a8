"""A scheduled push is an automation that sends one push once; this module converts both.

The document of such an automation has the field `scheduledPush`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from chassis.instants import FIRST_YEAR
from push_blaster.adapters.automations.automation_document import read_automation
from push_blaster.adapters.automations.content_schema import pick_content
from push_blaster.domain.automations.automation import Automation, Frequency
from push_blaster.domain.schedule.schedule import next_slots
from push_blaster.domain.zones import place_in_zone

MARK: Final = "scheduledPush"
LEAD_MINUTES: Final = 10
#: How long before its window an execution makes its audience and sends its test.
PREPARATION_MINUTES: Final = 5
_LONG_AGO: Final = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledPush:
    """One push to one audience at one instant.

    Shape: `message` has further fields of the push, as its document has them. `criteria` is the
    document's audienceCriteria, `settings` are its settings, and None means those of a new push;
    pages show its time in `timezone`.
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
    message: Mapping[str, Any] = field(default_factory=dict)
    created_at: str | None = None
    timezone: str = "UTC"
    settings: Mapping[str, Any] | None = None


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
        message=pick_content(document["pushSequence"][0]),
        created_at=document.get("createdAt"),
        timezone=automation.schedule.timezone,
        settings=document["settings"],
    )


def read_instant(automation: Automation) -> datetime:
    """Return the one instant at which an automation of the frequency `once` sends."""
    return next_slots(automation.schedule, _LONG_AGO, 1)[0].at


def write_fields(push: ScheduledPush) -> Mapping[str, Any]:
    """Return the fields of an automation's document for message, audience and time."""
    at, zone = _find_wall_time(push)
    text = {"title": push.title, "body": push.body, "deepLink": push.deep_link}
    return {
        "name": push.title[:255],
        "description": push.audience_description,
        "schedule": {
            "timezone": zone,
            "frequency": "once",
            "startDate": f"{at:%Y-%m-%d}",
            "executionTime": f"{at:%H:%M:%S}",
            "leadTimeMinutes": _find_lead(push),
        },
        "pushSequence": [{**text, "layerId": push.layer_id, **pick_content(push.message)}],
        "audienceCriteria": dict(push.criteria),
        MARK: {"audienceDescription": push.audience_description},
        **({} if push.settings is None else {"settings": dict(push.settings)}),
    }


def _find_wall_time(push: ScheduledPush) -> tuple[datetime, str]:
    """Return the time of the push and its zone; in UTC where the zone has this time twice."""
    zone = ZoneInfo(push.timezone)
    at = push.scheduled_for.astimezone(zone)
    is_clear = place_in_zone(at.replace(tzinfo=None, fold=0), zone).at == push.scheduled_for
    return (at, push.timezone) if is_clear else (push.scheduled_for.astimezone(UTC), "UTC")


def _find_lead(push: ScheduledPush) -> int:
    """Return how many minutes before its time the execution begins: long enough for its window."""
    window = (push.settings or {}).get("cancellationWindowMinutes") or 0
    return max(LEAD_MINUTES, math.ceil(window) + PREPARATION_MINUTES)


def write_document(push: ScheduledPush, window: timedelta) -> Mapping[str, Any]:
    """Return the document of a new automation: without a test, with a cancellation window."""
    return {
        "id": push.id,
        "type": "single_push",
        "settings": write_settings(window),
        **write_fields(push),
        "metadata": {"createdBy": "scheduled_push"},
    }


def write_settings(
    window: timedelta, testers: Sequence[str] = (), *, needs_approval: bool = False
) -> Mapping[str, Any]:
    """Return the settings of a push; a test is required if there are test users."""
    return {
        "dryRunFirst": False,
        "cancellationWindowMinutes": window.total_seconds() / 60,
        "testUserIds": list(testers),
        "requireApproval": needs_approval,
        "safeguards": {"requireTestFirst": bool(testers)},
    }
