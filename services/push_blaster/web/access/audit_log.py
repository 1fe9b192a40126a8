"""Routes about the audit log: who changed what, and when."""

from collections.abc import Iterator, Mapping
from typing import Any

from flask.typing import ResponseReturnValue
from marshmallow import fields, post_load, validate

from chassis.bearer_auth import Role, asks_for
from chassis.http.request_classes import RequestClass, of_class
from chassis.postgres import Database
from chassis.schemas import CamelSchema, InstantField, check_period
from chassis.service import Routes
from chassis.typed_schemas import answer_schema, object_schema
from push_blaster.adapters.access.audit_table import (
    COLUMNS,
    AuditQuery,
    select_changes,
    stream_changes,
)
from push_blaster.adapters.csv_cells import stream_csv, write_csv
from push_blaster.domain.access.audit import AuditResult, RecordedChange
from push_blaster.web.access.audit_words import ABOUT, list_groups
from push_blaster.web.frame.csv_answers import answer_csv


class AuditFilterSchema(CamelSchema):
    """Which changes: by caller, path, kind, result and time."""

    actor = fields.String(load_default=None)
    path = fields.String(load_default=None, metadata={"description": "A part of the path."})
    about = fields.String(load_default=None, validate=validate.OneOf(list(ABOUT)))
    result = fields.Enum(AuditResult, by_value=True, load_default=None)
    since = InstantField(data_key="from", load_default=None)
    until = InstantField(load_default=None)

    @post_load
    def _build(self, data: Mapping[str, Any], **_: object) -> AuditQuery:
        check_period(data["since"], data["until"])
        about = data["about"]
        rest = {name: value for name, value in data.items() if name != "about"}
        return AuditQuery(**rest, groups=list_groups(about) if about else None)


class AuditQuerySchema(AuditFilterSchema):
    """Query of the audit log."""

    limit = fields.Integer(load_default=50, validate=validate.Range(min=1, max=500))
    before = fields.Integer(
        data_key="cursor", load_default=None, validate=validate.Range(min=1, max=2**62)
    )


AuditLogSchema = object_schema(
    "AuditLog", changes=(answer_schema(RecordedChange, "Change"),), next_cursor=int | None
)


def audit_log_routes(database: Database) -> Routes:
    """Return the routes about the audit log."""
    routes = Routes("audit_log", __name__, description="Who changed what")

    @routes.route("/api/audit-log", methods=["GET"])
    @asks_for(Role.ADMIN)
    @routes.arguments(AuditQuerySchema, location="query")
    @routes.response(200, AuditLogSchema)
    def read(query: AuditQuery) -> dict[str, object]:
        """List changes and attempts, newest first."""
        with database.transaction() as connection:
            found = select_changes(connection, query)
        is_full = len(found) == query.limit
        return {"changes": found, "next_cursor": found[-1].id if is_full else None}

    @routes.route("/api/audit-log/export.csv", methods=["GET"])
    @of_class(RequestClass.EXPORT)
    @asks_for(Role.ADMIN)
    @routes.arguments(AuditFilterSchema, location="query")
    @routes.answers(content_type="text/csv")
    def export(query: AuditQuery) -> ResponseReturnValue:
        """Export the changes as a CSV that is safe to open in a spreadsheet."""
        return answer_csv(_stream_log(database, query), "audit-log.csv")

    return routes


def _stream_log(database: Database, query: AuditQuery) -> Iterator[str]:
    yield write_csv([COLUMNS])
    with database.transaction() as connection:
        yield from stream_csv(stream_changes(connection, query))
