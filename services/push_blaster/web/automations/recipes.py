"""Routes about automations, under the original's name for them: recipes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from flask import Response, jsonify
from flask.typing import ResponseReturnValue
from marshmallow import ValidationError, validate

from chassis.clock import utc_now
from chassis.schemas import OpenSchema
from chassis.service import Routes
from chassis.typed_schemas import about, request_schema
from push_blaster.adapters.automations.automation_document import read_automation
from push_blaster.adapters.automations.automation_files import StoredAutomation
from push_blaster.adapters.automations.automation_schema import AutomationSchema
from push_blaster.adapters.one_off.scheduled_push_document import is_scheduled_push
from push_blaster.domain.number_words import number_of
from push_blaster.use_cases.automations.change_automation import (
    AutomationChange,
    Judge,
    changed_document,
    create_automation,
    delete_automation,
    edit_automation,
    new_document,
)
from push_blaster.use_cases.automations.list_automations import AutomationLists
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.schedule.refuse_activation import refuse_activation
from push_blaster.use_cases.schedule.slots_ahead import find_cancelled_slots
from push_blaster.web.automations.versions import check_if_match, tag
from push_blaster.web.frame.common_schemas import AUTOMATION_ID, BrokenFileSchema, envelope_schema
from push_blaster.web.frame.repeatable import find_made_before, id_by_key, name_by_key, repeatable


@dataclass(frozen=True, slots=True)
class ActivationQuery:
    """Query of a request that may make an automation active."""

    accept_findings: bool = about(
        False,
        description="make it active even if its plan has a finding that lets it surely fail",
    )


ActivationSchema = request_schema(ActivationQuery)


class RecipeChangeSchema(OpenSchema):
    """Body of a change: any fields of an automation; they replace the old ones."""


RecipeAnswerSchema = envelope_schema(
    "RecipeAnswer", AutomationSchema, cancelled_executions=list[str]
)
RecipeListSchema = envelope_schema(
    "RecipeList", (AutomationSchema,), broken=(BrokenFileSchema,), total=int, next=str | None
)
LIMIT: Final[Any] = about(
    None, validate=validate.Range(min=1), description="the largest number; default: all"
)
ARCHIVED: Final[Any] = about(False, description="only those of the archive, instead of the others")
FOLLOWS: Final[Any] = about(
    "", description="only those whose id follows this one: the last page's `next`"
)

_PATH: Final = "/api/automation/recipes"
_ONE: Final = f"{_PATH}/<automation_id>"


def recipe_routes(context: WebContext) -> Routes:
    """Return the routes about automations."""
    routes = Routes("recipes", __name__, description="Automations")
    _add_reads(routes, context, AutomationLists(context.database))
    _add_creation(routes, context)
    _add_changes(routes, context)
    return routes


def _add_reads(routes: Routes, context: WebContext, lists: AutomationLists) -> None:
    files = context.files

    def show(found: Sequence[StoredAutomation]) -> list[Mapping[str, Any]]:
        now = utc_now()
        return lists.show(found, now, find_cancelled_slots(context.database, now))

    @routes.route(_PATH, methods=["GET"])
    @routes.query
    @routes.response(200, RecipeListSchema)
    def list_all(
        *,
        status: str | None = None,
        type: str | None = None,  # noqa: A002 - the query's own name
        template: str | None = None,
        archived: bool = ARCHIVED,
        limit: int | None = LIMIT,
        after: str = FOLLOWS,
    ) -> ResponseReturnValue:
        """List automations by id, all or a page of them; broken files are listed beside them."""
        filters = {"status": status, "type": type, "template": template}
        found = [
            one
            for one in files.read_all().values()
            if one.automation.is_archived == archived and _fits_filters(one.document, filters)
        ]
        rest = sorted((o for o in found if o.automation.id > after), key=_id)
        page = rest[:limit]
        return jsonify(
            success=True,
            data=show(page),
            message=f"{number_of(len(found), 'automation')}.",
            broken=[{"file": b.name, "error": b.error} for b in files.list_all().broken],
            total=len(found),
            next=page[-1].automation.id if len(page) < len(rest) else None,
        )

    @routes.route(_ONE, methods=["GET"])
    @routes.alt_response(200, schema=RecipeAnswerSchema)
    def read_one(automation_id: str) -> ResponseReturnValue:
        """Read one automation; its ETag is its version."""
        document = files.load(automation_id)
        stored = StoredAutomation(read_automation(document), document)
        (shown,) = show([stored])
        return tag(jsonify(success=True, data=shown, message="Found."), document)


def _add_creation(routes: Routes, context: WebContext) -> None:
    files = context.files

    @routes.route(_PATH, methods=["POST"])
    @routes.arguments(ActivationSchema, location="query")
    @routes.arguments(RecipeChangeSchema, example={"name": "…", "type": "recurring"})
    @repeatable(routes, context.database)
    @routes.alt_response(201, schema=RecipeAnswerSchema)
    def create(
        query: ActivationQuery, body: Mapping[str, Any], idempotency_key: str | None
    ) -> ResponseReturnValue:
        """Create an automation; without an id it gets one, the same for an Idempotency-Key."""
        key, named = idempotency_key, name_by_key(body, idempotency_key)
        if key and not body.get("id"):
            named = {**body, "id": id_by_key(files, key, lambda one: not is_scheduled_push(one))}
        made = find_made_before(files, body, named)
        if not made and not query.accept_findings:
            _refuse_activation(new_document(named, utc_now()), context)
        change = AutomationChange(made) if made else create_automation(files, named, utc_now())
        return answer_change(change, "created", 201)


def _add_changes(routes: Routes, context: WebContext) -> None:
    @routes.route(_PATH, methods=["PUT"])
    @routes.arguments(ActivationSchema, location="query")
    @routes.arguments(RecipeChangeSchema)
    @routes.alt_response(200, schema=RecipeAnswerSchema)
    def edit_by_body(query: ActivationQuery, body: Mapping[str, Any]) -> ResponseReturnValue:
        """Change the automation whose id is in the body."""
        if not isinstance(body.get("id"), str):
            raise ValidationError({"id": ["Give the id of the automation to change."]})
        return _edit(context, body["id"], body, query)

    @routes.route(_PATH, methods=["DELETE"])
    @routes.query
    @routes.alt_response(200, schema=RecipeAnswerSchema)
    def delete_by_query(
        *,
        id: str = AUTOMATION_ID,  # noqa: A002 - the query's own name
    ) -> ResponseReturnValue:
        """Delete the automation whose id is in the query."""
        return _delete(context, id)

    @routes.route(_ONE, methods=["PUT"])
    @routes.arguments(ActivationSchema, location="query")
    @routes.arguments(RecipeChangeSchema)
    @routes.alt_response(200, schema=RecipeAnswerSchema)
    def edit(
        query: ActivationQuery, body: Mapping[str, Any], automation_id: str
    ) -> ResponseReturnValue:
        """Change an automation; with If-Match, or the version in the body, no update is lost."""
        return _edit(context, automation_id, body, query)

    @routes.route(_ONE, methods=["DELETE"])
    @routes.alt_response(200, schema=RecipeAnswerSchema)
    def delete(automation_id: str) -> ResponseReturnValue:
        """Delete an automation."""
        return _delete(context, automation_id)


def _edit(
    context: WebContext, automation_id: str, body: Mapping[str, Any], query: ActivationQuery
) -> Response:
    files = context.files
    version = check_if_match(files, automation_id)
    sent = body if version is None else {**body, "version": version}
    if not query.accept_findings:
        old = files.load(automation_id)
        _refuse_activation(changed_document(old, sent, utc_now()), context, old)
    changed = edit_automation(files, context.database, automation_id, sent, utc_now())
    return answer_change(changed, "saved")


def judge_activation(context: WebContext, query: ActivationQuery | None = None) -> Judge:
    """Return what refuses to make an automation active that will surely fail, unless asked to."""
    if query and query.accept_findings:
        return lambda _: None
    return lambda automation: refuse_activation(automation, context, utc_now())


def _refuse_activation(
    document: Mapping[str, Any], context: WebContext, old: Mapping[str, Any] | None = None
) -> None:
    before = read_automation(old) if old else None
    refuse_activation(read_automation(document), context, utc_now(), before)


def _delete(context: WebContext, automation_id: str) -> Response:
    files, database = context.files, context.database
    version = check_if_match(files, automation_id)
    cancelled = delete_automation(files, database, automation_id, version, utc_now())
    return jsonify(success=True, message="Deleted.", cancelledExecutions=cancelled)


def answer_change(change: AutomationChange, done: str, status: int = 200) -> Response:
    """Return the answer of a route that changed an automation."""
    message = f"The automation {change.document['id']!r} is {done}."
    if change.cancelled:
        message += f" Cancelled with it: {', '.join(change.cancelled)}."
    response = jsonify(
        success=True, data=change.document, message=message, cancelledExecutions=change.cancelled
    )
    response.status_code = status
    return tag(response, change.document)


def _id(stored: StoredAutomation) -> str:
    return stored.automation.id


def _fits_filters(document: Mapping[str, Any], filters: Mapping[str, str | None]) -> bool:
    shown = {
        "status": document["status"],
        "type": document["type"],
        "template": (document.get("template") or {}).get("id"),
    }
    return all(filters[name] in {None, value} for name, value in shown.items())
