"""Routes about the destinations of alerts: list, create, change, try out, rotate, delete."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

from flask import request
from marshmallow import validate
from werkzeug.exceptions import PreconditionFailed
from werkzeug.http import quote_etag

from chassis.bearer_auth import Role, asks_for, caller_name
from chassis.clock import utc_now
from chassis.postgres import Database
from chassis.service import Routes
from chassis.typed_schemas import about, answer_schema, object_schema, request_schema
from push_blaster.adapters.operations.alert_deliveries import select_alert_deliveries
from push_blaster.adapters.operations.alert_sender import AlertSender
from push_blaster.adapters.operations.alert_webhook import NotTakenError
from push_blaster.adapters.operations.destination_table import select_destinations
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.operations.destination import (
    KINDS_OF_ALERTS,
    USUAL_KINDS,
    AlertDelivery,
    Destination,
    DestinationKind,
    DestinationOrder,
    DestinationState,
)
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.operations.manage_destinations import (
    MAX_OVERLAP,
    DestinationChange,
    StaleDestinationError,
    change_destination,
    create_destination,
    find_destination,
    remove_destination,
    rotate_destination_secret,
    try_destination,
)
from push_blaster.web.frame.repeatable import refuse_repeat, repeatable

#: How many of its last alerts a destination shows.
SHOWN: Final = 20
_PATH: Final = "/api/alerts/destinations"
_ONE: Final = f"{_PATH}/<uuid:destination_id>"
_SECRET: Final = ("secret", "previous_secret", "earlier_secrets", "fingerprint", "kind")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedDestination:
    """What an admin says of a destination; without an address or `isOn`, these stay as they are."""

    name: str
    url: str = about("", description="Of a webhook, or of an incoming webhook of Slack.")
    emails: tuple[str, ...] = about((), description="The addresses of a destination by e-mail.")
    events: tuple[str, ...] = about(
        USUAL_KINDS,
        validate=validate.ContainsOnly(KINDS_OF_ALERTS),
        description="Which alerts it gets; `finding` is a finding of a safeguard.",
    )
    automations: tuple[str, ...] = about(
        (), description="Only the alerts of these automations; without any, those of all."
    )
    modes: tuple[str, ...] = about(
        (Mode.LIVE.value,),
        validate=validate.ContainsOnly(list(Mode)),
        description="Only the events of executions in these modes.",
    )
    is_on: bool | None = None

    def to_order(self, kind: DestinationKind) -> DestinationOrder:
        """Return the order; a destination that is there keeps its kind."""
        return DestinationOrder(
            name=self.name,
            kind=kind,
            address=self.url or ",".join(self.emails),
            events=self.events,
            automations=self.automations,
            modes=self.modes,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDestination(ChangedDestination):
    """A new destination of alerts."""

    kind: DestinationKind


#: An address is shown without what may be secret in it. Only engines know whether what a webhook of
#: the settings gets is signed.
DestinationSchema = answer_schema(
    Destination,
    without=_SECRET,
    kind=DestinationKind,
    state=DestinationState,
    is_signed=bool | None,
    secret=str,
)


@dataclass(frozen=True, slots=True)
class TestAnswer:
    """Whether a destination took a test message, and what it answered."""

    taken: bool
    answer: str


def alert_routes(context: WebContext) -> Routes:
    """Return the routes about the destinations of alerts."""
    database, sender = context.database, context.alerts
    routes = Routes("alerts", __name__, description="Where alerts go")
    _add_views(routes, database)
    _add_changes(routes, database, sender)
    _add_actions(routes, database, sender)
    return routes


def _add_views(routes: Routes, database: Database) -> None:
    @routes.route(_PATH, methods=["GET"])
    @asks_for(Role.OPERATOR)
    @routes.response(200, object_schema("DestinationList", destinations=(DestinationSchema,)))
    def list_all() -> dict[str, object]:
        """List the destinations of alerts, those of the settings too."""
        with database.transaction() as connection:
            return {"destinations": [_describe(one) for one in select_destinations(connection)]}

    @routes.route(_ONE, methods=["GET"])
    @asks_for(Role.OPERATOR)
    @routes.response(
        200,
        object_schema(
            "DestinationWithDeliveries",
            destination=DestinationSchema,
            deliveries=(answer_schema(AlertDelivery, body=Mapping[str, object]),),
        ),
    )
    def read_one(destination_id: UUID) -> object:
        """Read one destination, and the last alerts that it got; its ETag is its version."""
        with database.transaction() as connection:
            found = find_destination(connection, str(destination_id))
            deliveries = select_alert_deliveries(connection, str(destination_id), SHOWN)
        return {"destination": _describe(found), "deliveries": deliveries}, None, _tag(found)


def _add_changes(routes: Routes, database: Database, sender: AlertSender) -> None:
    @routes.route(_PATH, methods=["POST"])
    @routes.arguments(request_schema(NewDestination))
    @repeatable(routes, database)
    @routes.response(201, DestinationSchema)
    def create(body: NewDestination, idempotency_key: str | None) -> object:
        """Create a destination; the answer has the secret that signs what a webhook gets."""
        new_id = uuid5(NAMESPACE_URL, f"{_PATH} {idempotency_key}") if idempotency_key else uuid4()
        made_by = (caller_name(), utc_now())
        order = body.to_order(body.kind)
        is_on = body.is_on is not False
        made = create_destination(database, sender, str(new_id), order, made_by, is_on=is_on)
        return _describe_once(made)

    @routes.route(_ONE, methods=["PUT"])
    @routes.arguments(request_schema(ChangedDestination))
    @routes.response(200, DestinationSchema)
    def change(body: ChangedDestination, destination_id: UUID) -> object:
        """Change a destination; with If-Match, no update is lost.

        With another address, and when it is switched on, it gets only what is raised from then on.
        """
        wanted = DestinationChange(
            body.to_order(DestinationKind.WEBHOOK),
            body.is_on,
            _check_if_match(database, destination_id),
        )
        changed = change_destination(database, sender, str(destination_id), wanted, utc_now())
        return _describe(changed), None, _tag(changed)

    @routes.route(_ONE, methods=["DELETE"])
    @routes.response(204)
    def delete(destination_id: UUID) -> None:
        """Delete a destination; alerts that are on their way to it are not sent any more."""
        remove_destination(database, str(destination_id))


def _add_actions(routes: Routes, database: Database, sender: AlertSender) -> None:
    @routes.route(f"{_ONE}/test", methods=["POST"])
    @asks_for(Role.OPERATOR)
    @routes.response(200, answer_schema(TestAnswer))
    def test(destination_id: UUID) -> TestAnswer:
        """Send a test message at once, and tell what the destination answered."""
        return send_test_message(database, sender, destination_id)

    @routes.route(f"{_ONE}/rotate", methods=["POST"])
    @routes.body("RotateDestination", required=False)
    @routes.response(200, DestinationSchema)
    def rotate(
        destination_id: UUID,
        *,
        overlap_minutes: float = about(
            1_440,
            validate=validate.Range(min=0, max=int(MAX_OVERLAP.total_seconds() / 60)),
            description="How long the old secret signs beside the new one.",
        ),
    ) -> object:
        """Give a webhook a new secret; for `overlapMinutes`, both secrets sign."""
        refuse_repeat()
        overlap = timedelta(minutes=overlap_minutes)
        return _describe_once(
            rotate_destination_secret(database, str(destination_id), overlap, utc_now())
        )


def send_test_message(database: Database, sender: AlertSender, destination_id: UUID) -> TestAnswer:
    """Send a test message to a destination, and return what it answered."""
    with database.transaction() as connection:
        destination = find_destination(connection, str(destination_id))
    try:
        return TestAnswer(True, try_destination(destination, sender, utc_now()))
    except NotTakenError as error:
        return TestAnswer(False, str(error))


def _check_if_match(database: Database, destination_id: UUID) -> str | None:
    """Return the version that If-Match asks for; None without If-Match; 412 if it is stale."""
    if not request.if_match:
        return None
    with database.transaction() as connection:
        current = find_destination(connection, str(destination_id))
    if not request.if_match.contains(current.version):
        raise PreconditionFailed(str(StaleDestinationError(current.name)))
    return current.version


def _tag(destination: Destination) -> dict[str, str]:
    return {"ETag": quote_etag(destination.version)}


def _describe(destination: Destination) -> dict[str, object]:
    names = (name for name in Destination.__dataclass_fields__ if name not in _SECRET)
    return {
        **{name: getattr(destination, name) for name in names},
        "kind": destination.kind,
        "address": destination.shown_address,
        "state": destination.state,
        "is_signed": None if destination.environment else destination.secret is not None,
    }


def _describe_once(destination: Destination) -> tuple[dict[str, object], None, dict[str, str]]:
    secret = {"secret": destination.secret} if destination.secret else {}
    headers = {"Cache-Control": "no-store", **_tag(destination)}
    return {**_describe(destination), **secret}, None, headers
