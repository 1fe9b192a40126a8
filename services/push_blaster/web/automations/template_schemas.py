"""The shapes of templates on the wire."""

from marshmallow import INCLUDE, fields, validate

from chassis.schemas import CamelSchema, DocumentSchema
from push_blaster.adapters.automations.automation_schema import AutomationSchema
from push_blaster.adapters.automations.template_schema import CATEGORIES, TemplateSchema
from push_blaster.web.frame.common_schemas import BrokenFileSchema


class TemplateQuerySchema(CamelSchema):
    """Query of GET /api/automation/templates."""

    category = fields.String(load_default=None, validate=validate.OneOf(CATEGORIES))
    system_only = fields.Boolean(load_default=False)


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


class TemplateBodySchema(CamelSchema):
    """Body that creates or changes a template: any of its fields."""

    class Meta:
        unknown = INCLUDE


class SaveAsSchema(CamelSchema):
    """Body of POST /api/automation/templates/from/<automation id>."""

    id = fields.String(validate=validate.Length(min=1))
    name = fields.String(validate=validate.Length(min=1, max=255))
    description = fields.String()
    category = fields.String(validate=validate.OneOf(CATEGORIES))


class TemplateAnswerSchema(CamelSchema):
    """A template in the original's envelope."""

    success = fields.Boolean()
    data = fields.Nested(TemplateSchema)
    message = fields.String()


class TemplateListSchema(CamelSchema):
    """Templates in the original's envelope, and the files that are broken."""

    success = fields.Boolean()
    data = fields.List(fields.Nested(TemplateSchema))
    message = fields.String()
    broken = fields.List(fields.Nested(BrokenFileSchema))


class OriginSchema(CamelSchema):
    """The template that an automation was started from."""

    id = fields.String()
    name = fields.String()
    category = fields.String()


class StartedSchema(CamelSchema):
    """The automation, and the template that it was started from."""

    automation = fields.Nested(AutomationSchema)
    template = fields.Nested(OriginSchema)


class StartAnswerSchema(CamelSchema):
    """The started automation, in the original's envelope."""

    success = fields.Boolean()
    data = fields.Nested(StartedSchema)
    message = fields.String()
