"""Routes that preview messages for real users: of a saved automation, or of a draft."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from marshmallow import ValidationError, fields, validate

from chassis.bearer_auth import Role, asks_for
from chassis.clock import utc_now
from chassis.schemas import CamelSchema
from chassis.service import Routes
from chassis.typed_schemas import about, object_schema
from push_blaster.adapters.automations.automation_document import read_automation, read_draft
from push_blaster.adapters.delivery.message_size import MAX_MESSAGE_BYTES
from push_blaster.domain.automations.automation import Automation
from push_blaster.use_cases.audiences.preview_pushes import preview_pushes
from push_blaster.use_cases.context import WebContext
from push_blaster.web.access.audit import only_reads
from push_blaster.web.frame.common_schemas import up_to

MAX_USERS: Final = 100
USER_IDS: Final[Any] = about((), validate=validate.Length(max=MAX_USERS))


class MessageSchema(CamelSchema):
    """A push as one user would get it; with `faults` the user gets nothing."""

    user_id = fields.UUID()
    variant = fields.String(allow_none=True)
    in_test = fields.Boolean(
        allow_none=True,
        metadata={
            "description": "Whether the user tests the variants at the next slot; the others get "
            "the variant that wins. Null without an experiment."
        },
    )
    title = fields.String(attribute="texts.title", allow_none=True, dump_default=None)
    body = fields.String(attribute="texts.body", allow_none=True, dump_default=None)
    deep_link = fields.String(attribute="texts.deep_link", allow_none=True, dump_default=None)
    content = fields.Dict(
        keys=fields.String(),
        allow_none=True,
        dump_default=None,
        metadata={"description": "The other fields of the push, such as imageUrl, as sent."},
    )
    faults = fields.List(fields.String())
    sizes = fields.Dict(
        keys=fields.String(), values=fields.Integer(), data_key="bytes", allow_none=True
    )


class PushPreviewSchema(CamelSchema):
    """One push: its own faults, the columns of its audience, and its messages."""

    position = fields.Integer()
    push_id = fields.String(attribute="push.id")
    columns = fields.List(fields.String())
    faults = fields.List(fields.String())
    opted_out = fields.Integer(
        metadata={"description": "How many users of the messages do not want the push."}
    )
    messages = fields.List(fields.Nested(MessageSchema))


PreviewAnswerSchema = object_schema(
    "PreviewAnswer", pushes=(PushPreviewSchema,), most_bytes=dict[str, int]
)


def preview_routes(context: WebContext) -> Routes:
    """Return the routes that preview messages; they send nothing, but show users' data."""
    routes = Routes("previews", __name__, description="Previews of messages")

    def preview(
        automation: Automation, user_ids: Sequence[UUID] | None, limit: int
    ) -> dict[str, object]:
        found = preview_pushes(context, automation, user_ids or (), limit, utc_now())
        return {"pushes": found, "most_bytes": MAX_MESSAGE_BYTES}

    @routes.route("/api/automation/recipes/<automation_id>/preview", methods=["POST"])
    @only_reads
    @asks_for(Role.OPERATOR)
    @routes.body("Preview", required=False)
    @routes.response(200, PreviewAnswerSchema)
    def preview_saved(
        automation_id: str,
        *,
        user_ids: Sequence[UUID] | None = USER_IDS,
        limit: int = up_to(MAX_USERS, 10),
    ) -> dict[str, object]:
        """Preview the messages of an automation for users of its last frozen audience."""
        return preview(read_automation(context.files.load(automation_id)), user_ids, limit)

    @routes.route("/api/automation/preview", methods=["POST"])
    @only_reads
    @asks_for(Role.OPERATOR)
    @routes.body("PreviewDraft")
    @routes.response(200, PreviewAnswerSchema)
    def preview_draft(
        *,
        automation: Mapping[str, Any] | None = None,
        automation_id: str | None = about(None, validate=validate.Length(min=1)),
        user_ids: Sequence[UUID] | None = USER_IDS,
        limit: int = up_to(MAX_USERS, 10),
    ) -> dict[str, object]:
        """Preview the messages of an automation that is not saved; nothing is changed."""
        if (automation is None) == (automation_id is None):
            complaint = "Give either an automation or an automationId."
            raise ValidationError({"automation": [complaint]})
        if automation_id is not None:
            saved = read_automation(context.files.load(automation_id))
            return preview(saved, user_ids, limit)
        return preview(read_draft(automation or {}, utc_now()), user_ids, limit)

    return routes
