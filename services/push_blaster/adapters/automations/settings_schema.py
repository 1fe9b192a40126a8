"""The settings of an automation, in its document."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from marshmallow import ValidationError, fields, validate, validates_schema

from push_blaster.adapters.automations.field_checks import is_time, is_zone, worded
from push_blaster.adapters.automations.field_declaration import (
    FormField,
    KeptSchema,
    declare,
    minutes,
    one_of,
    optional,
    read_values,
    texts,
    tick,
)
from push_blaster.adapters.automations.schedule_fields import read_time
from push_blaster.domain.automations.automation import (
    FailPolicy,
    Goal,
    InDoubtPolicy,
    QuietHours,
    ReachedDevices,
    WhenQuiet,
)
from push_blaster.domain.automations.experiment import USER_EVENTS

#: A day, and two hours for the change to winter time and for a slow send.
MAX_DELIVERY_MINUTES: Final = 26 * 60
#: Conversions are taken for so long: 30 days.
MAX_GOAL_HOURS: Final = 30 * 24
_AT_LEAST_ONE: Final = validate.Range(min=1)
_SHARE: Final = validate.Range(min=0, max=1)


class AlertThresholdsSchema(KeptSchema):
    """Limits at which people are warned, or the send stops."""

    audience_size = declare(
        optional(fields.Integer, validate=validate.Range(min=0)),
        FormField("Warn above an audience of", "safeguards", "Users"),
        gives="alert_audience_size",
        read=lambda size: size or None,
    )
    failure_rate = declare(
        optional(fields.Float, validate=_SHARE),
        FormField(
            "Stop at a failure rate above", "safeguards", "Percent of messages", widget="percent"
        ),
    )


class AudienceDriftSchema(KeptSchema):
    """How much an audience may differ from recent ones."""

    size_factor = declare(
        optional(fields.Float, validate=validate.Range(min=1, min_inclusive=False)),
        FormField(
            "Ask for approval at a size change of",
            "safeguards",
            "Factor compared with recent audiences, up or down",
            usual=3,
        ),
        gives="drift_factor",
    )
    min_overlap = declare(
        optional(fields.Float, data_key="leastOverlap", validate=_SHARE),
        FormField(
            "Ask for approval at an overlap below",
            "safeguards",
            "Percent of users who were in the last audience too",
            widget="percent",
        ),
    )


class SafeguardsSchema(KeptSchema):
    """What stops a send that would do harm."""

    max_audience_size = declare(
        optional(fields.Integer, validate=_AT_LEAST_ONE),
        FormField(
            "Maximum audience size", "safeguards", "Users. A larger audience ends the execution"
        ),
    )
    require_test_first = tick(
        FormField("Require a successful test", "before live"), load_default=True
    )
    alert_thresholds = optional(fields.Nested, nested=AlertThresholdsSchema)
    drift = optional(fields.Nested, nested=AudienceDriftSchema)
    emergency_contacts = texts(
        FormField("Emergency contacts", "safeguards", "One per line; alerts name them", rows=2)
    )


def _hour() -> fields.Field[Any]:
    complaint = "Give the start and the end, both as HH:MM."
    return fields.String(required=True, validate=is_time, error_messages={"required": complaint})


class _QuietHours(KeptSchema):
    """When a user gets no messages, in the user's time zone."""

    start = declare(
        _hour(),
        FormField("Quiet hours from", "user time", "In each user's time zone", widget="time"),
        read=read_time,
    )
    end = declare(
        _hour(),
        FormField(
            "Quiet hours until", "user time", "An earlier time is on the next day", widget="time"
        ),
        read=read_time,
    )
    when_quiet = one_of(
        WhenQuiet,
        FormField(
            "Messages in quiet hours",
            "user time",
            choices={"hold": "are deferred", "drop": "are not sent"},
        ),
    )
    timezone = declare(
        optional(fields.String, validate=is_zone),
        FormField(
            "Time zone if unknown", "user time", "For users without a time zone", widget="zone"
        ),
    )

    @validates_schema
    def _are_hours(self, data: Mapping[str, Any], **_: object) -> None:
        if read_time(data["start"]) == read_time(data["end"]):
            raise ValidationError("Quiet hours must not end when they begin.", "end")


_QUIET: Final = _QuietHours()


def _is_reported(name: str) -> None:
    """Refuse a name that no report can have, so that nobody would ever count."""
    if name != name.strip() or not name.isprintable():
        raise ValidationError("Use printable characters, and no space at the ends.")
    if name not in USER_EVENTS and name.casefold() in USER_EVENTS:
        raise ValidationError(f"Write the event as {name.casefold()}.")


def _is_no_event(name: str) -> None:
    if name in USER_EVENTS:
        raise ValidationError(f"{name} is an event of messages; give the goal another name.")


class GoalSchema(KeptSchema):
    """What users are to do: the name of its conversions, and the time that they have for it."""

    name = declare(
        fields.String(
            required=True,
            validate=[worded(100), _is_reported, _is_no_event],
            error_messages={"required": "Give the goal the name that its conversions have."},
        ),
        FormField("Goal", "goal", "The name of its conversions. If empty: no goal"),
    )
    within_hours = declare(
        optional(fields.Integer, strict=True, validate=validate.Range(min=1, max=MAX_GOAL_HOURS)),
        FormField("Hours to reach it", "goal", "After the first push of the sequence", usual=24),
        gives="within",
        read=lambda hours: timedelta(hours=hours),
    )


_GOAL: Final = GoalSchema()


class AutomationSettingsSchema(KeptSchema):
    """How it sends."""

    cancellation_window_minutes = minutes(
        "cancellation_window",
        FormField(
            "Cancellation window", "before live", "Minutes between the test and the live send"
        ),
        validate.Range(min=0, max=240),
        load_default=30,
    )
    dry_run_first = tick(FormField("Send a test first", "before live"), load_default=True)
    max_audience_size = declare(
        optional(fields.Integer, validate=_AT_LEAST_ONE),
        FormField(
            "Maximum audience size (older field)",
            "safeguards",
            "The smaller of the two values applies",
            if_given=True,
        ),
    )
    safeguards = optional(
        fields.Nested, nested=SafeguardsSchema, load_default=lambda: {"requireTestFirst": True}
    )
    require_approval = tick(FormField("Require approval by an operator", "before live"))
    test_user_ids = texts(
        FormField(
            "Test users",
            "before live",
            "One user id per line. If empty: the test users of the script",
        ),
        load_default=list,
    )
    test_device_ids = texts(
        FormField(
            "Test devices",
            "before live",
            "They get the test, too. The page Devices registers them",
            widget="devices",
        )
    )
    emergency_stop_enabled = optional(fields.Boolean, load_default=True)
    quiet_hours = declare(
        optional(fields.Nested, nested=_QuietHours),
        read=lambda quiet: QuietHours(**read_values(_QUIET, quiet)),
    )
    local_time = tick(FormField("Send at this time of day in each user's time zone", "user time"))
    deliver_within_minutes = minutes(
        "deliver_within",
        FormField(
            "Defer for at most",
            "user time",
            "Minutes. A message that would be sent later is not sent",
        ),
        validate.Range(min=0, min_inclusive=False, max=MAX_DELIVERY_MINUTES),
    )
    holdout_percent = declare(
        optional(fields.Float, validate=validate.Range(min=0, max=100)),
        FormField(
            "Holdout",
            "experiment",
            "Percent of users who get nothing, always the same users",
            usual=0,
        ),
    )
    goal = declare(
        optional(fields.Nested, nested=GoalSchema),
        read=lambda goal: Goal(**read_values(_GOAL, goal)),
    )
    exit_on = declare(
        optional(
            fields.List,
            cls_or_instance=fields.String(validate=[worded(100), _is_reported]),
            validate=validate.Length(max=20),
        ),
        FormField(
            "Leave out of later pushes who did",
            "goal",
            f"One per line: the name of a goal, or {', '.join(USER_EVENTS)}",
            rows=2,
        ),
        read=tuple,
    )
    rate_per_minute = declare(
        optional(fields.Integer, strict=True, validate=_AT_LEAST_ONE),
        FormField(
            "Messages per minute",
            "delivery",
            "For each push. If empty: as fast as the provider allows",
        ),
    )
    devices = one_of(
        ReachedDevices,
        FormField("Devices of a user", "delivery", choices={"newest": "the newest", "all": "all"}),
    )
    fail_policy = one_of(
        FailPolicy,
        FormField(
            "If cadence is unavailable",
            "delivery",
            "Executions without the check are marked as uncapped",
            choices={"open": "send without the cap check", "closed": "do not send"},
        ),
    )
    in_doubt = one_of(
        InDoubtPolicy,
        FormField(
            "Messages in doubt",
            "delivery",
            "Outcome unknown. A second copy replaces the first one on the device",
            choices={"resend": "send again", "skip": "do not send again"},
        ),
    )
