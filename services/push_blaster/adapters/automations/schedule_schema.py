"""When an automation sends, in its document."""

from collections.abc import Mapping
from typing import Any, Final

from marshmallow import ValidationError, fields, validate, validates_schema

from push_blaster.adapters.automations.field_checks import (
    DAY_MINUTES,
    is_cron,
    is_date,
    is_time,
    is_zone,
)
from push_blaster.adapters.automations.field_declaration import (
    FormField,
    KeptSchema,
    declare,
    minutes,
    one_of,
    optional,
    read_values,
)
from push_blaster.adapters.automations.schedule_fields import read_date, read_time
from push_blaster.domain.automations.automation import Frequency, MissedRunPolicy, Schedule

_FREQUENCIES: Final = {
    "once": "Once",
    "daily": "Every day",
    "weekly": "Every week",
    "monthly": "Every month",
    "custom": "Cron expression",
}
_MISSED: Final = {"run_late": "run late", "skip": "are skipped"}
#: Other names in real files for the day and the time of a single send, and their checks.
_OTHER_NAMES: Final = {
    "startDate": ("scheduledDate", is_date),
    "executionTime": ("scheduledTime", is_time),
}
_DAY: Final = fields.Integer(
    strict=True, validate=validate.Range(min=0, max=6, error="0 is Sunday, 6 Saturday.")
)


class ScheduleSchema(KeptSchema):
    """When it sends."""

    frequency = declare(
        fields.String(required=True, validate=validate.OneOf([f.value for f in Frequency])),
        FormField("Frequency", "schedule", choices=_FREQUENCIES),
        read=Frequency,
    )
    execution_time = declare(
        optional(fields.String, validate=is_time),
        FormField(
            "Live send time",
            "schedule",
            "When users get the first push, in the time zone of this automation",
            widget="time",
            but="custom",
        ),
        read=read_time,
    )
    timezone = declare(
        fields.String(load_default="America/Chicago", validate=is_zone),
        FormField("Time zone", "schedule", "For example Europe/Berlin", widget="zone"),
    )
    start_date = declare(
        optional(fields.String, validate=is_date),
        FormField("Start date", "schedule", widget="date"),
        read=read_date,
    )
    end_date = declare(
        optional(fields.String, validate=is_date),
        FormField("End date", "schedule", widget="date"),
        read=read_date,
    )
    day_of_month = declare(
        optional(fields.Integer, strict=True, validate=validate.Range(min=1, max=31)),
        FormField(
            "Day of the month", "schedule", "In shorter months: the last day", only="monthly"
        ),
    )
    cron_expression = declare(
        optional(fields.String, validate=is_cron),
        FormField(
            "Cron expression",
            "schedule",
            "Minute, hour, day, month, weekday, second",
            only="custom",
        ),
    )
    days_of_week = declare(
        optional(fields.List, cls_or_instance=_DAY, validate=validate.Length(max=50)),
        FormField("Days of the week", "schedule", widget="days", only="weekly"),
        read=tuple,
    )
    lead_time_minutes = minutes(
        "lead_time",
        FormField("Lead time", "lead", "Minutes before the live send at which an execution starts"),
        validate.Range(min=0, max=DAY_MINUTES),
        load_default=30,
    )
    missed_run_policy = one_of(MissedRunPolicy, FormField("Missed sends", "lead", choices=_MISSED))
    grace_minutes = minutes(
        "grace",
        FormField("Grace period", "lead", "Minutes that a missed send may be late", usual=30),
        validate.Range(min=0, max=7 * DAY_MINUTES),
    )

    @validates_schema
    def _has_readable_other_names(self, data: Mapping[str, Any], **_: object) -> None:
        """Refuse an unreadable day or time under the other name that real files have for it."""
        for name, (other_name, check) in _OTHER_NAMES.items():
            value = data.get(other_name)
            if not value or data.get(name):
                continue
            try:
                check(value)
            except (ValidationError, TypeError) as error:
                complaint = f"{value!r} cannot be read; give {name} instead."
                raise ValidationError(complaint, other_name) from error

    @validates_schema
    def _is_complete(self, data: Mapping[str, Any], **_: object) -> None:
        if data["frequency"] == Frequency.CUSTOM:
            if not data.get("cronExpression"):
                raise ValidationError(
                    "A custom schedule needs a cron expression.", "cronExpression"
                )
            return
        if not (data.get("executionTime") or data.get("scheduledTime")):
            raise ValidationError("Give the live send time as HH:MM.", "executionTime")


_SCHEDULE: Final = ScheduleSchema()


def read_schedule(schedule: Mapping[str, Any]) -> Schedule:
    """Return the typed schedule of a complete document."""
    found = {
        name: schedule.get(name) or schedule.get(other_name) or None
        for name, (other_name, _) in _OTHER_NAMES.items()
    }
    return Schedule(**read_values(_SCHEDULE, {**schedule, **found}))
