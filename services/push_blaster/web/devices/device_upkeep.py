"""Routes about all devices: import from a file, report, removal of dead devices."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import IO, Final

from flask import jsonify, request
from flask.typing import ResponseReturnValue
from marshmallow import ValidationError, fields

from chassis.bearer_auth import Role, asks_for
from chassis.clock import utc_now
from chassis.postgres import Database
from chassis.schemas import CamelSchema, InstantField
from chassis.service import Routes, describe_upload
from chassis.typed_schemas import about, object_schema
from push_blaster.adapters.devices.device_csv import read_devices
from push_blaster.adapters.devices.device_report import delete_dead_devices, select_device_report
from push_blaster.use_cases.devices.import_devices import Imported, import_devices
from push_blaster.web.frame.common_schemas import up_to

#: A million devices have about 250 MB.
MAX_FILE: Final = 1024**3


CountSchema = object_schema("Count", kind=str, platform=str | None, living=int, dead=int)
DeadCountSchema = object_schema("DeadCount", reason=str | None, day=date, devices=int)
ReportSchema = object_schema(
    "Report",
    by_kind=(CountSchema,),
    by_platform=(CountSchema,),
    dead_by_reason=(DeadCountSchema,),
    dead_by_day=(DeadCountSchema,),
)


class ImportQuerySchema(CamelSchema):
    """Query of an import, or its form beside the file; a slip in `dryRun` must not import."""

    dry_run = fields.Boolean(load_default=False)


_FILE: Final = {
    "content": {
        "text/csv": {"schema": {"type": "string"}},
        **describe_upload("file", ImportQuerySchema),
    }
}


def device_upkeep_routes(database: Database, push_hosts: Sequence[str]) -> Routes:
    """Return the routes about all devices."""
    routes = Routes("device_upkeep", __name__, description="Device tokens")

    @routes.route("/api/devices/import", methods=["POST"])
    @asks_for(Role.OPERATOR)
    @routes.doc(requestBody=_FILE)
    def import_file() -> ResponseReturnValue:
        """Register the devices of a CSV (`text/csv` or multipart `file`); `dryRun` stores none."""
        request.max_content_length = MAX_FILE
        dry_run = ImportQuerySchema().load({**request.args, **request.form})["dry_run"]
        with open_csv_body() as body:
            file = read_devices(body, "The file", utc_now(), push_hosts)
            done = import_devices(database, file.rows, utc_now(), dry_run=dry_run)
        return jsonify(_show_import(done, file.note, dry_run=dry_run))

    @routes.route("/api/devices/report", methods=["GET"])
    @routes.query
    @routes.response(200, ReportSchema)
    def report(*, days: int = up_to(3_650, 30)) -> Mapping[str, object]:
        """Count devices by kind and platform, and dead devices by reason and day."""
        with database.transaction() as connection:
            return select_device_report(connection, utc_now() - timedelta(days=days))

    @routes.route("/api/devices/clean-up", methods=["POST"])
    @routes.body("CleanUp")
    @routes.response(200, object_schema("CleanedUp", deleted=int))
    def clean_up(*, dead_before: datetime = about(like=InstantField)) -> dict[str, int]:
        """Remove the devices that died before an instant; safe to repeat."""
        with database.transaction() as connection:
            return {"deleted": delete_dead_devices(connection, dead_before)}

    return routes


@contextmanager
def open_csv_body() -> Iterator[IO[bytes]]:
    """Open the CSV of the request, on disk: a reader goes through it twice."""
    if request.mimetype == "text/csv":
        with TemporaryFile() as body:
            copyfileobj(request.stream, body)
            yield body
    elif upload := request.files.get("file"):
        yield upload.stream
    else:
        raise ValidationError({"file": ["Send a CSV as text/csv, or as multipart/form-data."]})


def _show_import(done: Imported, note: str, *, dry_run: bool) -> dict[str, object]:
    return {
        "dryRun": dry_run,
        "rows": done.rows,
        "registered": done.registered,
        "unchanged": done.unchanged,
        "refused": done.bad,
        "errors": [{"line": row.line, "error": row.fault} for row in done.bad_rows],
        "ignored": [{"line": row.line, "notes": row.notes} for row in done.noted_rows],
        **({"note": note} if note else {}),
    }
