"""Routes about runs of scripts: start a trial, follow a run, list runs."""

import signal
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from flask import jsonify
from flask.typing import ResponseReturnValue
from marshmallow import fields, validate

from chassis.bearer_auth import Role, asks_for
from chassis.clock import utc_now
from chassis.postgres import Database
from chassis.schemas import CamelSchema
from chassis.service import Routes
from push_blaster.adapters.audiences.script_folder import ScriptFolder
from push_blaster.adapters.audiences.script_run_table import select_runs
from push_blaster.adapters.executions.execution_log import select_log
from push_blaster.domain.audiences.script_run import RunRecord, RunState
from push_blaster.domain.executions.execution import LogLevel
from push_blaster.use_cases.audiences.try_script import (
    TrialRequest,
    ask_for_trial,
    find_run,
    stop_trial,
    wait_for_run,
)
from push_blaster.web.access.audit import stops
from push_blaster.web.frame.common_schemas import LogQuerySchema, LogSchema
from push_blaster.web.frame.cursors import read_cursor, read_instant, write_cursor
from push_blaster.web.frame.repeatable import repeatable

#: How long the original's POST waits for the end of a script before it answers 202.
WAIT_LIMIT: Final = timedelta(seconds=60)


_ONE: Final = "/api/scripts/<script_id>/runs/<uuid:run_id>"


class TrialSchema(CamelSchema):
    """Body of POST /api/scripts/<id>/run."""

    parameters = fields.Dict(keys=fields.String(), load_default=dict)
    execution_id = fields.String(
        load_default=None,
        allow_none=True,
        validate=validate.Length(min=1, max=200),
        metadata={"description": "what the script gets as its EXECUTION_ID"},
    )


class NamedTrialSchema(TrialSchema):
    """Body of POST /api/scripts, as the original has it."""

    script_id = fields.String(required=True, validate=validate.Length(min=1, max=200))


class RunQuerySchema(CamelSchema):
    """Query of a list of runs."""

    limit = fields.Integer(load_default=50, validate=validate.Range(min=1, max=200))
    cursor = fields.String(load_default=None)


class FoundAudienceSchema(CamelSchema):
    """An audience that a script wrote: counts of rows, and the first usable rows."""

    name = fields.String()
    file = fields.String()
    is_test = fields.Boolean()
    rows = fields.Integer()
    valid = fields.Integer()
    columns = fields.List(fields.String())
    sample = fields.List(fields.Dict())
    problem = fields.String(allow_none=True)


class RunSchema(CamelSchema):
    """One run of a script: a trial, or a run for an execution."""

    id = fields.UUID()
    script_id = fields.String()
    execution_id = fields.String(allow_none=True)
    is_trial = fields.Boolean()
    parameters = fields.Dict(keys=fields.String(), values=fields.String())
    state = fields.Enum(RunState, by_value=True)
    asked_at = fields.AwareDateTime()
    started_at = fields.AwareDateTime(allow_none=True)
    ended_at = fields.AwareDateTime(allow_none=True)
    exit_code = fields.Integer(allow_none=True)
    signal = fields.Function(
        lambda run: _signal(run), metadata={"type": "string", "nullable": True}
    )
    error = fields.String(allow_none=True)
    audiences = fields.List(fields.Nested(FoundAudienceSchema))


class RunListSchema(CamelSchema):
    """A page of runs, newest first."""

    runs = fields.List(fields.Nested(RunSchema))
    next_cursor = fields.String(allow_none=True)


def script_run_routes(database: Database, scripts: ScriptFolder) -> Routes:
    """Return the routes about runs of scripts."""
    routes = Routes("script_runs", __name__, description="Runs of audience scripts")
    _add_trials(routes, database, scripts)
    _add_runs(routes, database)
    return routes


def _add_trials(routes: Routes, database: Database, scripts: ScriptFolder) -> None:
    @routes.route("/api/scripts", methods=["POST"])
    @asks_for(Role.OPERATOR)
    @routes.arguments(NamedTrialSchema, as_kwargs=True)
    @repeatable(routes, database)
    @routes.answers()
    @routes.answers(202)
    @routes.answers(500)
    @routes.alt_response(503, "SERVICE_UNAVAILABLE")
    def run_and_wait(**asked: Any) -> ResponseReturnValue:
        """Try a script and wait for its end, up to a minute; nothing is sent."""
        run = ask_for_trial(database, scripts, TrialRequest(**asked), utc_now())
        return _answer_trial(database, wait_for_run(database, run, WAIT_LIMIT))

    @routes.route("/api/scripts/<script_id>/run", methods=["POST"])
    @asks_for(Role.OPERATOR)
    @routes.arguments(TrialSchema, required=False, as_kwargs=True)
    @repeatable(routes, database)
    @routes.response(202, RunSchema)
    @routes.alt_response(503, "SERVICE_UNAVAILABLE")
    def start(**asked: Any) -> RunRecord:
        """Try a script; follow the run by its id. The same Idempotency-Key starts it once."""
        return ask_for_trial(database, scripts, TrialRequest(**asked), utc_now())


def _add_runs(routes: Routes, database: Database) -> None:
    @routes.route("/api/scripts/<script_id>/runs", methods=["GET"])
    @routes.arguments(RunQuerySchema, location="query", as_kwargs=True)
    @routes.response(200, RunListSchema)
    def list_runs(script_id: str, limit: int, cursor: str | None) -> dict[str, object]:
        """List the runs of a script, newest first: trials, and runs for executions."""
        before = read_cursor(cursor, read_instant, UUID)
        with database.transaction() as connection:
            found = select_runs(connection, script_id, before, limit)
        is_full = len(found) == limit
        last = write_cursor(found[-1].asked_at, found[-1].id) if is_full else None
        return {"runs": found, "next_cursor": last}

    @routes.route(_ONE, methods=["GET"])
    @routes.response(200, RunSchema)
    def read_one(script_id: str, run_id: UUID) -> RunRecord:
        """Read one run: its state, and the audiences that it wrote."""
        return find_run(database, script_id, run_id)

    @routes.route(f"{_ONE}/log", methods=["GET"])
    @routes.arguments(LogQuerySchema, location="query", as_kwargs=True)
    @routes.response(200, LogSchema)
    def read_log(script_id: str, run_id: UUID, after: int) -> dict[str, object]:
        """Read the output of the script while it runs; ask again for what follows `nextAfter`."""
        run = find_run(database, script_id, run_id)
        with database.transaction() as connection:
            entries = select_log(connection, run.log_id, after)
        return {"entries": entries, "next_after": entries[-1].id if entries else after}

    @routes.route(f"{_ONE}/stop", methods=["POST"])
    @stops()
    @asks_for(Role.OPERATOR)
    @routes.response(200, RunSchema)
    def stop(script_id: str, run_id: UUID) -> RunRecord:
        """Stop a trial and everything that its script started."""
        return stop_trial(database, script_id, run_id, utc_now())


def _answer_trial(database: Database, run: RunRecord) -> ResponseReturnValue:
    """Answer the result of a trial in the original's shape."""
    taken = (run.ended_at or utc_now()) - (run.started_at or run.asked_at)
    data: dict[str, object] = {
        "runId": str(run.id),
        "executionTime": round(taken.total_seconds() * 1_000),
    }
    if run.state is RunState.SUCCEEDED:
        live = [audience for audience in run.audiences if not audience.is_test]
        data["csvPath"] = f"{run.folder}/{live[0].file}" if live else None
        data["audienceSize"] = sum(audience.rows for audience in live)
        data["audiences"] = FoundAudienceSchema(many=True).dump(run.audiences)
        return jsonify(success=True, data=data, message=f"It wrote {len(live)} audiences.")
    if run.ended_at is None:
        message = f"It still runs; see /api/scripts/{run.script_id}/runs/{run.id}."
        return jsonify(success=True, data=data, message=message), 202
    data["stdout"], data["stderr"] = _read_output(database, run)
    return jsonify(success=False, data=data, message=run.error, error=run.error), 500


def _read_output(database: Database, run: RunRecord) -> tuple[str, str]:
    with database.transaction() as connection:
        entries = select_log(connection, run.log_id, limit=2_500)
    out = [entry.message for entry in entries if entry.level == LogLevel.INFO]
    err = [entry.message for entry in entries if entry.level == LogLevel.WARNING]
    return "\n".join(out), "\n".join(err)


def _signal(run: RunRecord) -> str | None:
    code = run.exit_code
    return signal.Signals(-code).name if code is not None and code < 0 else None
