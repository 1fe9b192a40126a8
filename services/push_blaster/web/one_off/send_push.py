"""The route that sends one push ad hoc, in the original's shapes."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import orjson
from flask import jsonify, request, url_for
from flask.typing import ResponseReturnValue
from marshmallow import ValidationError, fields, pre_load, validate

from chassis.bearer_auth import Role, asks_for, caller_only_simulates
from chassis.clock import utc_now
from chassis.postgres import Database
from chassis.problems import problem_response
from chassis.schemas import CamelSchema
from chassis.service import Routes, describe_upload
from chassis.typed_schemas import object_schema
from push_blaster.adapters.automations.content_schema import (
    ContentFields,
    pick_content,
    split_content,
)
from push_blaster.adapters.delivery.delivery_search import select_failed_tokens
from push_blaster.adapters.funnels import select_funnels
from push_blaster.domain.executions.execution import Execution
from push_blaster.domain.executions.funnel import Funnel, Group
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import Phase
from push_blaster.domain.number_words import number_of
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.one_off.check_ad_hoc import (
    AdHocRequest,
    AudienceUpload,
    BadAdHocPushError,
)
from push_blaster.use_cases.one_off.send_ad_hoc import send_ad_hoc, wait_for_end
from push_blaster.web.automations.form_fields import read_number
from push_blaster.web.frame.repeatable import caller_key, repeatable

#: Ten million ids have about 370 MB.
MAX_FILE: Final = 1024**3
#: How many tokens of failed sends an answer has; the execution's deliveries list all.
FAILED_SHOWN: Final = 1_000


#: Numbers of the content, which a form has as text.
_NUMBERS: Final = ("badge", "ttlMinutes")
#: Parts of the content that a form has as JSON.
_JSON: Final = ("actions", "data", "platforms")


class SendPushSchema(ContentFields, CamelSchema):
    """Body of POST /api/send-push, as JSON or as a form beside `file`."""

    title = fields.String(load_default="", validate=validate.Length(max=1_000))
    body = fields.String(load_default="", validate=validate.Length(max=4_000))
    deep_link = fields.String(load_default="", validate=validate.Length(max=2_000))
    layer_id = fields.Integer(load_default=None)
    user_ids = fields.List(fields.String(), load_default=list)
    dry_run = fields.Boolean(load_default=False)
    job_id = fields.String(
        load_default=None,
        validate=validate.Regexp(r"[ -~]{1,200}\Z", error="Use 1 to 200 letters of ASCII."),
    )
    audience_description = fields.String(load_default="", validate=validate.Length(max=1_000))
    window_minutes = fields.Float(
        data_key="cancellationWindowMinutes",
        load_default=0,
        validate=validate.Range(min=0, max=240),
    )

    @pre_load
    def _fit(self, data: object, **_: object) -> object:
        """Accept ids as a list or as one text, and an empty field as missing."""
        if not isinstance(data, Mapping):
            raise ValidationError("Send a JSON object, or a form.")
        given = {name: value for name, value in data.items() if value not in ("", None)}
        given |= {name: read_number(given[name]) for name in _NUMBERS if _is_text(given, name)}
        given |= {name: _read_json(given[name]) for name in _JSON if _is_text(given, name)}
        if isinstance(given.get("userIds"), str):
            given["userIds"] = [user for user in re.split(r"[\s,;]+", given["userIds"]) if user]
        return given


def _read_json(text: str) -> object:
    """Return a value in JSON; other text stays as it is, so that its field can refuse it."""
    try:
        return orjson.loads(text)
    except ValueError:
        return text


def _is_text(given: Mapping[str, object], name: str) -> bool:
    return isinstance(given.get(name), str)


SentSchema = object_schema("Sent", success=bool, message=str, job_id=str, failed_tokens=list[str])


_BODY: Final = {
    "content": {
        "application/json": {"schema": SendPushSchema},
        **describe_upload("file", SendPushSchema, is_required=False),
    }
}


def send_push_routes(context: WebContext, wait: timedelta) -> Routes:
    """Return the route that sends a push ad hoc, and waits for its outcome."""
    routes = Routes("send_push", __name__, description="One push, now")

    @routes.route("/api/send-push", methods=["POST"])
    @asks_for(Role.OPERATOR, simulates=True)
    @routes.doc(requestBody=_BODY)
    @repeatable(routes, context.database)
    @routes.alt_response(200, schema=SentSchema)
    @routes.alt_response(202, schema=SentSchema)
    def send(idempotency_key: str | None) -> ResponseReturnValue:
        """Send one push to `userIds`, or to the users of a CSV; `dryRun` sends nothing.

        The same Idempotency-Key, or `jobId`, sends once. A send that takes long is answered 202.
        """
        request.max_content_length = MAX_FILE
        body = _read_body()
        mode = Mode.REAL_DRY_RUN if body["dry_run"] else Mode.LIVE
        job_id = body["job_id"]
        key = idempotency_key or (caller_key(job_id) if job_id else None)
        try:
            execution = send_ad_hoc(
                context,
                read_request(body),
                mode,
                key,
                utc_now(),
                is_simulated=caller_only_simulates(),
            )
        except BadAdHocPushError as error:
            errors = [f"{error.field}: {error.text}"]
            return problem_response(400, "Bad Request", str(error), errors, error.details)
        return _answer_sent(context.database, wait_for_end(context.database, execution, wait))

    return routes


def read_request(body: Mapping[str, Any]) -> AdHocRequest:
    """Return the request of a loaded body, with its file."""
    body, message = split_content(body)
    upload = request.files.get("file")
    is_there = upload is not None and (upload.filename or upload.stream.read(1))
    return AdHocRequest(
        title=body["title"],
        body=body["body"],
        deep_link=body["deep_link"],
        layer_id=body["layer_id"],
        user_ids=body["user_ids"],
        file=AudienceUpload(upload.filename or "the file", upload.stream)
        if upload and is_there
        else None,
        message=pick_content(message),
        audience_description=body["audience_description"],
        window=timedelta(minutes=body["window_minutes"]),
    )


def _read_body() -> Mapping[str, Any]:
    raw = request.get_json() if request.is_json else request.form.to_dict()
    if isinstance(raw, dict):
        dry_run = request.args.get("dryRun")
        raw = {**raw, "dryRun": dry_run} if dry_run else raw
    body: Mapping[str, Any] = SendPushSchema().load(raw)
    return body


def _answer_sent(database: Database, execution: Execution) -> ResponseReturnValue:
    where = url_for("executions.read_one", execution_id=execution.id)
    if not execution.has_ended:
        text = f"It is being sent; follow it at GET {where}."
        answer = jsonify(success=True, message=text, jobId=execution.id)
        answer.headers["Location"] = where
        return answer, 202
    with database.transaction() as connection:
        funnel = select_funnels(connection, [execution.id])[execution.id][1]
        failed = select_failed_tokens(connection, execution.id, FAILED_SHOWN)
    if funnel.eligible and not funnel.with_token:
        text = f"None of the {number_of(funnel.eligible, 'user')} to be sent to has a device."
        return problem_response(404, "No device", text, details={"jobId": execution.id})
    done = execution.phase is Phase.COMPLETED
    text = (
        describe_outcome(funnel) if done else execution.reason or f"It ended as {execution.phase}."
    )
    shown = {"failedTokens": failed} if failed else {}
    return jsonify(success=done, message=text, jobId=execution.id, **shown)


def describe_outcome(funnel: Funnel) -> str:
    """Return the counts of a push as a sentence: how many were sent to, and why others were not."""
    if funnel.excluded == funnel.distinct:
        return f"Nobody was sent to: cadence caps all {number_of(funnel.distinct, 'user')}."
    text = (
        f"A dry run: {funnel.would_send} of {number_of(funnel.distinct, 'user')} would be sent to."
        if funnel.would_send
        else f"{funnel.sent} of {number_of(funnel.distinct, 'user')} were sent to."
    )
    others = funnel.list_counts(Group.LEFT_OUT, Group.LOST, Group.OPEN)
    return f"{text} Not: {', '.join(map(str, others))}." if others else text
