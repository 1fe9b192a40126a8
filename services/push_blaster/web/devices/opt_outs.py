"""Routes about opt-outs: which users do not want which pushes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from flask.typing import ResponseReturnValue
from marshmallow import ValidationError, validate

from chassis.bearer_auth import Role, asks_for, caller_name, for_apps, user_of_caller
from chassis.clock import utc_now
from chassis.http.request_classes import RequestClass, of_class
from chassis.postgres import Database
from chassis.service import Routes
from chassis.typed_schemas import about, answer_schema, object_schema, page_schema, request_schema
from push_blaster.adapters.csv_cells import write_csv
from push_blaster.adapters.devices.opt_out_csv import (
    NewOptOutSchema,
    Origin,
    make_opt_out,
    read_opt_outs,
)
from push_blaster.adapters.devices.opt_out_table import (
    OptOutFilter,
    delete_opt_outs,
    select_opt_outs,
    upsert_opt_outs,
)
from push_blaster.domain.devices.opt_out import OptOut, Scope, Source
from push_blaster.use_cases.devices.set_opt_outs import set_opt_outs
from push_blaster.web.access.identity_callers import TOKENS_OR_USERS, UserIdField
from push_blaster.web.devices.csv_imports import CSV_BODY, answer_import, import_schema
from push_blaster.web.frame.common_schemas import PageQuery, refuse_unknown_names
from push_blaster.web.frame.csv_answers import answer_csv
from push_blaster.web.frame.cursors import next_cursor, read_cursor

_ALL: Final = "/api/opt-outs"
#: How many rows of an exported list are read at once.
PAGE: Final = 5_000
COLUMNS: Final = ("user_id", "scope", "layer_id", "automation_id", "until", "reason", "set_at")

_SHOWN: Final[Any] = answer_schema(OptOut, without=("target",), more=("layer_id", "automation_id"))
_LAYER: Final[Any] = about(None, validate=validate.Range(min=1, max=5))


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOutQuery(PageQuery):
    """Filters of the list of opt-outs: a user, or the pushes that they are about."""

    user_id: UUID | None = about(None, like=UserIdField)
    scope: Scope | None = None
    layer_id: int | None = _LAYER
    automation_id: str | None = None

    def find_filter(self) -> OptOutFilter:
        """Return the filter that the list asks for."""
        scope, target = find_target(self.scope, self.layer_id, self.automation_id)
        return OptOutFilter(user_id=self.user_id, scope=scope, target=target)


@dataclass(frozen=True, slots=True, kw_only=True)
class OptInQuery:
    """Which opt-outs of a user are deleted."""

    user_id: UUID = about(like=UserIdField)
    scope: Scope | None = None
    layer_id: int | None = _LAYER
    automation_id: str | None = None


#: An opt-out of the user who is named, or of the user of the identity token.
_ASKED: Final = NewOptOutSchema.from_dict(
    {"user_id": UserIdField(required=True)}, name="NewOptOutSchema"
)


def opt_out_routes(database: Database) -> Routes:
    """Return the routes about opt-outs."""
    routes = Routes("opt_outs", __name__, description="Users who do not want pushes")

    @routes.route(_ALL, methods=["GET"])
    @for_apps(tokens=False)
    @routes.doc(security=TOKENS_OR_USERS)
    @routes.arguments(request_schema(OptOutQuery), location="query")
    @routes.response(200, page_schema(_SHOWN, "optOuts", "OptOutList"))
    def list_all(query: OptOutQuery) -> dict[str, object]:
        """List the opt-outs that hold, of all users or of one, by user.

        An identity token lists those of its user, who need not be named, without the reason and the
        name of an operator who set one.
        """
        refuse_unknown_names(OptOutQuery)
        after = read_cursor(query.cursor, UUID, str)
        with database.transaction() as connection:
            found = select_opt_outs(connection, query.find_filter(), utc_now(), after, query.limit)
        shown = [one.as_the_user_sees_it() for one in found] if user_of_caller() else found
        return {"optOuts": shown, "next_cursor": next_cursor(found, query.limit, _place)}

    _add_changes(routes, database)
    _add_files(routes, database)
    return routes


def _add_changes(routes: Routes, database: Database) -> None:
    @routes.route(_ALL, methods=["POST"])
    @asks_for(Role.OPERATOR)
    @for_apps()
    @routes.doc(security=TOKENS_OR_USERS)
    @routes.arguments(_ASKED)
    @routes.response(200, _SHOWN)
    def opt_out(given: Mapping[str, Any]) -> OptOut:
        """Let a user get no push of these any more; it replaces the one before. Safe to repeat."""
        asked = make_opt_out(given, originate(Source.APP if user_of_caller() else Source.API))
        with database.transaction() as connection:
            upsert_opt_outs(connection, [asked])
        return asked

    @routes.route(_ALL, methods=["DELETE"])
    @asks_for(Role.OPERATOR)
    @for_apps()
    @routes.doc(security=TOKENS_OR_USERS)
    @routes.arguments(request_schema(OptInQuery), location="query")
    @routes.response(200, object_schema("OptedIn", deleted=int))
    def opt_in(query: OptInQuery) -> dict[str, int]:
        """Delete an opt-out of a user, or without a scope every one; safe to repeat."""
        # A slip in a name must not delete every opt-out of the user.
        refuse_unknown_names(OptInQuery)
        scope, target = find_target(query.scope, query.layer_id, query.automation_id)
        if scope and target is None:
            raise ValidationError({"scope": [f"Say which {scope}: layerId or automationId."]})
        with database.transaction() as connection:
            return {"deleted": delete_opt_outs(connection, query.user_id, scope, target or "")}


def _add_files(routes: Routes, database: Database) -> None:
    @routes.route("/api/opt-outs/import", methods=["POST"])
    @asks_for(Role.OPERATOR)
    @routes.doc(requestBody=CSV_BODY)
    @routes.response(200, import_schema("ImportedOptOuts", "set"))
    def import_file() -> Mapping[str, object]:
        """Set the opt-outs of a CSV (`text/csv` or multipart `file`); `dryRun` stores none."""
        return answer_import(
            lambda body, name: read_opt_outs(body, name, originate(Source.IMPORT)),
            lambda file, dry_run: set_opt_outs(database, file.rows, dry_run=dry_run),
            "set",
        )

    @routes.route("/api/opt-outs.csv", methods=["GET"])
    @of_class(RequestClass.EXPORT)
    @routes.answers(content_type="text/csv")
    def export() -> ResponseReturnValue:
        """Export the opt-outs that hold; the import reads the file."""
        return answer_csv(_write(database, utc_now()), "opt-outs.csv")


def find_target(
    scope: Scope | None, layer_id: int | None, automation_id: str | None
) -> tuple[Scope | None, str | None]:
    """Return the scope and its target; a layer or an automation is a scope of its own."""
    given = {Scope.LAYER: layer_id, Scope.AUTOMATION: automation_id}
    named = [(one, str(target)) for one, target in given.items() if target is not None]
    if len(named) > 1 or any(scope not in {None, one} for one, _ in named):
        raise ValidationError({"scope": ["Give one scope: all, a layerId, or an automationId."]})
    if named:
        return named[0]
    return scope, "" if scope is Scope.ALL else None


def originate(source: Source) -> Origin:
    """Return who sets opt-outs by this request, and when; a user sets the own ones."""
    return Origin(source=source, by="" if user_of_caller() else caller_name(), at=utc_now())


def _place(one: OptOut) -> tuple[object, object]:
    return one.user_id, f"{one.scope}/{one.target}"


def _write(database: Database, now: datetime) -> Iterator[str]:
    """Yield the whole list as CSV, page by page."""
    yield write_csv([COLUMNS])
    after: tuple[UUID, str] | None = None
    while True:
        with database.transaction() as connection:
            found = select_opt_outs(connection, OptOutFilter(), now, after, PAGE)
        if not found:
            return
        yield write_csv(_write_row(one) for one in found)
        after = found[-1].user_id, f"{found[-1].scope}/{found[-1].target}"


def _write_row(one: OptOut) -> tuple[object, ...]:
    until = one.until.isoformat() if one.until else ""
    target = (one.layer_id or "", one.automation_id or "")
    return (one.user_id, one.scope, *target, until, one.reason, one.set_at.isoformat())
