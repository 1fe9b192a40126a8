"""Routes about deliveries: the ledger of an execution, and the deliveries of a user."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from flask.typing import ResponseReturnValue

from chassis.http.request_classes import RequestClass, of_class
from chassis.instants import read_instant
from chassis.postgres import Database
from chassis.service import Routes
from chassis.typed_schemas import answer_schema, page_schema, request_schema
from push_blaster.adapters.csv_cells import stream_csv, write_csv
from push_blaster.adapters.delivery.delivery_report import (
    LedgerPlace,
    LedgerRow,
    select_deliveries,
    stream_deliveries,
)
from push_blaster.adapters.delivery.delivery_search import (
    DeliveryFilter,
    UserDelivery,
    select_deliveries_of,
)
from push_blaster.adapters.executions.execution_view import select_execution
from push_blaster.domain.delivery.ledger import LedgerState
from push_blaster.domain.executions.execution import Execution
from push_blaster.domain.executions.execution_filter import find_modes
from push_blaster.use_cases.executions.export_execution import file_name
from push_blaster.web.frame.common_schemas import PageQuery, up_to
from push_blaster.web.frame.csv_answers import answer_csv
from push_blaster.web.frame.cursors import next_cursor, read_cursor
from push_blaster.web.frame.internal_facts import InternalField, may_see_internals
from push_blaster.web.frame.list_filters import ListQuery

COLUMNS: Final = (
    *("position", "pushId", "title", "layerId", "userId", "outcome", "reason", "providerId"),
    *("variant", "wasInDoubt", "claimedAt", "settledAt"),
)


DeliverySchema = answer_schema(
    LedgerRow, "Delivery", without=("batch",), provider_id=InternalField()
)
DeliveryListSchema = page_schema(DeliverySchema, "deliveries", "DeliveryList")


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerQuery(PageQuery):
    """Query of an execution's deliveries, of all users or of one."""

    user_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryQuery(ListQuery):
    """Filters of the deliveries of a user."""

    result: Sequence[LedgerState] = ()

    def find_filter(self, zone: str = "UTC", execution_id: str | None = None) -> DeliveryFilter:
        """Return the filter that the list asks for."""
        since, until = self.find_period(zone)
        return DeliveryFilter(
            execution_id=execution_id,
            modes=find_modes(self.mode),
            states=frozenset(self.result or LedgerState),
            since=since,
            until=until,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDeliveryQuery(DeliveryQuery):
    """Query of the deliveries of a user."""

    limit: int = up_to(500)
    cursor: str | None = None


UserDeliverySchema = answer_schema(
    UserDelivery, without=("entry", "is_waiting"), provider_id=InternalField()
)
UserDeliveryListSchema = page_schema(UserDeliverySchema, "deliveries", "UserDeliveryList")


def delivery_routes(database: Database) -> Routes:
    """Return the routes about deliveries."""
    routes = Routes("deliveries", __name__, description="Who got what")

    @routes.route("/api/executions/<execution_id>/deliveries", methods=["GET"])
    @routes.arguments(request_schema(LedgerQuery), location="query")
    @routes.response(200, DeliveryListSchema)
    def list_of_execution(query: LedgerQuery, execution_id: str) -> dict[str, object]:
        """List the outcome of each user and its reason, by push, batch and user; or of one."""
        read = read_cursor(query.cursor, _read_batch, UUID)
        after = LedgerPlace(*read[0], read[1]) if read else None
        with database.transaction() as connection:
            select_execution(connection, execution_id)
            found = select_deliveries(connection, execution_id, after, query.limit, query.user_id)
        return {"deliveries": found, "next_cursor": next_cursor(found, query.limit, _write_place)}

    @routes.route("/api/executions/<execution_id>/export.csv", methods=["GET"])
    @of_class(RequestClass.EXPORT)
    @routes.answers(content_type="text/csv")
    def export(execution_id: str) -> ResponseReturnValue:
        """Export the whole ledger of an execution: each user, each push, and the outcome."""
        with database.transaction() as connection:
            execution = select_execution(connection, execution_id)
        pieces = _write_csv(database, execution, tells_all=may_see_internals())
        return answer_csv(pieces, file_name(execution))

    @routes.route("/api/users/<uuid:user_id>/deliveries", methods=["GET"])
    @routes.arguments(request_schema(UserDeliveryQuery), location="query")
    @routes.response(200, UserDeliveryListSchema)
    def list_of_user(query: UserDeliveryQuery, user_id: UUID) -> dict[str, object]:
        """List what a user got, or did not get, and why, in all executions, newest first."""
        before, fitting = read_cursor(query.cursor, read_instant, str), query.find_filter()
        with database.transaction() as connection:
            found = select_deliveries_of(connection, user_id, fitting, before, query.limit)
        last = next_cursor(found, query.limit, lambda one: (one.claimed_at, one.entry))
        return {"deliveries": found, "next_cursor": last}

    return routes


def _write_place(row: LedgerRow) -> tuple[object, object]:
    place = row.place
    return f"{place.position}.{place.batch}", place.user_id


def _read_batch(text: str) -> tuple[int, int]:
    position, _, batch = text.partition(".")
    return int(position), int(batch)


def _write_csv(database: Database, execution: Execution, *, tells_all: bool) -> Iterator[str]:
    """Yield the CSV piece by piece, from one snapshot of the ledger; viewers are not told all."""
    pushes = {
        progress.position: (push.id, push.title, push.layer_id)
        for progress, push in zip(execution.pushes, execution.automation.pushes, strict=True)
    }
    yield write_csv([COLUMNS])
    with database.transaction() as connection:
        rows = stream_deliveries(connection, execution.id)
        shown = rows if tells_all else (row._replace(provider_id=None) for row in rows)
        yield from stream_csv(_make_csv_row(row, pushes) for row in shown)


def _make_csv_row(row: LedgerRow, pushes: Mapping[int, tuple[object, ...]]) -> tuple[object, ...]:
    head = (row.position, *pushes[row.position], row.user_id, row.state)
    instants = (_instant(row.claimed_at), _instant(row.settled_at))
    was_in_doubt = str(row.was_in_doubt).lower()
    return (*head, row.reason, row.provider_id, row.variant, was_in_doubt, *instants)


def _instant(at: datetime | None) -> str:
    return at.isoformat() if at else ""
