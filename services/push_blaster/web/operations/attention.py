"""Routes about what needs a person: executions that went wrong, and their dismissals."""

from collections.abc import Mapping

from marshmallow import validate

from chassis.bearer_auth import Role, asks_for, caller_name
from chassis.clock import utc_now
from chassis.postgres import Database
from chassis.service import Routes
from chassis.typed_schemas import about, object_schema
from push_blaster.adapters.operations.troubled_executions import (
    TROUBLE_LASTS,
    TroubledAutomation,
    select_troubled,
)
from push_blaster.use_cases.operations.dismiss_execution import dismiss_execution, take_up_again
from push_blaster.web.frame.common_schemas import up_to

TroubledListSchema = object_schema("TroubledList", items=list[TroubledAutomation])
DismissedSchema = object_schema("Dismissed", execution_id=str, is_dismissed=bool)
MAX_NOTE = 500


def attention_routes(database: Database) -> Routes:
    """Return the routes about what needs a person."""
    routes = Routes("attention", __name__, description="What needs a person")

    @routes.route("/api/attention", methods=["GET"])
    @routes.query
    @routes.response(200, TroubledListSchema)
    def list_all(*, dismissed: bool = False, limit: int = up_to(500)) -> Mapping[str, object]:
        """List automations whose last live run went wrong within a week, newest first."""
        with database.transaction() as connection:
            since = utc_now() - TROUBLE_LASTS
            found = select_troubled(connection, since, limit, dismissed=dismissed)
        return {"items": found}

    @routes.route("/api/executions/<execution_id>/dismissal", methods=["PUT"])
    @asks_for(Role.OPERATOR)
    @routes.body("Dismissal", required=False)
    @routes.response(200, DismissedSchema)
    def dismiss(
        execution_id: str, *, note: str = about("", validate=validate.Length(max=MAX_NOTE))
    ) -> Mapping[str, object]:
        """Dismiss an execution that went wrong, with a note, until it fails anew."""
        dismiss_execution(database, execution_id, note, caller_name(), utc_now())
        return {"execution_id": execution_id, "is_dismissed": True}

    @routes.route("/api/executions/<execution_id>/dismissal", methods=["DELETE"])
    @asks_for(Role.OPERATOR)
    @routes.response(200, DismissedSchema)
    def undo(execution_id: str) -> Mapping[str, object]:
        """Undo a dismissal: the execution needs a person again."""
        take_up_again(database, execution_id)
        return {"execution_id": execution_id, "is_dismissed": False}

    return routes
