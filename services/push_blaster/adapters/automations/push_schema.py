"""A push of an automation's sequence, in its document."""

from collections.abc import Mapping
from typing import Any, Final

from marshmallow import ValidationError, fields, validate, validates_schema

from push_blaster.adapters.automations.content_schema import (
    CONTENT_ATTRIBUTES,
    IMAGE_URL,
    ContentFields,
    read_content,
)
from push_blaster.adapters.automations.field_checks import DAY_MINUTES, is_absolute_time, worded
from push_blaster.adapters.automations.field_declaration import (
    FormField,
    KeptSchema,
    declare,
    minutes,
    one_of,
    optional,
    read_values,
)
from push_blaster.adapters.automations.schedule_fields import read_absolute_time
from push_blaster.domain.automations.automation import Push
from push_blaster.domain.automations.experiment import Experiment, Metric, Variant, WhenUnsure

MAX_PUSHES: Final = 20
MAX_VARIANTS: Final = 20
#: How long the texts of a push and of a template may be.
TITLE_LENGTH: Final = worded(1_000)
BODY_LENGTH: Final = validate.Length(max=4_000)
SEQUENCE_LENGTH: Final = validate.Length(
    min=1, max=MAX_PUSHES, error="A sequence has {min} to {max} pushes."
)
_NO_SHARE: Final = "Give the percentage of users who test, such as 20."
_TEST_SHARE: Final = validate.Range(
    min=0,
    max=99,
    min_inclusive=False,
    error="Give a percentage above 0, to 99: a part of the users tests, the rest waits.",
)
_DECIDE_AFTER: Final = validate.Range(
    min=60,
    max=DAY_MINUTES,
    error="Give 60 to 1440 minutes: earlier, the opens say who opens soon, not who opens.",
)
_LAYER: Final = validate.Range(min=1, max=5, error="Layers are 1 to 5; {input} is none.")


class PushTimingSchema(KeptSchema):
    """When a push is sent: some minutes after the previous push, or at a time."""

    delay_after_previous = minutes(
        "delay",
        FormField("Minutes after the previous push", "push"),
        validate.Range(min=0, max=7 * DAY_MINUTES),
        load_default=0,
    )
    absolute_time = declare(
        optional(fields.String, validate=is_absolute_time),
        FormField(
            "Or at a fixed time",
            "push",
            "HH:MM, or a date and time, in the time zone of the automation",
        ),
        gives="",
    )


class PushVariantSchema(KeptSchema):
    """One variant of a push; missing texts are those of the push."""

    id = declare(
        fields.String(required=True, validate=validate.Length(min=1, max=100)),
        FormField("Variant name", "variant", "Its name in reports"),
    )
    weight = declare(
        optional(
            fields.Float,
            load_default=1,
            validate=validate.Range(min=0, min_inclusive=False, max=1_000_000),
        ),
        FormField("Weight", "variant", "Relative to the other variants"),
    )
    title = declare(
        optional(fields.String, validate=TITLE_LENGTH), FormField("Variant title", "variant texts")
    )
    body = declare(
        optional(fields.String, validate=BODY_LENGTH),
        FormField("Variant text", "variant texts", widget="area"),
    )
    deep_link = declare(optional(fields.String), FormField("Variant deep link", "variant texts"))
    image_url = declare(
        optional(fields.String, validate=IMAGE_URL), FormField("Variant image", "variant texts")
    )


class ExperimentSchema(KeptSchema):
    """A test of the variants on a share of the audience; the rest gets the winner."""

    test_percent = declare(
        fields.Float(required=True, validate=_TEST_SHARE, error_messages={"required": _NO_SHARE}),
        FormField("Test with", "winner", "Percent of users. If empty: no test, no winner"),
    )
    decide_after_minutes = minutes(
        "decide_after",
        FormField("Decide after", "winner", "Minutes, 60 or more", usual=60),
        _DECIDE_AFTER,
    )
    metric = one_of(
        Metric,
        FormField(
            "The winner is",
            "winner",
            choices={"opened": "opened more often", "converted": "reaches the goal more often"},
        ),
    )
    minimum_lead = declare(
        optional(fields.Float, validate=validate.Range(min=0, max=1_000)),
        FormField("Minimum lead", "winner", "Percent ahead of the second", usual=0),
    )
    when_unsure = one_of(
        WhenUnsure,
        FormField(
            "If none surely wins",
            "winner",
            choices={"first": "send the first variant", "nobody": "send nothing"},
        ),
    )


def _have_distinct_ids(variants: list[Mapping[str, Any]]) -> None:
    ids = [variant["id"] for variant in variants]
    if len(set(ids)) < len(ids):
        raise ValidationError("Each variant of a push has an id of its own.")


class PlaceSchema(ContentFields, KeptSchema):
    """What a push and a template of a push have alike: content, place, audience, variants."""

    sequence_order = optional(fields.Integer)
    layer_id = declare(
        fields.Integer(strict=True, load_default=1, validate=_LAYER),
        FormField("Layer", "own place", widget="choice"),
    )
    audience_name = declare(
        optional(fields.String),
        FormField("Audience", "own place", "Its name in the script"),
        read=lambda name: name or "default",
    )
    timing = fields.Nested(PushTimingSchema, load_default=lambda: {"delayAfterPrevious": 0})
    variants = declare(
        optional(
            fields.List,
            cls_or_instance=fields.Nested(PushVariantSchema),
            validate=[validate.Length(max=MAX_VARIANTS), _have_distinct_ids],
        ),
        read=lambda variants: tuple(Variant(**read_values(_VARIANT, v)) for v in variants),
    )
    experiment = declare(
        optional(fields.Nested, nested=ExperimentSchema),
        read=lambda experiment: Experiment(**read_values(_EXPERIMENT, experiment)),
    )

    @validates_schema
    def _compares_something(self, data: Mapping[str, Any], **_: object) -> None:
        if data.get("experiment") and len(data.get("variants") or ()) < 2:
            complaint = "An experiment compares variants: give the push 2 or more."
            raise ValidationError(complaint, "experiment")


class AutomationPushSchema(PlaceSchema):
    """One push."""

    id = declare(optional(fields.String, load_default=""))
    title = declare(
        fields.String(required=True, validate=TITLE_LENGTH), FormField("Title", "push texts")
    )
    body = declare(
        fields.String(required=True, validate=BODY_LENGTH),
        FormField("Text", "push texts", widget="area"),
    )
    deep_link = declare(
        optional(fields.String, load_default=""), FormField("Deep link", "push texts")
    )
    status = optional(fields.String, load_default="pending")


_VARIANT: Final[KeptSchema] = PushVariantSchema()
_EXPERIMENT: Final[KeptSchema] = ExperimentSchema()
_PUSH: Final = AutomationPushSchema()


def read_push(push: Mapping[str, Any], zone: str) -> Push:
    """Return the typed push of an automation whose times are those of `zone`."""
    absolute = push["timing"].get("absoluteTime")
    own = read_values(_PUSH, push)
    return Push(
        **{name: value for name, value in own.items() if name not in CONTENT_ATTRIBUTES},
        content=read_content(push),
        absolute_time=read_absolute_time(absolute, zone) if absolute else None,
    )
