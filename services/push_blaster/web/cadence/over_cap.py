"""The routes that account for an unchecked send: users who got more than the rules allow."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from flask.typing import ResponseReturnValue

from chassis.http.request_classes import RequestClass, of_class
from chassis.postgres import Database
from chassis.service import Routes
from chassis.typed_schemas import answer_schema, request_schema
from push_blaster.adapters.cadence.over_cap_table import (
    OverCapCount,
    OverCapUser,
    select_over_cap,
    select_over_cap_count,
)
from push_blaster.adapters.csv_cells import write_csv
from push_blaster.adapters.executions.execution_view import select_execution
from push_blaster.domain.executions.execution import Execution
from push_blaster.web.frame.common_schemas import PageQuery
from push_blaster.web.frame.csv_answers import answer_csv
from push_blaster.web.frame.cursors import next_cursor, read_cursor

#: How many rows of an exported list are read at once.
PAGE: Final = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class OverCapReport:
    """The users of an execution who got more than the cadence rules allow.

    The state is `checked` if no push went out unchecked; else `pending` until cadence has recorded
    every send, then `known`.
    """

    execution_id: str
    state: str
    uncapped_reason: str | None
    count: OverCapCount | None
    users: Sequence[OverCapUser]
    next_cursor: str | None


def over_cap_routes(database: Database) -> Routes:
    """Return the routes about users over their caps."""
    routes = Routes("over_cap", __name__, description="Unchecked sends, accounted for")

    @routes.route("/api/executions/<execution_id>/over-cap", methods=["GET"])
    @routes.arguments(request_schema(PageQuery), location="query")
    @routes.response(200, answer_schema(OverCapReport, "OverCap"))
    def read(query: PageQuery, execution_id: str) -> OverCapReport:
        """List the users of an unchecked send who got more than the cadence rules allow.

        The list is known when the execution has ended and cadence has recorded every send.
        """
        after = read_cursor(query.cursor, int, UUID)
        with database.transaction() as connection:
            execution = select_execution(connection, execution_id)
            count = select_over_cap_count(connection, execution_id)
            found = select_over_cap(connection, execution_id, after, query.limit)
        return OverCapReport(
            execution_id=execution_id,
            state=_state(execution, is_known=count is not None),
            uncapped_reason=execution.uncapped_reason,
            count=count,
            users=found,
            next_cursor=next_cursor(found, query.limit, lambda one: (one.position, one.user_id)),
        )

    @routes.route("/api/executions/<execution_id>/over-cap.csv", methods=["GET"])
    @of_class(RequestClass.EXPORT)
    @routes.answers(content_type="text/csv")
    def export(execution_id: str) -> ResponseReturnValue:
        """Export the whole list: the push, the user, and the rules that allow less."""
        with database.transaction() as connection:
            select_execution(connection, execution_id)
        return answer_csv(_write(database, execution_id), "over-cap.csv")

    return routes


def _state(execution: Execution, *, is_known: bool) -> str:
    if execution.uncapped_reason is None:
        return "checked"
    return "known" if is_known else "pending"


def _write(database: Database, execution_id: str) -> Iterator[str]:
    """Yield the whole list as CSV, page by page."""
    yield write_csv([("position", "userId", "rules")])
    after: tuple[int, UUID] | None = None
    while True:
        with database.transaction() as connection:
            found = select_over_cap(connection, execution_id, after, PAGE)
        if not found:
            return
        yield write_csv((one.position, one.user_id, " ".join(one.rules)) for one in found)
        after = found[-1].position, found[-1].user_id
