"""Schemas that the routes of several rooms share."""

from dataclasses import dataclass

from marshmallow import fields, validate

from chassis.schemas import CamelSchema
from chassis.typed_schemas import about


class LogEntrySchema(CamelSchema):
    """One event of a log."""

    id = fields.Integer()
    timestamp = fields.AwareDateTime()
    level = fields.String()
    stage = fields.String()
    message = fields.String()


@dataclass(frozen=True, slots=True, kw_only=True)
class PageQuery:
    """Query of a long list that is read page by page."""

    limit: int = about(500, validate=validate.Range(min=1, max=5_000))
    cursor: str | None = None


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
