"""Routes about scheduled pushes: one push, to one audience, at one instant."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC
from typing import Any
from uuid import uuid4

from marshmallow import ValidationError, fields, validate

from chassis.clock import utc_now
from chassis.names import read_variable_name
from chassis.schemas import CamelSchema, DocumentSchema, InstantField
from chassis.service import Routes
from chassis.typed_schemas import answer_schema, object_schema
from push_blaster.adapters.automations.content_schema import (
    CONTENT_FIELDS,
    ContentFields,
    split_content,
)
from push_blaster.adapters.automations.document_files import DocumentNotFoundError
from push_blaster.adapters.automations.field_checks import is_zone
from push_blaster.adapters.automations.field_declaration import KeptSchema
from push_blaster.adapters.executions.execution_history import RunOutcome
from push_blaster.adapters.one_off.scheduled_push_document import ScheduledPush, is_scheduled_push
from push_blaster.use_cases.one_off.schedule_push import (
    PushState,
    ScheduledPushes,
    ScheduledPushStatus,
)
from push_blaster.web.frame.repeatable import id_by_key, repeatable


def _is_name(value: str) -> None:
    if read_variable_name(value) != value:
        raise ValidationError("Use letters, digits and '_'.")


class ScriptChoiceSchema(KeptSchema):
    """The script that writes an audience."""

    script_id = fields.String(required=True, validate=validate.Length(min=1))
    parameters = fields.Dict(keys=fields.String(validate=_is_name))


class CriteriaSchema(DocumentSchema):
    """The audience of a scheduled push."""

    filters = fields.Dict(keys=fields.String(validate=_is_name))
    data_packs = fields.Raw(allow_none=True)
    manual_user_ids = fields.List(fields.UUID())
    custom_script = fields.Nested(ScriptChoiceSchema)


class PushChangeSchema(ContentFields, CamelSchema):
    """Body of PUT /api/scheduled-pushes/<id>: given fields replace the old ones."""

    scheduled_for = InstantField()
    title = fields.String(validate=validate.Length(min=1, max=1_000))
    body = fields.String(validate=validate.Length(min=1, max=4_000))
    timezone = fields.String(
        validate=is_zone, metadata={"description": "The zone in which pages show its time."}
    )
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


PushRunSchema = answer_schema(RunOutcome, "PushRun", without=("has_sent",))
ScheduledPushSchema = answer_schema(
    ScheduledPush,
    without=("message", "settings"),
    criteria="audienceCriteria",
    status=PushState,
    execution=fields.Nested(PushRunSchema, allow_none=True),
    **{name: getattr(ContentFields, name) for name in CONTENT_FIELDS},
)
ScheduledPushListSchema = object_schema(
    "ScheduledPushList", success=bool, scheduled_pushes=(ScheduledPushSchema,)
)
ScheduledPushAnswerSchema = object_schema(
    "ScheduledPushAnswer", success=bool, message=str, scheduled_push=ScheduledPushSchema
)


def scheduled_push_routes(pushes: ScheduledPushes) -> Routes:
    """Return the routes about scheduled pushes."""
    routes = Routes("scheduled_pushes", __name__, description="One push at one instant")
    path, one = "/api/scheduled-pushes", "/api/scheduled-pushes/<push_id>"

    @routes.route(path, methods=["GET"])
    @routes.response(200, ScheduledPushListSchema)
    def list_all() -> dict[str, object]:
        """List scheduled pushes, the earliest first."""
        found = [_show_scheduled_push(one) for one in pushes.find_all()]
        return {"success": True, "scheduled_pushes": found}

    @routes.route(path, methods=["POST"])
    @routes.arguments(NewPushSchema, as_kwargs=True)
    @repeatable(routes, pushes.context.database)
    @routes.response(200, ScheduledPushAnswerSchema)
    def schedule(idempotency_key: str | None, **asked: Any) -> dict[str, object]:
        """Schedule a push; an engine sends it. The same Idempotency-Key schedules it once."""
        key = idempotency_key
        files = pushes.context.files
        push_id = id_by_key(files, key, is_scheduled_push) if key else str(uuid4())
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
    @routes.response(200, object_schema("Done", success=bool, message=str))
    def delete(push_id: str) -> dict[str, object]:
        """Delete a push that has not been sent."""
        pushes.delete(push_id, utc_now())
        return {"success": True, "message": "Deleted."}

    return routes


def _read_fields(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fields as ScheduledPush has them."""
    found, message = split_content(given)
    if message:
        found["message"] = message
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
    return {"success": True, "message": message, "scheduled_push": _show_scheduled_push(found)}


def _show_scheduled_push(found: ScheduledPushStatus) -> dict[str, object]:
    message = found.push.message
    content = {name: message[there] for name, there in CONTENT_FIELDS.items() if there in message}
    return {**asdict(found.push), **content, "status": found.state, "execution": found.run}
