"""Schemas that the routes of several rooms share."""

from marshmallow import Schema, fields, validate


class LogEntrySchema(Schema):
    """One event of a log."""

    id = fields.Integer()
    timestamp = fields.AwareDateTime()
    level = fields.String()
    stage = fields.String()
    message = fields.String()


class StartHeadersSchema(Schema):
    """Headers of a request that may be repeated safely."""

    idempotency_key = fields.String(
        data_key="Idempotency-Key", load_default=None, validate=validate.Length(min=1, max=200)
    )


class DeliveryQuerySchema(Schema):
    """Query of a list that is read page by page."""

    limit = fields.Integer(load_default=500, validate=validate.Range(min=1, max=5_000))
    cursor = fields.String(load_default=None)


class LogQuerySchema(Schema):
    """Query of a log."""

    after = fields.Integer(load_default=0, validate=validate.Range(min=0, max=2**62))


class LogSchema(Schema):
    """Events of a log, and where the next page begins."""

    entries = fields.List(fields.Nested(LogEntrySchema))
    next_after = fields.Integer(data_key="nextAfter")


class BrokenFileSchema(Schema):
    """A file that should be an automation and is not."""

    file = fields.String()
    error = fields.String()


class OverCapCountSchema(Schema):
    """How many users of an unchecked send got more than the cadence rules allow."""

    users = fields.Integer()
    by_rule = fields.Dict(keys=fields.String(), values=fields.Integer(), data_key="byRule")
    counted_at = fields.AwareDateTime(data_key="countedAt")
