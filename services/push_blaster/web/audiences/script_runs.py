"""Routes about runs of scripts: start a trial, follow a run, list runs."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Final
from uuid import UUID

from flask import jsonify
from flask.typing import ResponseReturnValue
from marshmallow import validate

from chassis.bearer_auth import Role, asks_for
from chassis.clock import utc_now
from chassis.instants import read_instant
from chassis.postgres import Database
from chassis.service import Routes
from chassis.typed_schemas import about, answer_schema, page_schema, request_schema
from push_blaster.adapters.audiences.script_folder import ScriptFolder
from push_blaster.adapters.audiences.script_run_table import select_runs
from push_blaster.adapters.executions.execution_log import select_log
from push_blaster.domain.audiences.script_run import FoundAudience, RunRecord, RunState
from push_blaster.domain.executions.execution import LogLevel
from push_blaster.use_cases.audiences.try_script import (
    TrialRequest,
    ask_for_trial,
    find_run,
    stop_trial,
    wait_for_run,
)
from push_blaster.web.access.audit import stops
from push_blaster.web.frame.common_schemas import AFTER, LogSchema, show_log, up_to
from push_blaster.web.frame.cursors import next_cursor, read_cursor
from push_blaster.web.frame.repeatable import repeatable

#: How long the original's POST waits for the end of a script before it answers 202.
WAIT_LIMIT: Final = timedelta(seconds=60)


_ONE: Final = "/api/scripts/<script_id>/runs/<uuid:run_id>"


FoundAudienceSchema = answer_schema(FoundAudience, without=("note",))
RunSchema = answer_schema(
    RunRecord,
    "Run",
    without=("folder", "engine_id"),
    more=("signal",),
    audiences=(FoundAudienceSchema,),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Body of POST /api/scripts/<id>/run."""

    parameters: Mapping[str, object] = field(default_factory=dict)
    execution_id: str | None = about(
        None,
        validate=validate.Length(min=1, max=200),
        description="what the script gets as its EXECUTION_ID",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedTrial(Trial):
    """Body of POST /api/scripts, as the original has it."""

    script_id: str = about(validate=validate.Length(min=1, max=200))


def script_run_routes(database: Database, scripts: ScriptFolder) -> Routes:
    """Return the routes about runs of scripts."""
    routes = Routes("script_runs", __name__, description="Runs of audience scripts")
    _add_trials(routes, database, scripts)
    _add_runs(routes, database)
    return routes


def _add_trials(routes: Routes, database: Database, scripts: ScriptFolder) -> None:
    @routes.route("/api/scripts", methods=["POST"])
    @asks_for(Role.OPERATOR)
    @routes.arguments(request_schema(NamedTrial))
    @repeatable(routes, database)
    @routes.answers()
    @routes.answers(202)
    @routes.answers(500)
    @routes.alt_response(503, "SERVICE_UNAVAILABLE")
    def run_and_wait(trial: NamedTrial, idempotency_key: str | None) -> ResponseReturnValue:
        """Try a script and wait for its end, up to a minute; nothing is sent."""
        asked = TrialRequest(**asdict(trial), idempotency_key=idempotency_key)
        run = ask_for_trial(database, scripts, asked, utc_now())
        return _answer_trial(database, wait_for_run(database, run, WAIT_LIMIT))

    @routes.route("/api/scripts/<script_id>/run", methods=["POST"])
    @asks_for(Role.OPERATOR)
    @routes.arguments(request_schema(Trial), required=False)
    @repeatable(routes, database)
    @routes.response(202, RunSchema)
    @routes.alt_response(503, "SERVICE_UNAVAILABLE")
    def start(trial: Trial, script_id: str, idempotency_key: str | None) -> RunRecord:
        """Try a script; follow the run by its id. The same Idempotency-Key starts it once."""
        asked = TrialRequest(**asdict(trial), script_id=script_id, idempotency_key=idempotency_key)
        return ask_for_trial(database, scripts, asked, utc_now())


def _add_runs(routes: Routes, database: Database) -> None:
    @routes.route("/api/scripts/<script_id>/runs", methods=["GET"])
    @routes.query
    @routes.response(200, page_schema(RunSchema, "runs", "RunList"))
    def list_runs(
        script_id: str, *, limit: int = up_to(200), cursor: str | None = None
    ) -> dict[str, object]:
        """List the runs of a script, newest first: trials, and runs for executions."""
        before = read_cursor(cursor, read_instant, UUID)
        with database.transaction() as connection:
            found = select_runs(connection, script_id, before, limit)
        last = next_cursor(found, limit, lambda run: (run.asked_at, run.id))
        return {"runs": found, "next_cursor": last}

    @routes.route(_ONE, methods=["GET"])
    @routes.response(200, RunSchema)
    def read_one(script_id: str, run_id: UUID) -> RunRecord:
        """Read one run: its state, and the audiences that it wrote."""
        return find_run(database, script_id, run_id)

    @routes.route(f"{_ONE}/log", methods=["GET"])
    @routes.query
    @routes.response(200, LogSchema)
    def read_log(script_id: str, run_id: UUID, *, after: int = AFTER) -> dict[str, object]:
        """Read the output of the script while it runs; ask again for what follows `nextAfter`."""
        run = find_run(database, script_id, run_id)
        with database.transaction() as connection:
            return show_log(select_log(connection, run.log_id, after), after)

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
