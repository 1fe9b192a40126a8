"""The port of an engine for probes: whether the engine is alive, and its metrics."""

from collections.abc import Mapping

from flask import Flask

from chassis.bearer_auth import Role
from chassis.http.fast_json import FastJson
from chassis.postgres import Database
from chassis.probes import probe_routes
from chassis.service import ServiceFrame, frame_service
from push_blaster.web.access.known_callers import KnownCallers
from push_blaster.web.problems import PROBLEMS


def make_engine_probes(
    roles: Mapping[str, Role], database: Database, *, metrics_open: bool
) -> Flask:
    """Return the app; the web serves what concerns all engines together."""
    app = Flask(__name__, static_folder=None)
    app.json = FastJson(app)
    app.config["MAX_CONTENT_LENGTH"] = 1024
    callers = KnownCallers(roles, database)
    frame = ServiceFrame(
        title="Push engine",
        version="1",
        openapi_path="/openapi.json",
        find_caller=callers.find,
        find_at_once=callers.find_at_once,
        problems=PROBLEMS,
    )
    api = frame_service(app, frame)
    needed = {"database": database.ping}
    api.register_blueprint(probe_routes(needed, list, metrics_open=metrics_open))
    return app
