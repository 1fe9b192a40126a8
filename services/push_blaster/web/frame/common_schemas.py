"""Schemas that the routes of several rooms share."""

from marshmallow import fields, validate

from chassis.schemas import CamelSchema


class LogEntrySchema(CamelSchema):
    """One event of a log."""

    id = fields.Integer()
    timestamp = fields.AwareDateTime()
    level = fields.String()
    stage = fields.String()
    message = fields.String()


class StartHeadersSchema(CamelSchema):
    """Headers of a request that may be repeated safely."""

    idempotency_key = fields.String(
        data_key="Idempotency-Key", load_default=None, validate=validate.Length(min=1, max=200)
    )


class DeliveryQuerySchema(CamelSchema):
    """Query of a list that is read page by page."""

    limit = fields.Integer(load_default=500, validate=validate.Range(min=1, max=5_000))
    cursor = fields.String(load_default=None)


class LogQuerySchema(CamelSchema):
    """Query of a log."""

    after = fields.Integer(load_default=0, validate=validate.Range(min=0, max=2**62))


class LogSchema(CamelSchema):
    """Events of a log, and where the next page begins."""

    entries = fields.List(fields.Nested(LogEntrySchema))
    next_after = fields.Integer()


class BrokenFileSchema(CamelSchema):
    """A file that should be an automation and is not."""

    file = fields.String()
    error = fields.String()


class OverCapCountSchema(CamelSchema):
    """How many users of an unchecked send got more than the cadence rules allow."""

    users = fields.Integer()
    by_rule = fields.Dict(keys=fields.String(), values=fields.Integer())
    counted_at = fields.AwareDateTime()
