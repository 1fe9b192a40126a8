"""The composition root: the parts of this service, on one screen."""

from datetime import timedelta
from typing import Final

from flask import Flask

from cadence_service.settings import MIGRATIONS, CadenceSettings
from cadence_service.use_cases.import_history import ImportRefusedError
from cadence_service.web.audience import audience_routes
from cadence_service.web.forecast import forecast_routes
from cadence_service.web.health import health_routes
from cadence_service.web.history_tools import answer_bad_file, answer_refused, history_tool_routes
from cadence_service.web.metrics import read_gauges_from
from cadence_service.web.notifications import notification_routes
from cadence_service.web.over_cap import over_cap_routes
from cadence_service.web.problems import PROBLEMS
from cadence_service.web.reservations import reservation_routes
from cadence_service.web.rules import rule_routes
from cadence_service.web.users import user_routes
from chassis.bearer_auth import knows
from chassis.csv_reader import CsvError
from chassis.http.fast_json import FastJson
from chassis.http.shared_time import take_time_from
from chassis.logs import configure_logs
from chassis.postgres import BulkDatabase
from chassis.probes import probe_routes
from chassis.schema_changes import make_schema_check
from chassis.service import ServiceFrame, frame_service

#: How long a filter waits for a connection before it answers that it is busy.
CONNECTION_TIMEOUT: Final = timedelta(seconds=1.5)
#: A million ids are 39 MB of JSON.
MAX_BODY = 64 * 1024 * 1024


def create_app(settings: CadenceSettings | None = None) -> Flask:
    """Build the service; gunicorn calls this as `cadence_service.app:create_app()`."""
    settings = settings or CadenceSettings.from_environ()
    configure_logs("cadence", settings.log_format)
    database = BulkDatabase(
        settings.database_url,
        max_connections=settings.database_pool_size,
        statement_timeout=settings.statement_timeout,
        connection_timeout=CONNECTION_TIMEOUT,
        application_name="cadence",
    )
    database.check = make_schema_check(MIGRATIONS, "cadence-service migrate")

    app = Flask(__name__)
    app.json = FastJson(app)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    take_time_from(app, database)
    frame = ServiceFrame(
        title="Cadence service",
        version="1",
        openapi_path="/openapi.json",
        find_caller=knows(settings.tokens),
        problems=PROBLEMS,
    )
    api = frame_service(app, frame)
    app.register_error_handler(CsvError, answer_bad_file)
    app.register_error_handler(ImportRefusedError, answer_refused)
    api.register_blueprint(
        probe_routes(
            {"database": database.ping},
            read_gauges_from(database, settings.expected_replicas),
            metrics_open=settings.metrics_open,
        )
    )
    for routes in (
        audience_routes(database),
        notification_routes(database),
        reservation_routes(database),
        user_routes(database),
        rule_routes(database),
        forecast_routes(database),
        over_cap_routes(database),
        history_tool_routes(database),
        health_routes(database),
    ):
        api.register_blueprint(routes)
        # The original's clients call every route under /api.
        app.register_blueprint(routes, url_prefix="/api", name=f"prefixed_{routes.name}")
    return app
