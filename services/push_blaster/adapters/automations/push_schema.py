"""A push of an automation's sequence, in its document."""

from collections.abc import Mapping
from typing import Any, Final

from marshmallow import ValidationError, fields, validate

from push_blaster.adapters.automations.field_checks import DAY_MINUTES, is_absolute_time, worded
from push_blaster.adapters.automations.field_declaration import (
    FormField,
    KeptSchema,
    declare,
    minutes,
    optional,
    read_values,
)
from push_blaster.adapters.automations.schedule_fields import read_absolute_time
from push_blaster.domain.automations.automation import Push
from push_blaster.domain.automations.experiment import Variant

MAX_PUSHES: Final = 20
MAX_VARIANTS: Final = 20
#: How long the texts of a push and of a template may be.
TITLE_LENGTH: Final = worded(1_000)
BODY_LENGTH: Final = validate.Length(max=4_000)
SEQUENCE_LENGTH: Final = validate.Length(
    min=1, max=MAX_PUSHES, error="A sequence has {min} to {max} pushes."
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


class PlaceSchema(KeptSchema):
    """The place of a push and its audience; a template of a push has the same fields."""

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


def _have_distinct_ids(variants: list[Mapping[str, Any]]) -> None:
    ids = [variant["id"] for variant in variants]
    if len(set(ids)) < len(ids):
        raise ValidationError("Each variant of a push has an id of its own.")


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
    variants = declare(
        optional(
            fields.List,
            cls_or_instance=fields.Nested(PushVariantSchema),
            validate=[validate.Length(max=MAX_VARIANTS), _have_distinct_ids],
        ),
        read=lambda variants: tuple(Variant(**read_values(_VARIANT, v)) for v in variants),
    )
    status = optional(fields.String, load_default="pending")


_VARIANT: Final[KeptSchema] = PushVariantSchema()
_PUSH: Final = AutomationPushSchema()


def read_push(push: Mapping[str, Any], zone: str) -> Push:
    """Return the typed push of an automation whose times are those of `zone`."""
    absolute = push["timing"].get("absoluteTime")
    return Push(
        **read_values(_PUSH, push),
        absolute_time=read_absolute_time(absolute, zone) if absolute else None,
    )
