"""The schema of an automation: one for its JSON file and for the API.

The names are the original's, in camelCase. Unknown fields are kept at every level, and what real
files have beyond the types (empty push ids, `scheduledDate`, dates as instants) is accepted.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from marshmallow import ValidationError, fields, pre_load, validate, validates_schema

from push_blaster.adapters.automations.field_checks import is_id, worded
from push_blaster.adapters.automations.field_declaration import (
    FormField,
    KeptSchema,
    declare,
    optional,
    read_values,
    texts,
)
from push_blaster.adapters.automations.push_schema import SEQUENCE_LENGTH, AutomationPushSchema
from push_blaster.adapters.automations.schedule_schema import ScheduleSchema, read_schedule
from push_blaster.adapters.automations.settings_schema import AutomationSettingsSchema
from push_blaster.domain.automations.automation import AutomationSettings, Frequency, Upload
from push_blaster.domain.automations.experiment import Metric

#: Characters that PostgreSQL or UTF-8 cannot store.
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
#: The possible sources of an audience.
SOURCES: Final = ("customScript", "manualUserIds", "uploadedFile")
TYPES: Final = ("single_push", "sequence", "recurring", "triggered", "script_based")
STATUSES: Final = (
    "draft",
    "active",
    "inactive",
    "scheduled",
    "running",
    "paused",
    "completed",
    "failed",
    "cancelled",
)


class CustomScriptSchema(KeptSchema):
    """The script that writes the audience."""

    script_id = declare(
        fields.String(required=True, validate=validate.Length(min=1)),
        FormField("Audience script", "own place", widget="choice"),
    )
    parameters = declare(optional(fields.Dict, keys=fields.String()), gives="script_parameters")


class UploadedFileSchema(KeptSchema):
    """The CSV that is the audience."""

    name = declare(fields.String(required=True, validate=validate.Length(max=255)))
    sha256 = declare(fields.String(required=True, validate=validate.Regexp(r"[0-9a-f]{64}\Z")))


class _Criteria(KeptSchema):
    """The audience of the automation."""

    custom_script = optional(fields.Nested, nested=CustomScriptSchema)
    manual_user_ids = texts(FormField("User ids", "users", "One id per line"))
    uploaded_file = declare(
        optional(fields.Nested, nested=UploadedFileSchema),
        gives="upload",
        read=lambda upload: Upload(**read_values(_UPLOAD, upload)),
    )

    @validates_schema
    def _has_one_source(self, data: Mapping[str, Any], **_: object) -> None:
        given = [name for name in SOURCES if data.get(name)]
        if len(given) > 1:
            raise ValidationError(
                f"An audience has one source: leave out {', or '.join(given)}.", given[-1]
            )


class AutomationSchema(KeptSchema):
    """An automation, as its file and the API show it."""

    id = declare(fields.String(required=True, validate=is_id))
    name = declare(fields.String(required=True, validate=worded(255)), FormField("Name", "name"))
    description = declare(
        optional(fields.String, load_default=""), FormField("Description", "name"), gives=""
    )
    type = fields.String(required=True, validate=validate.OneOf(TYPES))
    status = declare(fields.String(load_default="draft", validate=validate.OneOf(STATUSES)))
    is_active = declare(fields.Boolean(load_default=False))
    is_archived = declare(optional(fields.Boolean))
    version = declare(fields.Integer(strict=True, load_default=1, validate=validate.Range(min=1)))
    schedule = declare(fields.Nested(ScheduleSchema, required=True), read=read_schedule)
    template = optional(fields.Dict)
    push_sequence = fields.List(
        fields.Nested(AutomationPushSchema), required=True, validate=SEQUENCE_LENGTH
    )
    audience_criteria = optional(fields.Nested, nested=_Criteria, load_default=dict)
    settings = declare(
        fields.Nested(AutomationSettingsSchema, load_default=lambda: _SETTINGS.load({})),
        read=lambda settings: AutomationSettings(**read_values(_SETTINGS, settings)),
    )
    metadata = optional(fields.Dict, load_default=dict)
    created_at = optional(fields.String)
    updated_at = optional(fields.String)

    @pre_load
    def _is_object(self, data: object, **_: object) -> object:
        if not isinstance(data, Mapping):
            raise ValidationError("An automation is a JSON object.")
        if any(_UNSTORABLE.search(text) for text in _texts(data)):
            raise ValidationError("Texts may not contain NUL or half of a surrogate pair.")
        return data

    @validates_schema
    def _can_be_measured(self, data: Mapping[str, Any], **_: object) -> None:
        """Refuse an experiment or a goal for which nobody would report anything."""
        settings = data.get("settings") or {}
        metrics = [(push.get("experiment") or {}).get("metric") for push in data["pushSequence"]]
        if Metric.CONVERTED in metrics and not settings.get("goal"):
            complaint = "Nobody reports conversions without a goal: give settings.goal, or opened."
            at = metrics.index(Metric.CONVERTED)
            raise ValidationError({"pushSequence": {at: {"experiment": {"metric": [complaint]}}}})
        measures = settings.get("goal") or any(
            push.get("experiment") for push in data["pushSequence"]
        )
        if measures and settings.get("holdoutPercent") == 100:
            complaint = "A holdout of 100 % leaves nobody to compare with: give less than 100."
            raise ValidationError({"settings": {"holdoutPercent": [complaint]}})

    @validates_schema
    def _knows_its_day(self, data: Mapping[str, Any], **_: object) -> None:
        """Refuse to schedule a single send without a day; a draft may lack it."""
        schedule = data["schedule"]
        has_day = schedule.get("startDate") or schedule.get("scheduledDate")
        is_scheduled = data["isActive"] and data["status"] in {"active", "scheduled"}
        if is_scheduled and schedule["frequency"] == Frequency.ONCE and not has_day:
            complaint = "Give the day of the send as YYYY-MM-DD."
            raise ValidationError({"schedule": {"startDate": [complaint]}})


_UPLOAD: Final[KeptSchema] = UploadedFileSchema()
_SETTINGS: Final[KeptSchema] = AutomationSettingsSchema()


def _texts(value: object) -> Iterator[str]:
    """Yield every text within `value`, at any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _texts([*value.keys(), *value.values()])
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
