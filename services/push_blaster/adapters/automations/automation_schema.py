"""The schema of an automation: one for its JSON file and for the API.

Names are the original's, in camelCase. Fields that we do not know are kept, at every level, and
what real files hold beyond the types (empty push ids, `scheduledDate`, dates as instants) loads.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from marshmallow import (
    INCLUDE,
    Schema,
    ValidationError,
    fields,
    pre_load,
    validate,
    validates_schema,
)

from push_blaster.adapters.automations.cron_fields import BadCronError, check_cron
from push_blaster.adapters.automations.document_files import ID_PATTERN
from push_blaster.adapters.automations.schedule_fields import (
    read_absolute_time,
    read_date,
    read_time,
)
from push_blaster.domain.automations.automation import (
    FailPolicy,
    Frequency,
    InDoubtPolicy,
    MissedRunPolicy,
    ReachedDevices,
    WhenQuiet,
)
from push_blaster.domain.zones import find_zone

MAX_PUSHES: Final = 20
MAX_VARIANTS: Final = 20
#: Characters that neither PostgreSQL nor UTF-8 can keep.
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
DAY_MINUTES: Final = 24 * 60
#: A day, and the two hours by which the longest of days and the slowest of sends exceed it.
LONGEST_HOLD_MINUTES: Final = 26 * 60
#: What an audience may come from.
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


def is_id(value: str) -> None:
    """Refuse what no file can be named by."""
    if not ID_PATTERN.fullmatch(value):
        raise ValidationError(
            "Use letters, digits, '.', '_' and '-', at most 100, a letter or digit first."
        )


def _is_time(value: str) -> None:
    try:
        read_time(value)
    except ValueError as error:
        raise ValidationError(f"{value!r} is no time of day; write it as HH:MM.") from error


def _is_date(value: str) -> None:
    try:
        read_date(value)
    except ValueError as error:
        raise ValidationError(
            f"{value!r} is no date from 1970 to 2200; write it as YYYY-MM-DD."
        ) from error


def _is_zone(value: str) -> None:
    if find_zone(value) is None:
        raise ValidationError(f"{value!r} is no time zone; use a name such as Europe/Berlin.")


def _is_cron(value: str) -> None:
    if not value:
        return  # as good as none; whether one is needed, the whole schedule says
    try:
        check_cron(value)
    except BadCronError as error:
        raise ValidationError(str(error)) from error


def _is_absolute_time(value: str) -> None:
    if not value:
        return  # as good as none
    try:
        read_absolute_time(value, "UTC")
    except ValueError as error:
        raise ValidationError(
            f"{value!r} is neither a time of day (HH:MM) nor an instant (ISO 8601) "
            "from 1970 to 2200."
        ) from error


def worded(most: int) -> validate.Validator:
    """Return the check of a text that may not be empty."""
    return validate.Length(min=1, max=most, error="Give 1 to {max} characters.")


def optional(field: type[fields.Field[Any]], **options: Any) -> fields.Field[Any]:
    """Return a field that may be null."""
    return field(allow_none=True, **options)


class KeptSchema(Schema):
    """A part of the document: what we do not know stays as it is."""

    class Meta:
        unknown = INCLUDE


TimingSchema = KeptSchema.from_dict(
    {
        "delayAfterPrevious": optional(
            fields.Float, load_default=0, validate=validate.Range(min=0, max=7 * DAY_MINUTES)
        ),
        "absoluteTime": optional(fields.String, validate=_is_absolute_time),
    },
    name="PushTiming",
)

#: What a push and a template of one have in common: their texts' lengths, and their places.
TITLE_LENGTH: Final = worded(1_000)
BODY_LENGTH: Final = validate.Length(max=4_000)
SEQUENCE_LENGTH: Final = validate.Length(
    min=1, max=MAX_PUSHES, error="A sequence has {min} to {max} pushes."
)
PLACE_FIELDS: Final[Mapping[str, fields.Field[Any]]] = {
    "sequenceOrder": optional(fields.Integer),
    "layerId": fields.Integer(
        strict=True,
        load_default=1,
        validate=validate.Range(min=1, max=5, error="Layers are 1 to 5; {input} is none."),
    ),
    "timing": fields.Nested(TimingSchema, load_default=lambda: {"delayAfterPrevious": 0}),
    "audienceName": optional(fields.String),
}

_Variant = KeptSchema.from_dict(
    {
        "id": fields.String(required=True, validate=validate.Length(min=1, max=100)),
        "weight": optional(
            fields.Float,
            load_default=1,
            validate=validate.Range(min=0, min_inclusive=False, max=1_000_000),
        ),
        "title": optional(fields.String, validate=TITLE_LENGTH),
        "body": optional(fields.String, validate=BODY_LENGTH),
        "deepLink": optional(fields.String),
    },
    name="PushVariant",
)


def _are_told_apart(variants: list[dict[str, Any]]) -> None:
    ids = [variant["id"] for variant in variants]
    if len(set(ids)) < len(ids):
        raise ValidationError("Each variant of a push has an id of its own.")


_Push = KeptSchema.from_dict(
    {
        "id": optional(fields.String, load_default=""),
        "title": fields.String(required=True, validate=TITLE_LENGTH),
        "body": fields.String(required=True, validate=BODY_LENGTH),
        "deepLink": optional(fields.String, load_default=""),
        **PLACE_FIELDS,
        "variants": optional(
            fields.List,
            cls_or_instance=fields.Nested(_Variant),
            validate=[validate.Length(max=MAX_VARIANTS), _are_told_apart],
        ),
        "status": optional(fields.String, load_default="pending"),
    },
    name="AutomationPush",
)


class ScheduleSchema(
    KeptSchema.from_dict(  # type: ignore[misc]  # a base made at run time
        {
            "timezone": fields.String(load_default="America/Chicago", validate=_is_zone),
            "frequency": fields.String(
                required=True, validate=validate.OneOf([f.value for f in Frequency])
            ),
            "startDate": optional(fields.String, validate=_is_date),
            "endDate": optional(fields.String, validate=_is_date),
            "executionTime": optional(fields.String, validate=_is_time),
            "cronExpression": optional(fields.String, validate=_is_cron),
            "leadTimeMinutes": optional(
                fields.Float, load_default=30, validate=validate.Range(min=0, max=DAY_MINUTES)
            ),
            "daysOfWeek": optional(
                fields.List,
                cls_or_instance=fields.Integer(
                    strict=True,
                    validate=validate.Range(min=0, max=6, error="0 is Sunday, 6 Saturday."),
                ),
            ),
            "dayOfMonth": optional(
                fields.Integer, strict=True, validate=validate.Range(min=1, max=31)
            ),
            "missedRunPolicy": optional(
                fields.String, validate=validate.OneOf([p.value for p in MissedRunPolicy])
            ),
            "graceMinutes": optional(
                fields.Float, validate=validate.Range(min=0, max=7 * DAY_MINUTES)
            ),
        },
        name="ScheduleFields",
    )
):
    """When it sends."""

    @validates_schema
    def _is_complete(self, data: dict[str, Any], **_: object) -> None:
        if data["frequency"] == Frequency.CUSTOM:
            if not data.get("cronExpression"):
                raise ValidationError(
                    "A custom schedule needs a cron expression.", "cronExpression"
                )
            return
        if not (data.get("executionTime") or data.get("scheduledTime")):
            raise ValidationError("Give the live send time as HH:MM.", "executionTime")


_Thresholds = KeptSchema.from_dict(
    {
        "audienceSize": optional(fields.Integer, validate=validate.Range(min=0)),
        "failureRate": optional(fields.Float, validate=validate.Range(min=0, max=1)),
    },
    name="AlertThresholds",
)

_Drift = KeptSchema.from_dict(
    {
        "sizeFactor": optional(fields.Float, validate=validate.Range(min=1, min_inclusive=False)),
        "leastOverlap": optional(fields.Float, validate=validate.Range(min=0, max=1)),
    },
    name="AudienceDrift",
)

_Safeguards = KeptSchema.from_dict(
    {
        "maxAudienceSize": optional(fields.Integer, validate=validate.Range(min=1)),
        "requireTestFirst": optional(fields.Boolean, load_default=True),
        "emergencyContacts": optional(fields.List, cls_or_instance=fields.String()),
        "alertThresholds": optional(fields.Nested, nested=_Thresholds),
        "drift": optional(fields.Nested, nested=_Drift),
    },
    name="Safeguards",
)


_BOTH_HOURS: Final = {"required": "Give the start and the end, both as HH:MM."}


class _QuietHours(
    KeptSchema.from_dict(  # type: ignore[misc]  # a base made at run time
        {
            "start": fields.String(required=True, validate=_is_time, error_messages=_BOTH_HOURS),
            "end": fields.String(required=True, validate=_is_time, error_messages=_BOTH_HOURS),
            "whenQuiet": optional(
                fields.String, validate=validate.OneOf([w.value for w in WhenQuiet])
            ),
            "timezone": optional(fields.String, validate=_is_zone),
        },
        name="QuietHoursFields",
    )
):
    """When no message comes, by each user's clock."""

    @validates_schema
    def _are_hours(self, data: dict[str, Any], **_: object) -> None:
        if read_time(data["start"]) == read_time(data["end"]):
            raise ValidationError("Quiet hours that end when they begin are none.", "end")


SettingsSchema = KeptSchema.from_dict(
    {
        "testUserIds": optional(fields.List, cls_or_instance=fields.String(), load_default=list),
        "maxAudienceSize": optional(fields.Integer, validate=validate.Range(min=1)),
        "emergencyStopEnabled": optional(fields.Boolean, load_default=True),
        "dryRunFirst": optional(fields.Boolean, load_default=True),
        "cancellationWindowMinutes": optional(
            fields.Float, load_default=30, validate=validate.Range(min=0, max=240)
        ),
        "safeguards": optional(
            fields.Nested, nested=_Safeguards, load_default=lambda: {"requireTestFirst": True}
        ),
        "requireApproval": optional(fields.Boolean),
        "inDoubt": optional(
            fields.String, validate=validate.OneOf([p.value for p in InDoubtPolicy])
        ),
        "failPolicy": optional(
            fields.String, validate=validate.OneOf([p.value for p in FailPolicy])
        ),
        "devices": optional(
            fields.String, validate=validate.OneOf([d.value for d in ReachedDevices])
        ),
        "holdoutPercent": optional(fields.Float, validate=validate.Range(min=0, max=100)),
        "quietHours": optional(fields.Nested, nested=_QuietHours),
        "localTime": optional(fields.Boolean),
        "deliverWithinMinutes": optional(
            fields.Float,
            validate=validate.Range(min=0, min_inclusive=False, max=LONGEST_HOLD_MINUTES),
        ),
        "ratePerMinute": optional(fields.Integer, strict=True, validate=validate.Range(min=1)),
    },
    name="AutomationSettings",
)

_CustomScript = KeptSchema.from_dict(
    {
        "scriptId": fields.String(required=True, validate=validate.Length(min=1)),
        "parameters": optional(fields.Dict, keys=fields.String()),
    },
    name="CustomScript",
)


_UploadedFile = KeptSchema.from_dict(
    {
        "name": fields.String(required=True, validate=validate.Length(max=255)),
        "sha256": fields.String(required=True, validate=validate.Regexp(r"[0-9a-f]{64}\Z")),
    },
    name="UploadedFile",
)


class _Criteria(
    KeptSchema.from_dict(  # type: ignore[misc]  # a base made at run time
        {
            "customScript": optional(fields.Nested, nested=_CustomScript),
            "manualUserIds": optional(fields.List, cls_or_instance=fields.String()),
            "uploadedFile": optional(fields.Nested, nested=_UploadedFile),
        },
        name="AudienceCriteriaFields",
    )
):
    """Who it sends to."""

    @validates_schema
    def _has_one_source(self, data: dict[str, Any], **_: object) -> None:
        given = [name for name in SOURCES if data.get(name)]
        if len(given) > 1:
            raise ValidationError(
                f"An audience has one source: leave out {', or '.join(given)}.", given[-1]
            )


class AutomationSchema(
    KeptSchema.from_dict(  # type: ignore[misc]  # a base made at run time
        {
            "id": fields.String(required=True, validate=is_id),
            "name": fields.String(required=True, validate=worded(255)),
            "description": optional(fields.String, load_default=""),
            "type": fields.String(required=True, validate=validate.OneOf(TYPES)),
            "status": fields.String(load_default="draft", validate=validate.OneOf(STATUSES)),
            "isActive": fields.Boolean(load_default=False),
            "version": fields.Integer(strict=True, load_default=1, validate=validate.Range(min=1)),
            "schedule": fields.Nested(ScheduleSchema, required=True),
            "template": optional(fields.Dict),
            "pushSequence": fields.List(
                fields.Nested(_Push),
                required=True,
                validate=SEQUENCE_LENGTH,
            ),
            "audienceCriteria": optional(fields.Nested, nested=_Criteria, load_default=dict),
            "settings": fields.Nested(
                SettingsSchema, load_default=lambda: SettingsSchema().load({})
            ),
            "metadata": optional(fields.Dict, load_default=dict),
            "createdAt": optional(fields.String),
            "updatedAt": optional(fields.String),
        },
        name="UniversalAutomation",
    )
):
    """An automation, as its file and the API show it."""

    @pre_load
    def _is_object(self, data: object, **_: object) -> object:
        if not isinstance(data, Mapping):
            raise ValidationError("An automation is a JSON object.")
        if any(_UNSTORABLE.search(text) for text in _texts(data)):
            raise ValidationError("Texts hold no NUL and no half of a surrogate pair.")
        return data

    @validates_schema
    def _knows_its_day(self, data: dict[str, Any], **_: object) -> None:
        """Refuse to schedule a send of which nobody has said the day; a draft may lack it."""
        schedule = data["schedule"]
        has_day = schedule.get("startDate") or schedule.get("scheduledDate")
        is_scheduled = data["isActive"] and data["status"] in {"active", "scheduled"}
        if is_scheduled and schedule["frequency"] == Frequency.ONCE and not has_day:
            complaint = "Give the day of the send as YYYY-MM-DD."
            raise ValidationError({"schedule": {"startDate": [complaint]}})


def _texts(value: object) -> Iterator[str]:
    """Yield every text within `value`, at any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _texts([*value.keys(), *value.values()])
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
