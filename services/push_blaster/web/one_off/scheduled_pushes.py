"""Routes about scheduled pushes: one push, to one audience, at one instant."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid4, uuid5

from marshmallow import INCLUDE, fields, validate

from chassis.clock import utc_now
from chassis.schemas import CamelSchema, DocumentSchema
from chassis.service import Routes
from push_blaster.adapters.automations.document_files import DocumentNotFoundError
from push_blaster.adapters.one_off.scheduled_push_document import ScheduledPush
from push_blaster.use_cases.one_off.schedule_push import (
    PushState,
    ScheduledPushes,
    ScheduledPushStatus,
)
from push_blaster.web.frame.instants import InstantField
from push_blaster.web.frame.repeatable import repeatable

#: What a parameter of a script may be called.
NAME: Final = validate.Regexp(r"[A-Za-z][A-Za-z0-9_]*\Z", error="Use letters, digits and '_'.")


class ScriptChoiceSchema(DocumentSchema):
    """The script that writes an audience."""

    class Meta:
        unknown = INCLUDE

    script_id = fields.String(required=True, validate=validate.Length(min=1))
    parameters = fields.Dict(keys=fields.String(validate=NAME))


class CriteriaSchema(DocumentSchema):
    """The audience of a scheduled push."""

    filters = fields.Dict(keys=fields.String(validate=NAME))
    data_packs = fields.Raw(allow_none=True)
    manual_user_ids = fields.List(fields.UUID())
    custom_script = fields.Nested(ScriptChoiceSchema)


class PushChangeSchema(CamelSchema):
    """Body of PUT /api/scheduled-pushes/<id>: given fields replace the old ones."""

    scheduled_for = InstantField()
    title = fields.String(validate=validate.Length(min=1, max=1_000))
    body = fields.String(validate=validate.Length(min=1, max=4_000))
    deep_link = fields.String(validate=validate.Length(max=2_000))
    layer_id = fields.Integer(strict=True, validate=validate.Range(1, 5))
    criteria = fields.Nested(CriteriaSchema, data_key="audienceCriteria")
    audience_description = fields.String(validate=validate.Length(min=1, max=1_000))
    status = fields.Enum(PushState, by_value=True)


class NewPushSchema(PushChangeSchema):
    """Body of POST /api/scheduled-pushes."""

    class Meta(CamelSchema.Meta):
        exclude = ("status",)

    scheduled_for = InstantField(required=True)
    title = fields.String(required=True, validate=validate.Length(min=1, max=1_000))
    body = fields.String(required=True, validate=validate.Length(min=1, max=4_000))
    layer_id = fields.Integer(strict=True, load_default=3, validate=validate.Range(1, 5))
    criteria = fields.Nested(CriteriaSchema, data_key="audienceCriteria", required=True)
    audience_description = fields.String(required=True, validate=validate.Length(min=1, max=1_000))


class PushRunSchema(CamelSchema):
    """The execution of a scheduled push."""

    id = fields.String()
    phase = fields.String()
    reason = fields.String(allow_none=True)


class ScheduledPushSchema(CamelSchema):
    """A scheduled push; it is the automation with the same id."""

    id = fields.String()
    created_at = fields.String(allow_none=True)
    scheduled_for = fields.AwareDateTime()
    title = fields.String()
    body = fields.String()
    deep_link = fields.String()
    layer_id = fields.Integer()
    criteria = fields.Dict(data_key="audienceCriteria")
    audience_description = fields.String()
    status = fields.Enum(PushState, by_value=True)
    execution = fields.Nested(PushRunSchema, allow_none=True)


class ScheduledPushListSchema(CamelSchema):
    """Scheduled pushes, the earliest first."""

    success = fields.Boolean()
    pushes = fields.List(fields.Nested(ScheduledPushSchema), data_key="scheduledPushes")


class ScheduledPushAnswerSchema(CamelSchema):
    """One scheduled push in the original's envelope."""

    success = fields.Boolean()
    message = fields.String()
    push = fields.Nested(ScheduledPushSchema, data_key="scheduledPush")


class DoneSchema(CamelSchema):
    """The confirmation of a change."""

    success = fields.Boolean()
    message = fields.String()


def scheduled_push_routes(pushes: ScheduledPushes) -> Routes:
    """Return the routes about scheduled pushes."""
    routes = Routes("scheduled_pushes", __name__, description="One push at one instant")
    path, one = "/api/scheduled-pushes", "/api/scheduled-pushes/<push_id>"

    @routes.route(path, methods=["GET"])
    @routes.response(200, ScheduledPushListSchema)
    def list_all() -> dict[str, object]:
        """List scheduled pushes, the earliest first."""
        return {
            "success": True,
            "pushes": [_show_scheduled_push(found) for found in pushes.find_all()],
        }

    @routes.route(path, methods=["POST"])
    @routes.arguments(NewPushSchema, as_kwargs=True)
    @repeatable(routes, pushes.context.database)
    @routes.response(200, ScheduledPushAnswerSchema)
    def schedule(idempotency_key: str | None, **asked: Any) -> dict[str, object]:
        """Schedule a push; an engine sends it. The same Idempotency-Key schedules it once."""
        key = idempotency_key
        push_id = str(uuid5(NAMESPACE_URL, key) if key else uuid4())
        with suppress(DocumentNotFoundError):
            return _answer_push(
                pushes.find(push_id), "This Idempotency-Key has scheduled it before."
            )
        found = pushes.schedule(ScheduledPush(id=push_id, **_read_fields(asked)), utc_now())
        return _answer_push(found, _describe_send_time(pushes, found))

    @routes.route(one, methods=["GET"])
    @routes.response(200, ScheduledPushAnswerSchema)
    def read_one(push_id: str) -> dict[str, object]:
        """Read one scheduled push."""
        return _answer_push(pushes.find(push_id), "Found.")

    @routes.route(one, methods=["PUT"])
    @routes.arguments(PushChangeSchema, as_kwargs=True)
    @routes.response(200, ScheduledPushAnswerSchema)
    def change(push_id: str, status: PushState | None = None, **changed: Any) -> dict[str, object]:
        """Change a push that has not begun; cancel it, or schedule it again, by `status`."""
        return _answer_push(
            pushes.change(push_id, _read_fields(changed), status, utc_now()), "Saved."
        )

    @routes.route(one, methods=["DELETE"])
    @routes.response(200, DoneSchema)
    def delete(push_id: str) -> dict[str, object]:
        """Delete a push that has not been sent."""
        pushes.delete(push_id, utc_now())
        return {"success": True, "message": "Deleted."}

    return routes


def _read_fields(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fields as ScheduledPush has them."""
    found = dict(given)
    if "scheduled_for" in found:
        found["scheduled_for"] = found["scheduled_for"].astimezone(UTC).replace(microsecond=0)
    if "manualUserIds" in found.get("criteria", {}):
        users = [str(user_id) for user_id in found["criteria"]["manualUserIds"]]
        found["criteria"] = {**found["criteria"], "manualUserIds": users}
    return found


def _describe_send_time(pushes: ScheduledPushes, found: ScheduledPushStatus) -> str:
    at, earliest = found.push.scheduled_for, pushes.earliest_live(found.push, utc_now())
    if earliest > at:
        return f"Scheduled; with its cancellation window it is sent at {earliest.isoformat()}."
    return f"Scheduled for {at.isoformat()}."


def _answer_push(found: ScheduledPushStatus, message: str) -> dict[str, object]:
    return {"success": True, "message": message, "push": _show_scheduled_push(found)}


def _show_scheduled_push(found: ScheduledPushStatus) -> dict[str, object]:
    push = found.push
    return {
        "id": push.id,
        "created_at": push.created_at,
        "scheduled_for": push.scheduled_for,
        "title": push.title,
        "body": push.body,
        "deep_link": push.deep_link,
        "layer_id": push.layer_id,
        "criteria": push.criteria,
        "audience_description": push.audience_description,
        "status": found.state,
        "execution": found.run,
    }
