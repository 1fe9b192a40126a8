"""Routes that duplicate and archive automations, and that undo a deletion."""

from typing import Any, Final

from flask.typing import ResponseReturnValue
from marshmallow import validate

from chassis.clock import utc_now
from chassis.service import Routes
from chassis.typed_schemas import about, answer_schema, object_schema
from push_blaster.adapters.automations.version_table import select_removed
from push_blaster.domain.automations.version import Version
from push_blaster.use_cases.automations.change_automation import AutomationChange
from push_blaster.use_cases.automations.put_away import (
    archive,
    duplicate_automation,
    duplicate_document,
    unarchive,
    undo_delete,
)
from push_blaster.use_cases.context import WebContext
from push_blaster.web.automations.recipes import (
    ActivationQuery,
    ActivationSchema,
    RecipeAnswerSchema,
    answer_change,
    judge_activation,
)
from push_blaster.web.automations.versions import check_if_match
from push_blaster.web.frame.common_schemas import up_to
from push_blaster.web.frame.repeatable import find_made_before, name_by_key, repeatable

DeletedSchema = answer_schema(Version, "Deleted", without=("document",), name=str)
DeletedListSchema = object_schema("DeletedList", deleted=(DeletedSchema,))
#: The name of a duplicate.
NAME: Final[Any] = about(None, validate=validate.Length(min=1, max=255))
#: The id of a duplicate.
ID: Final[Any] = about(None, validate=validate.Length(min=1))

_ONE: Final = "/api/automation/recipes/<automation_id>"


def put_away_routes(context: WebContext) -> Routes:
    """Return the routes for duplicates, the archive and deleted automations."""
    routes = Routes("put_away", __name__, description="Duplicate, archive, undo")
    _add_duplicate(routes, context)
    _add_archive(routes, context)
    _add_deleted(routes, context)
    return routes


def _add_duplicate(routes: Routes, context: WebContext) -> None:
    @routes.route(f"{_ONE}/duplicate", methods=["POST"])
    @routes.body("Duplicate", required=False)
    @repeatable(routes, context.database)
    @routes.alt_response(201, schema=RecipeAnswerSchema)
    def duplicate(
        automation_id: str,
        idempotency_key: str | None,
        *,
        id: str | None = ID,  # noqa: A002 - the body's own name
        name: str | None = NAME,
    ) -> ResponseReturnValue:
        """Create a draft like an automation, with an id and a name of its own."""
        original = context.files.load(automation_id)
        sent = {**duplicate_document(original, name), **({"id": id} if id else {})}
        named = name_by_key(sent, idempotency_key)
        made = find_made_before(context.files, sent, named)
        change = (
            AutomationChange(made)
            if made
            else duplicate_automation(context.files, original, named, utc_now())
        )
        return answer_change(change, "created, as a draft", 201)


def _add_archive(routes: Routes, context: WebContext) -> None:
    files, database = context.files, context.database

    @routes.route(f"{_ONE}/archive", methods=["POST"])
    @routes.alt_response(200, schema=RecipeAnswerSchema)
    def put_into(automation_id: str) -> ResponseReturnValue:
        """Archive an automation: it leaves the lists and does not run; pending runs end."""
        expected = check_if_match(files, automation_id)
        change = archive(files, database, automation_id, expected, utc_now())
        return answer_change(change, "archived")

    @routes.route(f"{_ONE}/unarchive", methods=["POST"])
    @routes.arguments(ActivationSchema, location="query")
    @routes.body("Unarchive", required=False)
    @routes.alt_response(200, schema=RecipeAnswerSchema)
    def take_out(
        query: ActivationQuery, automation_id: str, *, resume: bool = False
    ) -> ResponseReturnValue:
        """Take an automation out of the archive; with `resume` it is on again."""
        judge = judge_activation(context, query) if resume else None
        expected = check_if_match(files, automation_id)
        change = unarchive(files, database, automation_id, expected, judge, utc_now())
        return answer_change(change, "out of the archive")


def _add_deleted(routes: Routes, context: WebContext) -> None:
    @routes.route("/api/automation/deleted", methods=["GET"])
    @routes.query
    @routes.response(200, DeletedListSchema)
    def list_deleted(*, limit: int = up_to(1_000, 200)) -> dict[str, object]:
        """List deleted automations that can be brought back, those of the last days first."""
        with context.database.transaction() as connection:
            found = select_removed(connection, limit)
        return {"deleted": [_show_deleted(one) for one in found]}

    @routes.route(f"{_ONE}/undo-delete", methods=["POST"])
    @routes.alt_response(200, schema=RecipeAnswerSchema)
    def undo(automation_id: str) -> ResponseReturnValue:
        """Undo the deletion of an automation: it is as it was, and its executions are its own."""
        document = undo_delete(context.files, context.database, automation_id, utc_now())
        return answer_change(AutomationChange(document), "back")


def _show_deleted(version: Version) -> dict[str, object]:
    names = ("id", "automation_id", "version", "kind", "author", "reason", "saved_at", "generation")
    line: dict[str, object] = {name: getattr(version, name) for name in names}
    return {**line, "name": version.document["name"]}
