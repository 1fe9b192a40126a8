"""How an automation sends, as its document says it."""

from typing import Any, Final

from marshmallow import ValidationError, fields, validate, validates_schema

from push_blaster.adapters.automations.field_checks import is_time, is_zone
from push_blaster.adapters.automations.field_declaration import (
    FormField,
    KeptSchema,
    declare,
    one_of,
    optional,
    read_values,
)
from push_blaster.adapters.automations.schedule_fields import read_time
from push_blaster.adapters.automations.schedule_schema import read_minutes
from push_blaster.domain.automations.automation import (
    FailPolicy,
    InDoubtPolicy,
    QuietHours,
    ReachedDevices,
    WhenQuiet,
)

#: A day, and the two hours by which the longest of days and the slowest of sends exceed it.
MAX_DELIVERY_MINUTES: Final = 26 * 60
_AT_LEAST_ONE: Final = validate.Range(min=1)
_SHARE: Final = validate.Range(min=0, max=1)


class AlertThresholdsSchema(KeptSchema):
    """From where on people are warned, or the send stops."""

    audience_size = declare(
        optional(fields.Integer, validate=validate.Range(min=0)),
        gives="alert_audience_size",
        read=lambda size: size or None,
        form=FormField("Warn above", "safeguards", "number", "Users"),
    )
    failure_rate = declare(
        optional(fields.Float, validate=_SHARE),
        form=FormField("Stop at failures of", "safeguards", "percent", "Percent of messages"),
    )


class AudienceDriftSchema(KeptSchema):
    """How far an audience may differ from the last ones."""

    size_factor = declare(
        optional(fields.Float, validate=validate.Range(min=1, min_inclusive=False)),
        gives="drift_factor",
        form=FormField(
            "Hold at a size change of",
            "safeguards",
            "number",
            "Times its last sizes, up or down",
            usual=3,
        ),
    )
    least_overlap = declare(
        optional(fields.Float, validate=_SHARE),
        form=FormField(
            "Hold at an overlap below", "safeguards", "percent", "Percent of users as last time"
        ),
    )


class SafeguardsSchema(KeptSchema):
    """What stops a send that would do harm."""

    max_audience_size = declare(
        optional(fields.Integer, validate=_AT_LEAST_ONE),
        form=FormField(
            "Largest audience", "safeguards", "number", "Users; a larger one is stopped"
        ),
    )
    require_test_first = declare(
        optional(fields.Boolean, load_default=True),
        form=FormField("Go no further without a test", "before live", "tick"),
    )
    alert_thresholds = optional(fields.Nested, nested=AlertThresholdsSchema)
    drift = optional(fields.Nested, nested=AudienceDriftSchema)
    emergency_contacts = declare(
        optional(fields.List, cls_or_instance=fields.String()),
        read=tuple,
        form=FormField(
            "Emergency contacts", "safeguards", "lines", "One a line; named in alerts", rows=2
        ),
    )


def _hour() -> fields.Field[Any]:
    complaint = "Give the start and the end, both as HH:MM."
    return fields.String(required=True, validate=is_time, error_messages={"required": complaint})


class _QuietHours(KeptSchema):
    """When no message comes, by each user's clock."""

    start = declare(
        _hour(),
        read=read_time,
        form=FormField("Quiet from", "user time", "time", "By the clock of each user"),
    )
    end = declare(
        _hour(),
        read=read_time,
        form=FormField("Quiet until", "user time", "time", "Earlier is the next morning"),
    )
    when_quiet = declare(
        one_of(WhenQuiet),
        read=WhenQuiet,
        form=FormField(
            "A message then",
            "user time",
            "choice",
            options=(("", "waits (usual)"), ("hold", "waits"), ("drop", "is not sent")),
        ),
    )
    timezone = declare(
        optional(fields.String, validate=is_zone),
        form=FormField("Zone if unknown", "user time", hint="Of users who have none"),
    )

    @validates_schema
    def _are_hours(self, data: dict[str, Any], **_: object) -> None:
        if read_time(data["start"]) == read_time(data["end"]):
            raise ValidationError("Quiet hours that end when they begin are none.", "end")


_QUIET: Final = _QuietHours()


class AutomationSettingsSchema(KeptSchema):
    """How it sends."""

    cancellation_window_minutes = declare(
        optional(fields.Float, load_default=30, validate=validate.Range(min=0, max=240)),
        gives="cancellation_window",
        read=read_minutes,
        form=FormField(
            "Window to cancel", "before live", "number", "Minutes in which anybody can cancel"
        ),
    )
    dry_run_first = declare(
        optional(fields.Boolean, load_default=True),
        form=FormField("Send a test first", "before live", "tick"),
    )
    max_audience_size = declare(
        optional(fields.Integer, validate=_AT_LEAST_ONE),
        form=FormField(
            "Largest audience, old name",
            "safeguards",
            "number",
            "The smaller of both counts",
            if_given=True,
        ),
    )
    safeguards = optional(
        fields.Nested, nested=SafeguardsSchema, load_default=lambda: {"requireTestFirst": True}
    )
    require_approval = declare(
        optional(fields.Boolean),
        form=FormField("Go live only when an operator approved it", "before live", "tick"),
    )
    test_user_ids = declare(
        optional(fields.List, cls_or_instance=fields.String(), load_default=list),
        read=tuple,
        form=FormField(
            "Test users",
            "before live",
            "lines",
            "One id a line; without any, the TEST rows of the script",
        ),
    )
    emergency_stop_enabled = optional(fields.Boolean, load_default=True)
    quiet_hours = declare(
        optional(fields.Nested, nested=_QuietHours),
        read=lambda quiet: QuietHours(**read_values(_QUIET, quiet)),
    )
    local_time = declare(
        optional(fields.Boolean),
        form=FormField("Send at T by each user's own clock", "user time", "tick"),
    )
    deliver_within_minutes = declare(
        optional(
            fields.Float,
            validate=validate.Range(min=0, min_inclusive=False, max=MAX_DELIVERY_MINUTES),
        ),
        gives="deliver_within",
        read=read_minutes,
        form=FormField(
            "Hold for at most",
            "user time",
            "number",
            "Minutes; whose turn comes later gets nothing",
        ),
    )
    holdout_percent = declare(
        optional(fields.Float, validate=validate.Range(min=0, max=100)),
        form=FormField(
            "Held out",
            "experiment",
            "number",
            "Percent of users, always the same, who get nothing",
            usual=0,
        ),
    )
    rate_per_minute = declare(
        optional(fields.Integer, strict=True, validate=_AT_LEAST_ONE),
        form=FormField("Messages a minute", "delivery", "number", "For each push"),
    )
    devices = declare(
        one_of(ReachedDevices),
        read=ReachedDevices,
        form=FormField(
            "Devices of a user",
            "delivery",
            "choice",
            options=(("", "newest (usual)"), ("newest", "newest"), ("all", "all of them")),
        ),
    )
    fail_policy = declare(
        one_of(FailPolicy),
        read=FailPolicy,
        form=FormField(
            "If cadence is away",
            "delivery",
            "choice",
            "Sent so, it is marked as uncapped",
            options=(("", "send (usual)"), ("open", "send"), ("closed", "send to nobody")),
        ),
    )
    in_doubt = declare(
        one_of(InDoubtPolicy),
        read=InDoubtPolicy,
        form=FormField(
            "A message in doubt",
            "delivery",
            "choice",
            "Sent again, it replaces itself",
            options=(("", "send again (usual)"), ("resend", "send again"), ("skip", "leave alone")),
        ),
    )
