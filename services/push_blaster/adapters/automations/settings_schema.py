"""How an automation sends, as its document says it."""

from collections.abc import Mapping
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
        form=FormField("Warn above an audience of", "safeguards", "number", "Users"),
    )
    failure_rate = declare(
        optional(fields.Float, validate=_SHARE),
        form=FormField(
            "Stop at a failure rate above", "safeguards", "percent", "Percent of messages"
        ),
    )


class AudienceDriftSchema(KeptSchema):
    """How far an audience may differ from the last ones."""

    size_factor = declare(
        optional(fields.Float, validate=validate.Range(min=1, min_inclusive=False)),
        gives="drift_factor",
        form=FormField(
            "Ask for approval at a size change of",
            "safeguards",
            "number",
            "Factor compared with recent audiences, up or down",
            usual=3,
        ),
    )
    min_overlap = declare(
        optional(fields.Float, data_key="leastOverlap", validate=_SHARE),
        form=FormField(
            "Ask for approval at an overlap below",
            "safeguards",
            "percent",
            "Percent of users who were in the last audience too",
        ),
    )


class SafeguardsSchema(KeptSchema):
    """What stops a send that would do harm."""

    max_audience_size = declare(
        optional(fields.Integer, validate=_AT_LEAST_ONE),
        form=FormField(
            "Maximum audience size",
            "safeguards",
            "number",
            "Users. A larger audience ends the execution",
        ),
    )
    require_test_first = declare(
        optional(fields.Boolean, load_default=True),
        form=FormField("Require a successful test", "before live", "tick"),
    )
    alert_thresholds = optional(fields.Nested, nested=AlertThresholdsSchema)
    drift = optional(fields.Nested, nested=AudienceDriftSchema)
    emergency_contacts = declare(
        optional(fields.List, cls_or_instance=fields.String()),
        read=tuple,
        form=FormField(
            "Emergency contacts", "safeguards", "lines", "One per line; alerts name them", rows=2
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
        form=FormField("Quiet hours from", "user time", "time", "In each user's time zone"),
    )
    end = declare(
        _hour(),
        read=read_time,
        form=FormField(
            "Quiet hours until", "user time", "time", "An earlier time is on the next day"
        ),
    )
    when_quiet = declare(
        one_of(WhenQuiet),
        read=WhenQuiet,
        form=FormField(
            "Messages in quiet hours",
            "user time",
            "choice",
            options=(
                ("", "are deferred (default)"),
                ("hold", "are deferred"),
                ("drop", "are not sent"),
            ),
        ),
    )
    timezone = declare(
        optional(fields.String, validate=is_zone),
        form=FormField("Time zone if unknown", "user time", hint="For users without a time zone"),
    )

    @validates_schema
    def _are_hours(self, data: Mapping[str, Any], **_: object) -> None:
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
            "Cancellation window",
            "before live",
            "number",
            "Minutes between the test and the live send",
        ),
    )
    dry_run_first = declare(
        optional(fields.Boolean, load_default=True),
        form=FormField("Send a test first", "before live", "tick"),
    )
    max_audience_size = declare(
        optional(fields.Integer, validate=_AT_LEAST_ONE),
        form=FormField(
            "Maximum audience size (older field)",
            "safeguards",
            "number",
            "The smaller of the two values applies",
            if_given=True,
        ),
    )
    safeguards = optional(
        fields.Nested, nested=SafeguardsSchema, load_default=lambda: {"requireTestFirst": True}
    )
    require_approval = declare(
        optional(fields.Boolean),
        form=FormField("Require approval by an operator", "before live", "tick"),
    )
    test_user_ids = declare(
        optional(fields.List, cls_or_instance=fields.String(), load_default=list),
        read=tuple,
        form=FormField(
            "Test users",
            "before live",
            "lines",
            "One user id per line. If empty: the TEST rows of the script",
        ),
    )
    emergency_stop_enabled = optional(fields.Boolean, load_default=True)
    quiet_hours = declare(
        optional(fields.Nested, nested=_QuietHours),
        read=lambda quiet: QuietHours(**read_values(_QUIET, quiet)),
    )
    local_time = declare(
        optional(fields.Boolean),
        form=FormField("Send at T in each user's time zone", "user time", "tick"),
    )
    deliver_within_minutes = declare(
        optional(
            fields.Float,
            validate=validate.Range(min=0, min_inclusive=False, max=MAX_DELIVERY_MINUTES),
        ),
        gives="deliver_within",
        read=read_minutes,
        form=FormField(
            "Defer for at most",
            "user time",
            "number",
            "Minutes. A message that would be sent later is not sent",
        ),
    )
    holdout_percent = declare(
        optional(fields.Float, validate=validate.Range(min=0, max=100)),
        form=FormField(
            "Holdout",
            "experiment",
            "number",
            "Percent of users who get nothing, always the same users",
            usual=0,
        ),
    )
    rate_per_minute = declare(
        optional(fields.Integer, strict=True, validate=_AT_LEAST_ONE),
        form=FormField(
            "Messages per minute",
            "delivery",
            "number",
            "For each push. If empty: as fast as the provider allows",
        ),
    )
    devices = declare(
        one_of(ReachedDevices),
        read=ReachedDevices,
        form=FormField(
            "Devices of a user",
            "delivery",
            "choice",
            options=(("", "the newest (default)"), ("newest", "the newest"), ("all", "all")),
        ),
    )
    fail_policy = declare(
        one_of(FailPolicy),
        read=FailPolicy,
        form=FormField(
            "If cadence is unavailable",
            "delivery",
            "choice",
            "Executions without the check are marked as uncapped",
            options=(
                ("", "send without the cap check (default)"),
                ("open", "send without the cap check"),
                ("closed", "do not send"),
            ),
        ),
    )
    in_doubt = declare(
        one_of(InDoubtPolicy),
        read=InDoubtPolicy,
        form=FormField(
            "Messages in doubt",
            "delivery",
            "choice",
            "Outcome unknown. A second copy replaces the first one on the device",
            options=(
                ("", "send again (default)"),
                ("resend", "send again"),
                ("skip", "do not send again"),
            ),
        ),
    )
