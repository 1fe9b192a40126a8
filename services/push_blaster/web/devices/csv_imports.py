"""What the imports of devices and of opt-outs share: the CSV of a request, and its answer."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import IO, Any, Final

from flask import request
from flask.typing import ResponseReturnValue
from marshmallow import Schema, ValidationError, fields

from chassis.csv_reader import CsvError
from chassis.schemas import CamelSchema
from chassis.service import describe_upload
from chassis.typed_schemas import object_schema
from push_blaster.adapters.devices.csv_items import Item, ItemFile
from push_blaster.use_cases.devices.import_items import Imported

#: A million devices have about 250 MB.
MAX_FILE: Final = 1024**3

#: Reads a file from its name on.
ReadFile = Callable[[IO[bytes], str], ItemFile[Item]]
#: Writes the rows of a file, or with True makes a dry run.
WriteFile = Callable[[ItemFile[Item], bool], Imported[Item]]


class ImportQuerySchema(CamelSchema):
    """Query of an import, or its form beside the file; a slip in `dryRun` must not import."""

    dry_run = fields.Boolean(load_default=False)


CSV_BODY: Final = {
    "content": {
        "text/csv": {"schema": {"type": "string"}},
        **describe_upload("file", ImportQuerySchema),
    }
}


_BadRowSchema = object_schema("BadRow", line=int, error=str)
NotedRowSchema: Final = object_schema("NotedRow", line=int, notes=list[str])


def import_schema(name: str, written: str, **more: Any) -> type[Schema]:
    """Return the schema of an answer; `written` is the name of the count of rows written."""
    counts = dict.fromkeys(("rows", written, "unchanged", "refused"), int)
    parts = {"dry_run": bool, **counts, "errors": (_BadRowSchema,), "note": str, **more}
    return object_schema(name, **parts)


def answer_import(
    read: ReadFile[Item], write: WriteFile[Item], written: str
) -> Mapping[str, object]:
    """Import the CSV of a request of the API, or check it only."""
    request.max_content_length = MAX_FILE
    dry_run = ImportQuerySchema().load({**request.args, **request.form})["dry_run"]
    with _open_body() as body:
        file = read(body, "The file")
        done = write(file, dry_run)
    return {
        "dry_run": dry_run,
        "rows": done.rows,
        written: done.written,
        "unchanged": done.unchanged,
        "refused": done.bad,
        "errors": [{"line": row.line, "error": row.fault} for row in done.bad_rows],
        "ignored": [{"line": row.line, "notes": row.notes} for row in done.noted_rows],
        **({"note": file.note} if file.note else {}),
    }


def show_import(
    page: Callable[..., ResponseReturnValue], read: ReadFile[Item], write: WriteFile[Item]
) -> ResponseReturnValue:
    """Import the CSV of a form, or check it only, and show the page with the result."""
    request.max_content_length = MAX_FILE
    file = request.files.get("file")
    is_trial = request.form.get("then") != "import"
    if file is None or not file.filename:
        return page(400, import_fault="Choose a CSV file first.")
    try:
        found = read(file.stream, file.filename)
        done = write(found, is_trial)
    except CsvError as error:
        return page(400, import_fault=str(error))
    return page(done=done, done_note=found.note, is_trial=is_trial)


@contextmanager
def _open_body() -> Iterator[IO[bytes]]:
    """Open the CSV of the request, on disk: a reader goes through it twice."""
    if request.mimetype == "text/csv":
        with TemporaryFile() as body:
            copyfileobj(request.stream, body)
            yield body
    elif upload := request.files.get("file"):
        yield upload.stream
    else:
        raise ValidationError({"file": ["Send a CSV as text/csv, or as multipart/form-data."]})
