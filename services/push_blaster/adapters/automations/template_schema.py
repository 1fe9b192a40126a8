"""The schema of a template: one for its JSON file and for the API, in the original's names."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from marshmallow import ValidationError, fields, pre_load, validate, validates_schema

from chassis.names import read_variable_name
from push_blaster.adapters.automations.content_schema import pick_content
from push_blaster.adapters.automations.field_checks import is_id, worded
from push_blaster.adapters.automations.field_declaration import KeptSchema, optional
from push_blaster.adapters.automations.json_values import check_json_values
from push_blaster.adapters.automations.push_schema import (
    BODY_LENGTH,
    SEQUENCE_LENGTH,
    TITLE_LENGTH,
    PlaceSchema,
)
from push_blaster.adapters.automations.schedule_schema import ScheduleSchema
from push_blaster.adapters.automations.settings_schema import AutomationSettingsSchema
from push_blaster.domain.automations.automation_template import (
    DELAY_HOURS,
    BadPatternError,
    Scalar,
    Variable,
    VariableType,
    find_fault,
    find_malformed,
    find_names,
    find_texts,
    read_pattern,
)

CATEGORIES: Final = ("onboarding", "retention", "reactivation", "feature_announcement", "custom")
MAX_NAME: Final = 64
TEXTS: Final = ("titleTemplate", "bodyTemplate", "deepLinkTemplate")


def _is_pattern(value: str) -> None:
    try:
        read_pattern(value)
    except BadPatternError as error:
        raise ValidationError(str(error)) from error


def _is_name(value: str) -> None:
    if read_variable_name(value) is None or len(value) > MAX_NAME:
        raise ValidationError(
            "Use letters of any script, digits and '_', at most 64, no digit first."
        )


def _is_scalar(value: object) -> None:
    if not isinstance(value, Scalar):
        raise ValidationError("An option is a text, a number, true or false.")


class VariableValidationSchema(KeptSchema):
    """What a value of the variable must be, beyond its type."""

    min = optional(fields.Float)
    max = optional(fields.Float)
    pattern = optional(fields.String, validate=_is_pattern)
    options = optional(fields.List, cls_or_instance=fields.Raw(validate=_is_scalar))


class _Variable(KeptSchema):
    """A variable; its default must be a valid value."""

    name = fields.String(required=True, validate=_is_name)
    type = fields.String(required=True, validate=validate.OneOf([t.value for t in VariableType]))
    description = optional(fields.String)
    required = fields.Boolean(load_default=False)
    default_value = optional(fields.Raw)
    validation = optional(fields.Nested, nested=VariableValidationSchema)
    wording = optional(
        fields.Dict,
        keys=fields.String(),
        values=fields.String(),
        metadata={"description": "What stands in texts for each of the values"},
    )

    @validates_schema
    def _fits_itself(self, data: Mapping[str, Any], **_: object) -> None:
        variable = _read_variable(data)
        fault = None if variable.default is None else find_fault(variable, variable.default)
        if fault:
            raise ValidationError(f"{fault}.", "defaultValue")
        if variable.name == DELAY_HOURS and variable.type is not VariableType.NUMBER:
            raise ValidationError("The delay between pushes, in hours, is a number.", "type")


class PushTemplateSchema(PlaceSchema):
    """A push whose texts have variables."""

    title_template = fields.String(required=True, validate=TITLE_LENGTH)
    body_template = fields.String(required=True, validate=BODY_LENGTH)
    deep_link_template = optional(fields.String, load_default="")
    variables = fields.List(fields.String(), dump_only=True)


class TemplateSchema(KeptSchema):
    """A template of automations, as its file and the API show it."""

    id = fields.String(required=True, validate=is_id)
    name = fields.String(required=True, validate=worded(255))
    description = optional(fields.String)
    category = fields.String(load_default="custom", validate=validate.OneOf(CATEGORIES))
    is_system_template = fields.Boolean(load_default=False)
    version = fields.Integer(strict=True, load_default=1, validate=validate.Range(min=1))
    variables = fields.List(fields.Nested(_Variable), load_default=list)
    default_schedule = fields.Nested(ScheduleSchema, required=True)
    push_templates = fields.List(
        fields.Nested(PushTemplateSchema), required=True, validate=SEQUENCE_LENGTH
    )
    audience_template = optional(fields.Dict, load_default=dict)
    default_settings = fields.Nested(
        AutomationSettingsSchema, load_default=lambda: AutomationSettingsSchema().load({})
    )

    @pre_load
    def _is_object(self, data: object, **_: object) -> object:
        if not isinstance(data, Mapping):
            raise ValidationError("A template is a JSON object.")
        return data

    @validates_schema
    def _declares_what_it_uses(self, data: Mapping[str, Any], **_: object) -> None:
        names = [variable.name for variable in map(_read_variable, data["variables"])]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValidationError(f"Declared twice: {', '.join(doubled)}.", "variables")
        complaints = {
            number: found
            for number, push in enumerate(data["pushTemplates"])
            if (found := dict(_find_complaints(push, names)))
        }
        if complaints:
            raise ValidationError({"pushTemplates": complaints})


def complete_template(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the template with every default filled in and everything unknown kept.

    Raises: marshmallow's ValidationError, with the path of each field that does not fit.
    """
    template: dict[str, Any] = TemplateSchema().load(raw)
    for number, push in enumerate(template["pushTemplates"], start=1):
        push["sequenceOrder"] = push.get("sequenceOrder") or number
        texts = {name: push[name] for name in TEXTS} | pick_content(push)
        push["variables"] = find_names(" ".join(text for _, text in find_texts(texts)))
    check_json_values(template)
    return template


def read_variables(template: Mapping[str, Any]) -> tuple[Variable, ...]:
    """Return the typed variables of a complete template."""
    return tuple(_read_variable(variable) for variable in template["variables"])


def _read_variable(variable: Mapping[str, Any]) -> Variable:
    rule = variable.get("validation") or {}
    return Variable(
        name=read_variable_name(variable["name"]) or variable["name"],
        type=VariableType(variable["type"]),
        required=variable["required"],
        default=variable.get("defaultValue"),
        minimum=rule.get("min"),
        maximum=rule.get("max"),
        pattern=rule.get("pattern"),
        options=tuple(rule.get("options") or ()),
        wording=variable.get("wording") or {},
    )


def _find_complaints(
    push: Mapping[str, Any], declared: list[str]
) -> Iterator[tuple[str, list[str]]]:
    texts = {name: push[name] for name in TEXTS} | pick_content(push)
    for field, text in find_texts(texts):
        malformed = find_malformed(text)
        unknown = [name for name in find_names(text) if name not in declared]
        if malformed:
            yield field, [f"{malformed!r} is no placeholder; write {{{{name}}}}."]
        elif unknown:
            yield field, [f"Uses {', '.join(unknown)}; declare it among the variables."]
