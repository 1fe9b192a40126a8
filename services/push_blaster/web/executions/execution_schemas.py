"""The schemas of executions."""

from typing import Any, Final

from marshmallow import fields, validate

from chassis.schemas import CamelSchema, DocumentSchema
from chassis.typed_schemas import about, answer_schema, object_schema
from push_blaster.adapters.cadence.over_cap_table import OverCapCount
from push_blaster.adapters.delivery.tester_table import Tester
from push_blaster.adapters.executions.execution_search import ExecutionCounts
from push_blaster.adapters.executions.execution_view import EnteredPhase
from push_blaster.domain.executions.funnel import Funnel
from push_blaster.web.frame.internal_facts import InternalField

#: A cancellation window that one execution has instead of its automation's own.
WINDOW: Final[Any] = about(
    None,
    data_key="cancellationWindowMinutes",
    validate=validate.Range(min=0, max=240),
    description="For this run only, instead of the automation's own window.",
)

#: The explicit yes of a person, without which an execution from a backup is not resumed.
EVEN_IF_RESTORED: Final[Any] = about(
    False,
    description="Resume it although it was restored from a backup (restoredAt): what it sent after "
    "the backup is unknown, so users may get the message a second time.",
)


class ApprovalSchema(CamelSchema):
    """The approval of an execution: the reason, the content to approve, and the approver."""

    reason = fields.String()
    content_hash = fields.String(attribute="current.content")
    audience_hash = fields.String(attribute="current.audience")
    approved_by = fields.String(attribute="given.by", allow_none=True, dump_default=None)
    approved_at = fields.AwareDateTime(attribute="given.at", allow_none=True, dump_default=None)


class ForecastSchema(DocumentSchema):
    """How many users cadence was expected to cap, when the audience was frozen.

    Without an answer of cadence, there is a reason instead of the counts.
    """

    at = fields.String(metadata={"format": "date-time", "description": "the planned instant"})
    eligible = fields.Integer(allow_none=True)
    excluded = fields.Integer(allow_none=True)
    exclusion_breakdown = fields.Dict(
        keys=fields.String(), values=fields.Integer(), allow_none=True
    )
    opted_out = fields.Integer(
        allow_none=True, metadata={"description": "who do not want the push; cadence is not asked"}
    )
    failed_open = fields.Boolean()
    reason = fields.String(allow_none=True)


class AudienceCheckSchema(DocumentSchema):
    """The result of checking every row of the frozen audience; counts of rows."""

    missing_variables = fields.Dict(
        keys=fields.String(), values=fields.Integer(), metadata={"description": "by variable"}
    )
    bad_deep_links = fields.Integer()
    too_long = fields.Integer()
    invalid_timezone = fields.Integer()
    longest = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        metadata={"description": "bytes of the longest message, by kind of device"},
    )


class FiguresSchema(CamelSchema):
    """The users of a variant, and how many of them opened it or reached the goal."""

    users = fields.Integer()
    events = fields.Integer()


class DecisionSchema(CamelSchema):
    """The decision about an experiment, which is made once, at decidesAt."""

    decides_at = fields.AwareDateTime(metadata={"description": "Until then the others wait."})
    decided_at = fields.AwareDateTime(allow_none=True)
    variant = fields.String(
        allow_none=True,
        metadata={"description": "What the others get. Null: undecided yet, or nothing."},
    )
    is_sure = fields.Boolean(metadata={"description": "Whether the variant surely wins."})
    reason = fields.String(allow_none=True)
    figures = fields.Dict(
        keys=fields.String(),
        values=fields.Nested(FiguresSchema),
        metadata={"description": "By variant, over all executions since the texts changed."},
    )


class ExecutionPushSchema(CamelSchema):
    """One push of an execution."""

    position = fields.Integer(attribute="progress.position")
    push_id = fields.String(attribute="push.id")
    title = fields.String(attribute="push.title")
    layer_id = fields.Integer(attribute="push.layer_id")
    status = fields.String(attribute="progress.status")
    due_at = fields.AwareDateTime(attribute="progress.due_at", allow_none=True)
    started_at = fields.AwareDateTime(attribute="progress.started_at", allow_none=True)
    first_message_at = fields.AwareDateTime(
        attribute="progress.first_message_at",
        allow_none=True,
        metadata={"description": "When the first message went to the provider."},
    )
    late_seconds = fields.TimeDelta(
        attribute="progress.lateness",
        allow_none=True,
        metadata={"description": "How long after dueAt that was.", "type": "number"},
    )
    ended_at = fields.AwareDateTime(attribute="progress.ended_at", allow_none=True)
    audience_name = fields.String(attribute="push.audience_name")
    source_file = fields.String(
        attribute="progress.audience.source_file", allow_none=True, dump_default=None
    )
    audience_sha256 = fields.String(
        attribute="progress.audience.sha256", allow_none=True, dump_default=None
    )
    bad_rows = fields.List(fields.Dict(), attribute="progress.audience.bad_rows", dump_default=list)
    audience_check = fields.Nested(
        AudienceCheckSchema, attribute="progress.audience_check", allow_none=True
    )
    forecast = fields.Nested(ForecastSchema, attribute="progress.forecast", allow_none=True)
    decision = fields.Nested(
        DecisionSchema,
        attribute="progress.decision",
        allow_none=True,
        metadata={"description": "What the users get who do not test its variants."},
    )
    funnel = fields.Nested(answer_schema(Funnel))


class PreparationSchema(CamelSchema):
    """How far the work on the audiences of an execution was at an instant."""

    stage = fields.String(
        metadata={"description": "reading, freezing, checking, forecasting, comparing"}
    )
    rows = fields.Integer()
    at = fields.AwareDateTime()


class ExecutionSchema(CamelSchema):
    """One execution."""

    id = fields.String(attribute="execution.id")
    automation_id = fields.String(attribute="execution.automation.id")
    automation_name = fields.String(attribute="execution.automation.name")
    automation_version = fields.Integer(attribute="execution.automation.version")
    mode = fields.String(attribute="execution.mode")
    simulated = fields.Boolean(
        attribute="execution.is_simulation",
        metadata={"description": "Whether it walks the whole path, and nothing is delivered."},
    )
    trigger = fields.String(attribute="execution.trigger")
    slot = fields.AwareDateTime(attribute="execution.slot")
    begins_at = fields.AwareDateTime(attribute="execution.begins_at")
    phase = fields.String(attribute="execution.phase")
    status = fields.String(
        attribute="execution.status", metadata={"description": "running, or how it ended"}
    )
    due_at = fields.AwareDateTime(attribute="execution.due_at", allow_none=True)
    live_at = fields.AwareDateTime(attribute="execution.live_at", allow_none=True)
    created_at = fields.AwareDateTime(attribute="execution.created_at")
    ended_at = fields.AwareDateTime(attribute="execution.ended_at", allow_none=True)
    stop_asked_at = fields.AwareDateTime(
        attribute="execution.stop_asked_at",
        allow_none=True,
        metadata={
            "description": "When it was stopped, while its phase does not say so yet: nothing more "
            "is sent, and the phase follows as soon as no other transaction holds its row."
        },
    )
    reason = fields.String(attribute="execution.reason", allow_none=True)
    waits_for = fields.String(
        attribute="execution.waits_for",
        allow_none=True,
        metadata={"description": "What its engine is short of: room on a disk, descriptors, …"},
    )
    attempt = fields.Integer(
        attribute="execution.attempt",
        metadata={"description": "attempts at the step that runs now; 0 between two steps"},
    )
    repeated_steps = fields.Integer(
        attribute="execution.repeated_steps",
        metadata={"description": "how often a step began again, since its engine was gone"},
    )
    preparation = fields.Nested(
        PreparationSchema, attribute="execution.preparation", allow_none=True
    )
    uncapped = fields.Boolean(attribute="execution.is_uncapped")
    uncapped_reason = fields.String(attribute="execution.uncapped_reason", allow_none=True)
    over_cap = fields.Nested(
        answer_schema(OverCapCount), attribute="details.over_cap", allow_none=True
    )
    approval = fields.Nested(ApprovalSchema, attribute="details.approval", allow_none=True)
    pace = fields.List(
        fields.Dict(),
        attribute="details.pace",
        metadata={
            "description": "While it is live, of each engine: ratePerMinute, breaker (closed, "
            "open, half_open), slowedTo (after answers over quota), engines that share the rate, "
            "fault (why none of the last ten messages was sent, or none can be); "
            "ownRatePerMinute, which all of them share, where the automation has one."
        },
    )
    doubted_devices = fields.Integer(
        attribute="details.doubted_devices",
        metadata={
            "description": "Devices that the provider called dead, that the system kept, and that "
            "nobody has marked as dead since; those of another project too."
        },
    )
    devices_of_other_project = fields.Integer(
        attribute="details.devices_of_other_project",
        metadata={
            "description": "How many of `doubtedDevices` registered with another project than the "
            "one that sends: a fault of the set-up."
        },
    )
    testers = fields.List(
        fields.Nested(answer_schema(Tester, provider_id=InternalField())),
        attribute="details.testers",
        metadata={
            "description": "Who the tests were meant for: the texts that each one gets (null: no "
            "message, reason says why), and the state of the message (null: never tried)."
        },
    )
    can_cancel = fields.Boolean(attribute="execution.can_cancel")
    can_stop = fields.Boolean(attribute="execution.can_stop")
    can_resume = fields.Boolean(attribute="execution.can_resume")
    restored_at = fields.AwareDateTime(
        attribute="execution.restored_at",
        allow_none=True,
        metadata={
            "description": "When a backup brought it back, if one did: what it sent after the "
            "backup is unknown, and it is resumed only with evenIfRestored."
        },
    )
    resumes = fields.String(
        attribute="execution.resumes",
        allow_none=True,
        metadata={"description": "the stopped execution that it resumes"},
    )
    phases = fields.List(fields.Nested(answer_schema(EnteredPhase, "Phase")))
    pushes = fields.List(fields.Nested(ExecutionPushSchema))


ExecutionListSchema = object_schema(
    "ExecutionList",
    executions=(ExecutionSchema,),
    next_cursor=str | None,
    counts=ExecutionCounts | None,
)


class ReceiptSchema(CamelSchema):
    """The receipt of a cancel or a stop: how many users got the message, and how many will not."""

    execution = fields.Nested(ExecutionSchema)
    sent = fields.Integer(attribute="totals.sent")
    in_flight = fields.Integer(attribute="totals.in_flight")
    in_doubt = fields.Integer(attribute="totals.in_doubt")
    not_sent = fields.Integer(attribute="totals.not_sent")
