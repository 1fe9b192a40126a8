"""The automation's document, complete with defaults, and the typed view of it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from marshmallow import ValidationError

from chassis.problems import flatten_messages
from push_blaster.adapters.automations.automation_schema import AutomationSchema
from push_blaster.adapters.automations.json_values import check_can_be_told
from push_blaster.adapters.automations.schedule_fields import (
    read_absolute_time,
    read_date,
    read_time,
)
from push_blaster.domain.automations.automation import (
    Automation,
    FailPolicy,
    Frequency,
    InDoubtPolicy,
    MissedRunPolicy,
    Push,
    QuietHours,
    ReachedDevices,
    Schedule,
    Settings,
    Upload,
    WhenQuiet,
)
from push_blaster.domain.automations.experiment import Variant

#: Made once: making a schema takes four times as long as loading a document by it.
_SCHEMA: Final = AutomationSchema()


def complete_document(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document with every default filled in and everything unknown kept.

    Raises: marshmallow's ValidationError, with the path of each field that does not fit.
    """
    document: dict[str, Any] = _SCHEMA.load(raw)
    for number, push in enumerate(document["pushSequence"], start=1):
        push["id"] = push["id"] or f"push-{number}"
        push["sequenceOrder"] = push.get("sequenceOrder") or number
    check_can_be_told(document)
    return document


def complete_or_why(raw: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str | None]:
    """Return the complete document; or None, and every field that does not fit."""
    try:
        return complete_document(raw), None
    except ValidationError as error:
        return None, "; ".join(flatten_messages(error.messages))


def read_automation(document: Mapping[str, Any]) -> Automation:
    """Return the typed view of a complete document."""
    criteria = document.get("audienceCriteria") or {}
    script = criteria.get("customScript") or {}
    return Automation(
        id=document["id"],
        name=document["name"],
        version=document["version"],
        status=document["status"],
        is_active=document["isActive"],
        updated_at=_read_instant(document.get("updatedAt")),
        schedule=_read_schedule(document["schedule"]),
        pushes=tuple(
            _read_push(push, document["schedule"]["timezone"])
            for push in sorted(document["pushSequence"], key=lambda p: p["sequenceOrder"])
        ),
        activated_at=(
            _read_instant(document["activatedAt"]) if document.get("activatedAt") else None
        ),
        script_id=script.get("scriptId"),
        script_parameters=script.get("parameters") or {},
        manual_user_ids=tuple(criteria.get("manualUserIds") or ()),
        upload=_read_upload(criteria.get("uploadedFile")),
        settings=_read_settings(document["settings"]),
    )


def pick_push(pushes: Sequence[Mapping[str, Any]], position: int) -> Mapping[str, Any]:
    """Return the push at `position`, from 1 on, of a complete document's `pushSequence`."""
    return sorted(pushes, key=lambda push: push["sequenceOrder"])[position - 1]


def read_draft(draft: Mapping[str, Any], now: datetime) -> Automation:
    """Return the automation that a document describes which may lack an id; ValidationError."""
    stamp = now.isoformat()
    missing = {"id": "draft", "version": 1, "createdAt": stamp, "updatedAt": stamp}
    return read_automation(complete_document({**missing, **draft}))


def _read_upload(upload: Mapping[str, Any] | None) -> Upload | None:
    return Upload(upload["name"], upload["sha256"]) if upload else None


def _read_schedule(schedule: Mapping[str, Any]) -> Schedule:
    start = schedule.get("startDate") or schedule.get("scheduledDate")
    at = schedule.get("executionTime") or schedule.get("scheduledTime")
    end = schedule.get("endDate")
    return Schedule(
        timezone=schedule["timezone"],
        frequency=Frequency(schedule["frequency"]),
        execution_time=read_time(at) if at else None,
        start_date=read_date(start) if start else None,
        end_date=read_date(end) if end else None,
        days_of_week=tuple(schedule.get("daysOfWeek") or ()),
        day_of_month=schedule.get("dayOfMonth"),
        cron_expression=schedule.get("cronExpression"),
        lead_time=_minutes(schedule.get("leadTimeMinutes"), 30),
        missed_run_policy=MissedRunPolicy(schedule.get("missedRunPolicy") or "run_late"),
        grace=_minutes(schedule.get("graceMinutes"), 30),
    )


def _read_push(push: Mapping[str, Any], zone: str) -> Push:
    timing = push["timing"]
    absolute = timing.get("absoluteTime")
    return Push(
        id=push["id"],
        title=push["title"],
        body=push["body"],
        deep_link=push.get("deepLink") or "",
        layer_id=push["layerId"],
        audience_name=push.get("audienceName") or "default",
        delay=_minutes(timing.get("delayAfterPrevious"), 0),
        absolute_time=read_absolute_time(absolute, zone) if absolute else None,
        variants=tuple(_read_variant(variant) for variant in push.get("variants") or ()),
    )


def _read_variant(variant: Mapping[str, Any]) -> Variant:
    return Variant(
        id=variant["id"],
        weight=variant["weight"],
        title=variant.get("title"),
        body=variant.get("body"),
        deep_link=variant.get("deepLink"),
    )


def _read_settings(settings: Mapping[str, Any]) -> Settings:
    safeguards = settings.get("safeguards") or {}
    thresholds = safeguards.get("alertThresholds") or {}
    drift = safeguards.get("drift") or {}
    within = settings.get("deliverWithinMinutes")
    sizes = [settings.get("maxAudienceSize"), safeguards.get("maxAudienceSize")]
    return Settings(
        test_user_ids=tuple(settings.get("testUserIds") or ()),
        dry_run_first=settings.get("dryRunFirst") is not False,
        require_test_first=safeguards.get("requireTestFirst") is not False,
        cancellation_window=_minutes(settings.get("cancellationWindowMinutes"), 30),
        max_audience_size=min((size for size in sizes if size is not None), default=None),
        alert_audience_size=thresholds.get("audienceSize") or None,
        failure_rate=thresholds.get("failureRate"),
        drift_factor=drift.get("sizeFactor") or 3.0,
        least_overlap=drift.get("leastOverlap"),
        require_approval=bool(settings.get("requireApproval")),
        emergency_contacts=tuple(safeguards.get("emergencyContacts") or ()),
        in_doubt=InDoubtPolicy(settings.get("inDoubt") or "resend"),
        fail_policy=FailPolicy(settings.get("failPolicy") or "open"),
        devices=ReachedDevices(settings.get("devices") or "newest"),
        holdout_percent=settings.get("holdoutPercent") or 0.0,
        quiet_hours=_read_quiet_hours(settings.get("quietHours")),
        local_time=bool(settings.get("localTime")),
        deliver_within=_minutes(within, 0) if within else None,
        rate_per_minute=settings.get("ratePerMinute"),
    )


def _read_quiet_hours(quiet: Mapping[str, Any] | None) -> QuietHours | None:
    if quiet is None:
        return None
    return QuietHours(
        start=read_time(quiet["start"]),
        end=read_time(quiet["end"]),
        when_quiet=WhenQuiet(quiet.get("whenQuiet") or "hold"),
        timezone=quiet.get("timezone"),
    )


def _minutes(value: float | None, default: float) -> timedelta:
    return timedelta(minutes=default if value is None else value)


def _read_instant(value: object) -> datetime:
    """Return when the document was last edited; long ago if it does not say so readably."""
    try:
        instant = datetime.fromisoformat(str(value))
    except ValueError:
        return datetime.fromtimestamp(0, UTC)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
