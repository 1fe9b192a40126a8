"""Test tokens may not change executions that deliver."""

from flask import Flask, request
from werkzeug.exceptions import Forbidden

from chassis.bearer_auth import caller_only_simulates
from chassis.postgres import Database
from push_blaster.adapters.executions.execution_view import select_execution
from push_blaster.domain.executions.modes import delivers
from push_blaster.web.frame.csrf import READS


def guard_deliveries(app: Flask, database: Database) -> None:
    """Refuse a test token's request about an execution whose messages leave the machine."""

    @app.before_request
    def check() -> None:
        execution_id = (request.view_args or {}).get("execution_id")
        if execution_id is None or request.method in READS or not caller_only_simulates():
            return
        with database.transaction() as connection:
            execution = select_execution(connection, execution_id)
        if delivers(execution.mode):
            raise Forbidden(f"{execution_id!r} is no simulation; a test token leaves it alone.")
