"""The shapes of executions on the wire."""

from marshmallow import Schema, fields, validate

from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import Phase
from push_blaster.web.frame.common_schemas import OverCapCountSchema
from push_blaster.web.frame.instants import InstantField


class StartExecutionSchema(Schema):
    """Body of POST /api/executions."""

    automation_id = fields.String(
        required=True, data_key="automationId", validate=validate.Length(min=1)
    )
    mode = fields.Enum(Mode, by_value=True, load_default=Mode.LIVE)
    window_minutes = fields.Float(
        data_key="cancellationWindowMinutes",
        load_default=None,
        allow_none=True,
        validate=validate.Range(min=0, max=240),
        metadata={"description": "For this run only, instead of the automation's own window."},
    )
    slot = InstantField(
        load_default=None,
        allow_none=True,
        metadata={"description": "The send time of a test-scheduled-send; else it begins at once."},
    )


class ResumeSchema(Schema):
    """Body of POST /api/executions/<id>/resume."""

    window_minutes = fields.Float(
        data_key="cancellationWindowMinutes",
        load_default=None,
        allow_none=True,
        validate=validate.Range(min=0, max=240),
    )


class ExecutionQuerySchema(Schema):
    """Query of GET /api/executions."""

    automation_id = fields.String(data_key="automationId", load_default=None)
    phase = fields.List(fields.Enum(Phase, by_value=True), load_default=list)
    limit = fields.Integer(load_default=50, validate=validate.Range(min=1, max=200))
    cursor = fields.String(load_default=None)


class StopSchema(Schema):
    """Body of a cancel or a stop."""

    reason = fields.String(load_default="", validate=validate.Length(max=500))


class ApproveSchema(Schema):
    """Body of an approval: who it is, and the hashes of what was looked at."""

    by = fields.String(load_default="", validate=validate.Length(max=100))
    content = fields.String(data_key="contentHash", load_default="")
    audience = fields.String(data_key="audienceHash", load_default="")


class ApprovalSchema(Schema):
    """Why an execution waits for approval, what is to be approved, and who did."""

    reason = fields.String()
    content_hash = fields.String(data_key="contentHash")
    audience_hash = fields.String(data_key="audienceHash")
    approved_by = fields.String(data_key="approvedBy", allow_none=True)
    approved_at = fields.AwareDateTime(data_key="approvedAt", allow_none=True)


class VariantCountSchema(Schema):
    """Counts of users of one variant of a push."""

    sent = fields.Integer()
    failed = fields.Integer()


class FunnelSchema(Schema):
    """Counts of users of one push, from what the script generated to what was sent."""

    generated = fields.Integer()
    valid = fields.Integer()
    distinct = fields.Integer()
    holdout = fields.Integer()
    held = fields.Integer()
    quietHours = fields.Integer()  # noqa: N815
    localTimePassed = fields.Integer()  # noqa: N815
    notInTime = fields.Integer()  # noqa: N815
    sentBefore = fields.Integer()  # noqa: N815
    eligible = fields.Integer()
    excluded = fields.Integer()
    exclusionBreakdown = fields.Dict(keys=fields.String(), values=fields.Integer())  # noqa: N815
    withToken = fields.Integer()  # noqa: N815 - the wire's own names, one to one
    noToken = fields.Integer()  # noqa: N815
    missingVariable = fields.Integer()  # noqa: N815
    badDeepLink = fields.Integer()  # noqa: N815
    tooLong = fields.Integer()  # noqa: N815
    sent = fields.Integer()
    wouldSend = fields.Integer()  # noqa: N815
    failed = fields.Integer()
    variants = fields.Dict(keys=fields.String(), values=fields.Nested(VariantCountSchema))
    inFlight = fields.Integer()  # noqa: N815
    deferred = fields.Integer()
    inDoubt = fields.Integer()  # noqa: N815
    resentInDoubt = fields.Integer()  # noqa: N815
    notSent = fields.Integer()  # noqa: N815


class ForecastSchema(Schema):
    """Whom cadence was expected to hold back, asked when the audience was frozen.

    Without an answer there are no counts, and a reason.
    """

    at = fields.String(metadata={"format": "date-time", "description": "the planned instant"})
    eligible = fields.Integer(allow_none=True)
    excluded = fields.Integer(allow_none=True)
    exclusionBreakdown = fields.Dict(  # noqa: N815
        keys=fields.String(), values=fields.Integer(), allow_none=True
    )
    failedOpen = fields.Boolean()  # noqa: N815
    reason = fields.String(allow_none=True)


class AudienceCheckSchema(Schema):
    """What a look at every row of the frozen audience found; counts of rows."""

    missingVariables = fields.Dict(  # noqa: N815
        keys=fields.String(), values=fields.Integer(), metadata={"description": "by variable"}
    )
    badDeepLinks = fields.Integer()  # noqa: N815
    tooLong = fields.Integer()  # noqa: N815
    invalidTimezone = fields.Integer()  # noqa: N815
    longest = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        metadata={"description": "bytes of the longest message, by kind of device"},
    )


class ExecutionPushSchema(Schema):
    """One push of an execution."""

    position = fields.Integer()
    push_id = fields.String(data_key="pushId")
    title = fields.String()
    layer_id = fields.Integer(data_key="layerId")
    status = fields.String()
    due_at = fields.AwareDateTime(data_key="dueAt", allow_none=True)
    started_at = fields.AwareDateTime(data_key="startedAt", allow_none=True)
    ended_at = fields.AwareDateTime(data_key="endedAt", allow_none=True)
    audience_name = fields.String(data_key="audienceName")
    source_file = fields.String(data_key="sourceFile", allow_none=True)
    audience_sha256 = fields.String(data_key="audienceSha256", allow_none=True)
    bad_rows = fields.List(fields.Dict(), data_key="badRows")
    audience_check = fields.Nested(AudienceCheckSchema, data_key="audienceCheck", allow_none=True)
    forecast = fields.Nested(ForecastSchema, allow_none=True)
    funnel = fields.Nested(FunnelSchema)


class PhaseSchema(Schema):
    """A phase that the execution entered."""

    phase = fields.String()
    at = fields.AwareDateTime()


class ExecutionSchema(Schema):
    """One execution."""

    id = fields.String()
    automation_id = fields.String(data_key="automationId")
    automation_name = fields.String(data_key="automationName")
    automation_version = fields.Integer(data_key="automationVersion")
    mode = fields.String()
    simulated = fields.Boolean(
        metadata={"description": "Whether it walks the whole path, and nothing is delivered."}
    )
    trigger = fields.String()
    slot = fields.AwareDateTime()
    begins_at = fields.AwareDateTime(data_key="beginsAt")
    phase = fields.String()
    status = fields.String(metadata={"description": "running, or how it ended"})
    due_at = fields.AwareDateTime(data_key="dueAt", allow_none=True)
    live_at = fields.AwareDateTime(data_key="liveAt", allow_none=True)
    created_at = fields.AwareDateTime(data_key="createdAt")
    ended_at = fields.AwareDateTime(data_key="endedAt", allow_none=True)
    reason = fields.String(allow_none=True)
    uncapped = fields.Boolean()
    uncapped_reason = fields.String(data_key="uncappedReason", allow_none=True)
    over_cap = fields.Nested(OverCapCountSchema, data_key="overCap", allow_none=True)
    approval = fields.Nested(ApprovalSchema, allow_none=True)
    pace = fields.List(
        fields.Dict(),
        metadata={
            "description": "While it is live, of each engine: ratePerMinute, breaker (closed, "
            "open, half_open), slowedTo (after answers over quota), engines that share the rate; "
            "ownRatePerMinute, which all of them share, where the automation has one."
        },
    )
    can_cancel = fields.Boolean(data_key="canCancel")
    can_stop = fields.Boolean(data_key="canStop")
    can_resume = fields.Boolean(data_key="canResume")
    resumes = fields.String(
        allow_none=True, metadata={"description": "the stopped execution that it goes on with"}
    )
    phases = fields.List(fields.Nested(PhaseSchema))
    pushes = fields.List(fields.Nested(ExecutionPushSchema))


class ExecutionListSchema(Schema):
    """A page of executions, newest first."""

    executions = fields.List(fields.Nested(ExecutionSchema))
    next_cursor = fields.String(data_key="nextCursor", allow_none=True)


class ReceiptSchema(Schema):
    """What a cancel or a stop did: who had been sent to, and who will not be."""

    execution = fields.Nested(ExecutionSchema)
    sent = fields.Integer()
    in_flight = fields.Integer(data_key="inFlight")
    in_doubt = fields.Integer(data_key="inDoubt")
    not_sent = fields.Integer(data_key="notSent")
