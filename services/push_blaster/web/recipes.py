"""Routes about automations, under the original's name for them: recipes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flask import Response, jsonify
from flask.typing import ResponseReturnValue
from marshmallow import INCLUDE, Schema, ValidationError, fields, validate

from chassis.clock import utc_now
from chassis.service import Routes
from push_blaster.adapters.automation_document import read_automation
from push_blaster.adapters.automation_files import AutomationFiles
from push_blaster.adapters.automation_schema import AutomationSchema
from push_blaster.domain.schedule import next_slots
from push_blaster.use_cases.change_automation import (
    CancelPending,
    Change,
    create_automation,
    delete_automation,
    edit_automation,
)
from push_blaster.web.versions import check_if_match, tag

#: Returns, for each automation that ever ran, its counters under the document's names.
ReadStatistics = Callable[[Sequence[str]], Mapping[str, dict[str, object]]]


class RecipeQuerySchema(Schema):
    """Query of GET /api/automation/recipes."""

    status = fields.String(load_default=None)
    type = fields.String(load_default=None)
    template = fields.String(load_default=None)


class RecipeIdSchema(Schema):
    """Query of DELETE /api/automation/recipes."""

    id = fields.String(required=True, validate=validate.Length(min=1))


class RecipeChangeSchema(Schema):
    """Body of a change: any fields of an automation; those given replace the old ones."""

    class Meta:
        unknown = INCLUDE


class RecipeAnswerSchema(Schema):
    """An automation in the original's envelope."""

    success = fields.Boolean()
    data = fields.Nested(AutomationSchema)
    message = fields.String()
    cancelledExecutions = fields.List(fields.String())  # noqa: N815 - the wire's name


class BrokenFileSchema(Schema):
    """A file that should be an automation and is not."""

    file = fields.String()
    error = fields.String()


class RecipeListSchema(Schema):
    """Automations in the original's envelope, and the files that are broken."""

    success = fields.Boolean()
    data = fields.List(fields.Nested(AutomationSchema))
    message = fields.String()
    broken = fields.List(fields.Nested(BrokenFileSchema))


def recipe_routes(
    files: AutomationFiles, cancel_pending: CancelPending, read_statistics: ReadStatistics
) -> Routes:
    """Return the routes about automations."""
    routes = Routes("recipes", __name__, description="Automations")
    path, one = "/api/automation/recipes", "/api/automation/recipes/<automation_id>"

    @routes.route(path, methods=["GET"])
    @routes.arguments(RecipeQuerySchema, location="query")
    @routes.response(200, RecipeListSchema)
    def list_all(query: dict[str, Any]) -> ResponseReturnValue:
        """List automations; broken files are listed beside them."""
        listing = files.list_all()
        found = [document for document in listing.documents if _fits(document, query)]
        return jsonify(
            success=True,
            data=_with_statistics(found, read_statistics),
            message=f"{len(found)} automations.",
            broken=[{"file": b.name, "error": b.error} for b in listing.broken],
        )

    @routes.route(path, methods=["POST"])
    @routes.arguments(RecipeChangeSchema, example={"name": "…", "type": "recurring"})
    @routes.alt_response(201, schema=RecipeAnswerSchema)
    def create(body: dict[str, Any]) -> ResponseReturnValue:
        """Create an automation; it gets an id if it brings none."""
        return _answer(create_automation(files, body, utc_now()), "created", 201)

    @routes.route(path, methods=["PUT"])
    @routes.arguments(RecipeChangeSchema)
    @routes.alt_response(200, schema=RecipeAnswerSchema)
    def edit_by_body(body: dict[str, Any]) -> ResponseReturnValue:
        """Change the automation whose id is in the body."""
        if not isinstance(body.get("id"), str):
            raise ValidationError({"id": ["Say which automation is to be changed."]})
        return _edit(files, body["id"], body, cancel_pending)

    @routes.route(path, methods=["DELETE"])
    @routes.arguments(RecipeIdSchema, location="query")
    @routes.alt_response(200, schema=RecipeAnswerSchema)
    def delete_by_query(query: dict[str, Any]) -> ResponseReturnValue:
        """Delete the automation whose id is in the query."""
        return _delete(files, query["id"], cancel_pending)

    @routes.route(one, methods=["GET"])
    @routes.alt_response(200, schema=RecipeAnswerSchema)
    def read_one(automation_id: str) -> ResponseReturnValue:
        """Read one automation; its ETag is its version."""
        document = files.load(automation_id)
        (shown,) = _with_statistics([document], read_statistics)
        return tag(jsonify(success=True, data=shown, message="Found."), document)

    @routes.route(one, methods=["PUT"])
    @routes.arguments(RecipeChangeSchema)
    @routes.alt_response(200, schema=RecipeAnswerSchema)
    def edit(body: dict[str, Any], automation_id: str) -> ResponseReturnValue:
        """Change an automation; send If-Match, or the version in the body, to lose no update."""
        return _edit(files, automation_id, body, cancel_pending)

    @routes.route(one, methods=["DELETE"])
    @routes.alt_response(200, schema=RecipeAnswerSchema)
    def delete(automation_id: str) -> ResponseReturnValue:
        """Delete an automation."""
        return _delete(files, automation_id, cancel_pending)

    return routes


def _edit(
    files: AutomationFiles,
    automation_id: str,
    body: dict[str, Any],
    cancel_pending: CancelPending,
) -> Response:
    version = check_if_match(files, automation_id)
    sent = body if version is None else {**body, "version": version}
    return _answer(edit_automation(files, automation_id, sent, cancel_pending, utc_now()), "saved")


def _delete(files: AutomationFiles, automation_id: str, cancel_pending: CancelPending) -> Response:
    version = check_if_match(files, automation_id)
    cancelled = delete_automation(files, automation_id, version, cancel_pending)
    return jsonify(success=True, message="Deleted.", cancelledExecutions=cancelled)


def _answer(change: Change, done: str, status: int = 200) -> Response:
    message = f"The automation {change.document['id']!r} is {done}."
    if change.cancelled:
        message += f" Cancelled with it: {', '.join(change.cancelled)}."
    response = jsonify(
        success=True, data=change.document, message=message, cancelledExecutions=change.cancelled
    )
    response.status_code = status
    return tag(response, change.document)


def _fits(document: Mapping[str, Any], query: Mapping[str, str | None]) -> bool:
    shown = {**document, "template": (document.get("template") or {}).get("id")}
    return all(shown[name] == value for name, value in query.items() if value is not None)


def _with_statistics(
    documents: Sequence[Mapping[str, Any]], read_statistics: ReadStatistics
) -> list[dict[str, Any]]:
    statistics = read_statistics([document["id"] for document in documents])
    return [_shown(document, statistics.get(document["id"], {})) for document in documents]


def _shown(document: Mapping[str, Any], statistics: Mapping[str, object]) -> dict[str, Any]:
    """Return the document with counters from the engine's records, not its own old ones."""
    automation = read_automation(document)
    slots = next_slots(automation.schedule, utc_now(), 1) if automation.is_scheduled else []
    counters = {
        "totalExecutions": 0,
        "successfulExecutions": 0,
        "failedExecutions": 0,
        "lastExecutedAt": None,
        "lastError": None,
        "nextExecutionAt": slots[0].at.isoformat() if slots else None,
    }
    metadata = {**(document.get("metadata") or {}), **counters, **statistics}
    return {**document, "metadata": metadata}
