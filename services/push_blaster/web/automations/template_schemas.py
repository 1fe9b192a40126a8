"""The shapes of templates on the wire."""

from marshmallow import fields, validate

from chassis.schemas import CamelSchema, DocumentSchema, OpenSchema
from chassis.typed_schemas import object_schema
from push_blaster.adapters.automations.automation_schema import AutomationSchema
from push_blaster.adapters.automations.template_schema import CATEGORIES, TemplateSchema
from push_blaster.web.frame.common_schemas import BrokenFileSchema, envelope_schema


class OverridesSchema(DocumentSchema):
    """Fields of the automation that replace the template's."""

    id = fields.String(validate=validate.Length(min=1))
    name = fields.String()
    description = fields.String(allow_none=True)
    schedule = fields.Dict()
    audience_criteria = fields.Dict()
    settings = fields.Dict()


class StartSchema(CamelSchema):
    """Body of POST /api/automation/templates/<id>."""

    variables = fields.Dict(keys=fields.String(), load_default=dict)
    overrides = fields.Nested(OverridesSchema, load_default=dict)
    preview = fields.Boolean(
        load_default=False, metadata={"description": "Answer the automation, and save nothing."}
    )


class StartByBodySchema(StartSchema):
    """The same, with the template named in the body."""

    template_id = fields.String(required=True, validate=validate.Length(min=1))


class TemplateBodySchema(OpenSchema):
    """Body that creates or changes a template: any of its fields."""


class SaveAsSchema(CamelSchema):
    """Body of POST /api/automation/templates/from/<automation id>."""

    id = fields.String(validate=validate.Length(min=1))
    name = fields.String(validate=validate.Length(min=1, max=255))
    description = fields.String()
    category = fields.String(validate=validate.OneOf(CATEGORIES))


TemplateAnswerSchema = envelope_schema("TemplateAnswer", TemplateSchema)
TemplateListSchema = envelope_schema("TemplateList", (TemplateSchema,), broken=(BrokenFileSchema,))
OriginSchema = object_schema("Origin", id=str, name=str, category=str)
StartedSchema = object_schema("Started", automation=AutomationSchema, template=OriginSchema)
StartAnswerSchema = envelope_schema("StartAnswer", StartedSchema)
