"""Routes about one user: all that is known of the user, as a page of JSON and as one file."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Final
from uuid import UUID

import orjson
from flask import Response, stream_with_context
from flask.typing import ResponseReturnValue
from marshmallow.fields import Nested

from chassis.bearer_auth import Role, asks_for
from chassis.clock import utc_now
from chassis.http.request_classes import RequestClass, of_class
from chassis.instants import read_instant
from chassis.service import Routes
from chassis.typed_schemas import answer_schema, request_schema
from push_blaster.domain.devices.opt_out import OptOut
from push_blaster.domain.users.timeline import Place, TimelineEntry, UserPush, Window
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.users.read_cadence import UserHistory
from push_blaster.use_cases.users.read_user import (
    KnownUser,
    read_timeline,
    read_user,
    stream_timeline,
)
from push_blaster.web.access.audit import write_down
from push_blaster.web.devices.devices import DeviceSchema, hide_tokens
from push_blaster.web.frame.common_schemas import refuse_unknown_names, up_to
from push_blaster.web.frame.cursors import read_cursor, write_cursor
from push_blaster.web.frame.internal_facts import InternalField
from push_blaster.web.frame.list_filters import PeriodQuery

_IN_LEDGER: Final = ("execution_id", "automation_id", "automation_name", "position")
#: What the entry or its text says.
_UNTOLD: Final = (*_IN_LEDGER, "batch", "tries", "awaits_winner")
_PushSchema: Final = answer_schema(UserPush, without=_UNTOLD, provider_id=InternalField())
EntrySchema: Final = answer_schema(TimelineEntry, push=Nested(_PushSchema, allow_none=True))
_OptOutSchema: Final = answer_schema(
    OptOut, without=("target",), more=("layer_id", "automation_id")
)
_UserSchema: Final = answer_schema(
    KnownUser,
    "User",
    devices=(DeviceSchema,),
    opt_outs=(_OptOutSchema,),
    timeline=(EntrySchema,),
    next_cursor=str | None,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserQuery(PeriodQuery):
    """Query of what is known of a user."""

    limit: int = up_to(500, 100)
    cursor: str | None = None


def user_routes(context: WebContext) -> Routes:
    """Return the routes about one user."""
    routes = Routes("users", __name__, description="All that is known of one user")

    @routes.route("/api/users/<uuid:user_id>", methods=["GET"])
    @routes.arguments(request_schema(UserQuery), location="query")
    @routes.response(200, _UserSchema)
    def read(query: UserQuery, user_id: UUID) -> Mapping[str, object]:
        """Tell all that is known of a user in both services, newest first, and what the user got.

        `answer` is about the time from `from` until `until`, usually the last 7 days.
        """
        refuse_unknown_names(UserQuery)
        since, until = query.find_period()
        before = read_cursor(query.cursor, read_instant, str)
        window = Window(
            since=since, until=until, before=Place(*before) if before else None, limit=query.limit
        )
        history = UserHistory(context, user_id)
        page = read_timeline(history, window)
        cursor = write_cursor(*page.next) if page.next else None
        known = read_user(history, utc_now(), since, until)
        return {**_hide_tokens(known), "timeline": page.entries, "next_cursor": cursor}

    @routes.route("/api/users/<uuid:user_id>/export.json", methods=["GET"])
    @of_class(RequestClass.EXPORT)
    @asks_for(Role.OPERATOR)
    @routes.arguments(request_schema(PeriodQuery), location="query")
    @routes.answers()
    def export(query: PeriodQuery, user_id: UUID) -> ResponseReturnValue:
        """Export all that is known of a user as one file; the audit log notes the export."""
        refuse_unknown_names(PeriodQuery)
        write_down(context.database)
        headers = {"Content-Disposition": f'attachment; filename="user-{user_id}.json"'}
        history = UserHistory(context, user_id)
        known = read_user(history, utc_now(), *query.find_period())
        pieces = _write(history, _hide_tokens(known), query)
        return Response(stream_with_context(pieces), mimetype="application/json", headers=headers)

    return routes


def _hide_tokens(known: KnownUser) -> dict[str, object]:
    """Return what is known of a user as the caller may see it."""
    shown = {one.name: getattr(known, one.name) for one in fields(known)}
    return {**shown, "devices": hide_tokens(known.devices)}


def _write(
    history: UserHistory, shown: Mapping[str, object], query: PeriodQuery
) -> Iterator[bytes]:
    """Yield the file piece by piece: what is known, then the whole timeline.

    The file ends with `faults`: what is missing in it, and why.
    """
    head = _UserSchema(exclude=("timeline", "next_cursor", "fault")).dump(shown)
    yield orjson.dumps(head)[:-1] + b',"timeline":['
    schema, faults, comma = EntrySchema(many=True), set[str](), b""
    for page in stream_timeline(history.anew(), *query.find_period()):
        faults |= {page.fault} if page.fault else set()
        if entries := orjson.dumps(schema.dump(page.entries))[1:-1]:
            yield comma + entries
            comma = b","
    yield b'],"faults":' + orjson.dumps(sorted(faults)) + b"}"
