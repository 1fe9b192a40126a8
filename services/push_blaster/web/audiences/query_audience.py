"""The original's audience query: it splits CSVs; filters need a script."""

from collections.abc import Mapping
from io import BytesIO
from typing import Any, Final
from zipfile import ZIP_DEFLATED, ZipFile

from flask import send_file
from flask.typing import ResponseReturnValue
from marshmallow import ValidationError, fields, validate

from chassis.bearer_auth import Role, asks_for
from chassis.clock import utc_now
from chassis.csv_reader import CsvError
from chassis.schemas import OpenSchema
from chassis.service import Routes
from push_blaster.adapters.audiences.audience_split import split_audience

MAX_PARTS: Final = 100
NO_QUERY: Final = (
    "is missing. This service has no database of users, so filters and data packs find nobody: let "
    "an audience script find them (GET /api/scripts lists them; POST /api/scripts runs one), or "
    "name users in manualUserIds of a scheduled push, or in userIds of POST /api/send-push."
)


class QueryAudienceSchema(OpenSchema):
    """Body of POST /api/query-audience."""

    csv_data = fields.String(load_default="")
    split_count = fields.Integer(load_default=1, validate=validate.Range(min=1, max=MAX_PARTS))


def query_audience_routes() -> Routes:
    """Return the route that splits an audience."""
    routes = Routes("query_audience", __name__, description="Audiences, split into parts")

    @routes.route("/api/query-audience", methods=["POST"])
    @asks_for(Role.VIEWER, simulates=True)
    @routes.arguments(QueryAudienceSchema)
    @routes.alt_response(200, content_type="application/zip")
    def split(body: Mapping[str, Any]) -> ResponseReturnValue:
        """Split `csvData` into `splitCount` CSVs of equal size, in a zip."""
        if not body["csv_data"]:
            raise ValidationError({"csvData": [NO_QUERY]})
        try:
            archive = _pack(body["csv_data"], body["split_count"])
        except CsvError as error:
            raise ValidationError({"csvData": [str(error)]}) from error
        name = f"audience_segments_{utc_now():%Y-%m-%d}.zip"
        return send_file(archive, "application/zip", as_attachment=True, download_name=name)

    return routes


def _pack(text: str, count: int) -> BytesIO:
    packed = BytesIO()
    with ZipFile(packed, "w", ZIP_DEFLATED) as archive:
        for number, part in enumerate(split_audience(text, count), start=1):
            with archive.open(f"part-{number}-of-{count}.csv", "w") as file:
                file.writelines(piece.encode() for piece in part)
    packed.seek(0)
    return packed
