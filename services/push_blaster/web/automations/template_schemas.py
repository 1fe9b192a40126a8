"""The shapes of templates on the wire."""

from marshmallow import INCLUDE, RAISE, Schema, fields, validate

from push_blaster.adapters.automations.automation_schema import AutomationSchema
from push_blaster.adapters.automations.template_schema import CATEGORIES, TemplateSchema
from push_blaster.web.frame.common_schemas import BrokenFileSchema


class TemplateQuerySchema(Schema):
    """Query of GET /api/automation/templates."""

    category = fields.String(load_default=None, validate=validate.OneOf(CATEGORIES))
    system_only = fields.Boolean(load_default=False, data_key="systemOnly")


class OverridesSchema(Schema):
    """What of a template's automation is to be otherwise."""

    class Meta:
        unknown = RAISE

    id = fields.String(validate=validate.Length(min=1))
    name = fields.String()
    description = fields.String(allow_none=True)
    schedule = fields.Dict()
    audienceCriteria = fields.Dict()  # noqa: N815 - as the automation's document has it
    settings = fields.Dict()


class StartSchema(Schema):
    """Body of POST /api/automation/templates/<id>."""

    class Meta:
        unknown = RAISE

    variables = fields.Dict(keys=fields.String(), load_default=dict)
    overrides = fields.Nested(OverridesSchema, load_default=dict)
    preview = fields.Boolean(
        load_default=False, metadata={"description": "Answer the automation, and save nothing."}
    )


class StartByBodySchema(StartSchema):
    """The same, with the template named in the body."""

    template_id = fields.String(
        required=True, data_key="templateId", validate=validate.Length(min=1)
    )


class TemplateBodySchema(Schema):
    """Body that makes or changes a template: any of its fields."""

    class Meta:
        unknown = INCLUDE


class SaveAsSchema(Schema):
    """Body of POST /api/automation/templates/from/<automation id>."""

    class Meta:
        unknown = RAISE

    id = fields.String(validate=validate.Length(min=1))
    name = fields.String(validate=validate.Length(min=1, max=255))
    description = fields.String()
    category = fields.String(validate=validate.OneOf(CATEGORIES))


class TemplateAnswerSchema(Schema):
    """A template in the original's envelope."""

    success = fields.Boolean()
    data = fields.Nested(TemplateSchema)
    message = fields.String()


class TemplateListSchema(Schema):
    """Templates in the original's envelope, and the files that are broken."""

    success = fields.Boolean()
    data = fields.List(fields.Nested(TemplateSchema))
    message = fields.String()
    broken = fields.List(fields.Nested(BrokenFileSchema))


class OriginSchema(Schema):
    """The template that an automation was started from."""

    id = fields.String()
    name = fields.String()
    category = fields.String()


class StartedSchema(Schema):
    """The automation, and the template that it was started from."""

    automation = fields.Nested(AutomationSchema)
    template = fields.Nested(OriginSchema)


class StartAnswerSchema(Schema):
    """What came of a start, in the original's envelope."""

    success = fields.Boolean()
    data = fields.Nested(StartedSchema)
    message = fields.String()
