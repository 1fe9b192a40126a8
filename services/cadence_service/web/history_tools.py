"""Routes of the tools for historical data, as the original named them, and of their imports."""

from collections.abc import Mapping
from functools import partial
from hashlib import file_digest, sha256
from typing import Any, Final

import structlog
from flask import Response, jsonify, request
from flask.typing import ResponseReturnValue
from marshmallow import ValidationError, fields, validate, validates
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import UnsupportedMediaType

from cadence_contract import EARLIEST, LATEST, MAX_DEEP_LINK, InstantField
from cadence_service.adapters.history_changes import HistoryChange, select_changes
from cadence_service.adapters.history_csv import (
    HistoryCsvError,
    OneSend,
    read_audience,
    read_history,
)
from cadence_service.adapters.import_table import Import
from cadence_service.adapters.notification_record import MessageTexts
from cadence_service.domain.log_match import find_matching_logs, read_instant, read_link_logs
from cadence_service.use_cases.back_fill_links import back_fill_links
from cadence_service.use_cases.import_history import (
    ImportQueue,
    ImportRefusedError,
    ImportRequest,
    ImportResult,
    find_import,
    read_imports,
    undo_import,
)
from cadence_service.use_cases.record_change import recorded
from chassis.bearer_auth import caller_name
from chassis.clock import utc_now
from chassis.csv_reader import CsvError
from chassis.postgres import BulkDatabase
from chassis.problems import problem_response
from chassis.schemas import OpenSchema
from chassis.service import Routes, describe_upload
from chassis.typed_schemas import about, answer_schema, object_schema

log = structlog.get_logger()

#: A million rows of history are about 200 MB.
MAX_FILE: Final = 2 * 1024**3
#: How many push logs one request may have.
MAX_LOGS: Final = 20_000


class ImportFormSchema(OpenSchema):
    """Form of an import, beside its file."""

    all_or_nothing = fields.Boolean(load_default=False)
    dry_run = fields.Boolean(load_default=False)


class ConversionFormSchema(ImportFormSchema):
    """Form of a conversion: what all rows of the audience have in common."""

    # A form has only texts, so the layer is one here too.
    layer_id = fields.Integer(required=True, validate=validate.Range(min=1, max=5))
    push_title = fields.String(required=True, validate=validate.Length(min=1, max=4_000))
    push_body = fields.String(load_default="", validate=validate.Length(max=8_000))
    audience_description = fields.String(required=True, validate=validate.Length(min=1, max=2_000))
    deep_link = fields.String(load_default=None, validate=validate.Length(max=MAX_DEEP_LINK))
    sent_at = InstantField(required=True)


class PushLogSchema(OpenSchema):
    """A push log, as far as it is used here; it has more fields, and keeps them."""

    title = fields.String(allow_none=True)
    timestamp = fields.String(allow_none=True)
    total_count = fields.Integer(strict=True, allow_none=True, validate=validate.Range(min=0))
    audience_size = fields.Integer(strict=True, allow_none=True, validate=validate.Range(min=0))
    deep_link = fields.String(allow_none=True, validate=validate.Length(max=MAX_DEEP_LINK))

    @validates("timestamp")
    def _is_in_time(self, text: str | None, **_: object) -> None:
        at = read_instant(text)
        if at is not None and not EARLIEST <= at <= LATEST:
            raise ValidationError("Instants lie between 1970 and 2200.")


class PushLogField(fields.Dict):
    """A push log as it was sent, once it has been checked."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        if not isinstance(value, dict):
            raise self.make_error("invalid")
        PushLogSchema().load(value)
        return value


_CONVERSION: Final = {"content": describe_upload("audienceFile", ConversionFormSchema)}
_LOGS: Final = about(
    like=partial(fields.List, PushLogField()),
    data_key="trackResultsLogs",
    validate=validate.Length(max=MAX_LOGS),
)


def history_tool_routes(database: BulkDatabase) -> Routes:
    """Return the routes that import history, and complete it."""
    routes = Routes("history", __name__, description="Historical data")
    _add_imports(routes, ImportQueue(database))
    _add_past_imports(routes, database)
    _add_link_tools(routes, database)
    _add_changes(routes, database)
    return routes


def _add_imports(routes: Routes, imports: ImportQueue) -> None:
    @routes.route("/restore-historical-data", methods=["POST"])
    @routes.doc(requestBody={"content": describe_upload("file", ImportFormSchema)})
    def restore() -> ResponseReturnValue:
        """Import history from a CSV (multipart `file`); `dryRun` only validates."""
        request.max_content_length = MAX_FILE
        form = ImportFormSchema().load(request.form)
        file = _find_file("file")
        asked = _make_request("restore", form, file)
        history = read_history(file.stream, asked.file_name, utc_now())
        return _answer_import(asked, imports.run(asked, history.rows), history.note)

    @routes.route("/convert-audience-to-history", methods=["POST"])
    @routes.doc(requestBody=_CONVERSION)
    def convert() -> ResponseReturnValue:
        """Record a push of the past for everybody in a CSV (multipart `audienceFile`)."""
        request.max_content_length = MAX_FILE
        form = ConversionFormSchema().load(request.form)
        file = _find_file("audienceFile")
        texts = MessageTexts(
            form["push_title"], form["push_body"], form["audience_description"], form["deep_link"]
        )
        if form["sent_at"] > utc_now():
            raise ValidationError({"sentAt": ["Lies in the future; history has only past sends."]})
        asked = _make_request("convert", form, file)
        send = OneSend(form["layer_id"], form["sent_at"], texts)
        history = read_audience(file.stream, asked.file_name, send)
        return _answer_import(asked, imports.run(asked, history.rows), history.note)


def _add_past_imports(routes: Routes, database: BulkDatabase) -> None:
    @routes.route("/imports", methods=["GET"])
    @routes.response(200, object_schema("Imports", imports=list[Import]))
    def list_imports() -> dict[str, list[Import]]:
        """List imports, newest first; a running one shows its progress."""
        with database.transaction() as connection:
            return {"imports": read_imports(connection, utc_now())}

    @routes.route("/imports/<int:import_id>", methods=["GET"])
    @routes.response(200, answer_schema(Import))
    def read_import(import_id: int) -> Import:
        """Read one import."""
        with database.transaction() as connection:
            read_imports(connection, utc_now())
            return find_import(connection, import_id)

    @routes.route("/imports/<int:import_id>", methods=["DELETE"])
    @routes.response(200, object_schema("Undone", removed=int))
    def undo(import_id: int) -> dict[str, int]:
        """Undo an import: remove the sends that it brought."""
        with database.transaction() as connection:
            return {"removed": undo_import(connection, import_id, caller_name(), utc_now())}


def _add_link_tools(routes: Routes, database: BulkDatabase) -> None:
    @routes.route("/find-matching-logs", methods=["POST"])
    @routes.body("Match")
    def match(
        *,
        logs: list[Any] = _LOGS,
        csv_audience_size: int = about(strict=True, validate=validate.Range(min=1)),
    ) -> ResponseReturnValue:
        """Find the push logs whose audience is nearest in size."""
        found = find_matching_logs(csv_audience_size, logs, utc_now())
        return jsonify(success=True, matchingLogs=found, message=f"{len(found)} logs match.")

    @routes.route("/update-deep-links", methods=["POST"])
    @routes.body("LinkLogs")
    def update_links(*, logs: list[Any] = _LOGS) -> ResponseReturnValue:
        """Give deep links to recorded notifications that have none, from push logs."""
        links, errors = read_link_logs(logs)
        asked = {"logs": len(logs), "sha256": sha256(request.get_data()).hexdigest()}
        with recorded(database, "deep_links_filled", caller_name(), asked, utc_now()) as done:
            done["updated"] = updated = back_fill_links(database, links)
        details = {"updatedCount": updated, "matchedLogs": updated, "errors": errors}
        return jsonify(success=True, message=f"{updated} updated.", details=details)


def _add_changes(routes: Routes, database: BulkDatabase) -> None:
    @routes.route("/history-changes", methods=["GET"])
    @routes.query
    @routes.response(200, object_schema("HistoryChanges", changes=list[HistoryChange]))
    def list_changes(
        *,
        before: int | None = about(None, validate=validate.Range(min=1)),
        limit: int = about(50, validate=validate.Range(min=1, max=500)),
    ) -> dict[str, list[HistoryChange]]:
        """List who filled in deep links or pruned the history, newest first."""
        with database.transaction() as connection:
            return {"changes": select_changes(connection, before, limit)}


def _find_file(name: str) -> FileStorage:
    if request.content_length and request.mimetype != "multipart/form-data":
        raise UnsupportedMediaType(f"{name}: send a CSV file as multipart/form-data.")
    file = request.files.get(name)
    if file is None or not file.filename:
        raise ValidationError({name: ["Send a CSV file as multipart/form-data."]})
    if not file.filename.lower().endswith(".csv"):
        raise ValidationError({name: [f"{file.filename!r} is no CSV file (.csv)."]})
    return file


def _make_request(kind: str, form: Mapping[str, Any], file: FileStorage) -> ImportRequest:
    return ImportRequest(
        kind=kind,
        file_name=file.filename or "",
        caller=caller_name(),
        sha256=_hash(file),
        all_or_nothing=form["all_or_nothing"],
        dry_run=form["dry_run"],
    )


def _hash(file: FileStorage) -> str:
    file.stream.seek(0)
    digest = file_digest(file.stream, "sha256").hexdigest()  # type: ignore[arg-type]  # it reads
    file.stream.seek(0)
    return digest


def _answer_import(asked: ImportRequest, found: ImportResult, note: str) -> Response:
    done = "would be imported" if asked.dry_run else "imported"
    if note:
        log.warning("import_note", import_id=found.import_id, note=note)
    counted = f"{found.inserted} {done}, {found.duplicates} duplicates, {found.bad} bad."
    return jsonify(
        success=True,
        message=f"{counted} {note}".strip(),
        details={
            "importId": found.import_id,
            "totalRows": found.total,
            "validRows": found.valid,
            "insertedRows": found.inserted,
            "insertedCount": found.inserted,
            "duplicatesSkipped": found.duplicates,
            "invalidCount": found.bad,
            "errors": [f"Row {row.number}: {'; '.join(row.errors)}" for row in found.bad_rows],
        },
    )


def answer_refused(error: ImportRefusedError) -> Response:
    """Answer which rows are bad, in the shape of the original."""
    found = error.found
    rows = [{"rowIndex": row.number, "errors": list(row.errors)} for row in found.bad_rows]
    details = {"invalidRows": rows, "missingColumns": [], "totalRows": found.total}
    return problem_response(400, "Bad Request", str(error), details=details)


def answer_bad_file(error: CsvError) -> Response:
    """Answer what is wrong with the file as a whole, in the shape of the original."""
    missing = error.missing_columns if isinstance(error, HistoryCsvError) else []
    details = {"invalidRows": [], "missingColumns": missing, "totalRows": 0}
    return problem_response(400, "Bad Request", str(error), details=details)
