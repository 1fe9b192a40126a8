"""The composition root of the web: all its parts, on one screen."""

from collections.abc import Sequence
from typing import Final

from flask import Blueprint, Flask, has_request_context

from chassis.bearer_auth import the_caller
from chassis.clock import utc_now
from chassis.http.fast_json import FastJson
from chassis.http.request_classes import CAPACITIES, RequestClass
from chassis.http.shared_time import take_time_from
from chassis.logs import configure_logs
from chassis.postgres import Database
from chassis.probes import probe_routes
from chassis.service import ServiceFrame, frame_service
from push_blaster.adapters.automations.document_files import DocumentChange
from push_blaster.adapters.cadence.cadence_records import CadenceRecords
from push_blaster.settings import PushSettings
from push_blaster.use_cases.automations.keep_versions import VersionRecorder
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.devices.manage_test_devices import TestDevices
from push_blaster.use_cases.engagement.read_receipts import ReceiptReader
from push_blaster.use_cases.one_off.schedule_push import ScheduledPushes
from push_blaster.use_cases.schedule.watch_clock import ClockWatch
from push_blaster.web.access.audit import install_audit
from push_blaster.web.access.audit_content import note_document
from push_blaster.web.access.audit_log import audit_log_routes
from push_blaster.web.access.identity_callers import (
    AllowedOrigins,
    answer_identity_callers,
    bound_identity_callers,
)
from push_blaster.web.access.known_callers import KnownCallers
from push_blaster.web.access.people import people_routes
from push_blaster.web.access.people_pages import people_pages
from push_blaster.web.access.session import Sessions
from push_blaster.web.access.sign_in_pages import sign_in_pages
from push_blaster.web.access.tokens import token_routes
from push_blaster.web.audiences.previews import preview_routes
from push_blaster.web.audiences.query_audience import query_audience_routes
from push_blaster.web.audiences.script_runs import script_run_routes
from push_blaster.web.audiences.scripts import script_routes
from push_blaster.web.automations.automation_tests import automation_test_routes
from push_blaster.web.automations.control import control_routes
from push_blaster.web.automations.history.put_away_routes import put_away_routes
from push_blaster.web.automations.history.version_routes import version_routes
from push_blaster.web.automations.recipes import recipe_routes
from push_blaster.web.automations.templates import template_routes
from push_blaster.web.cadence.over_cap import over_cap_routes
from push_blaster.web.delivery.deliveries import delivery_routes
from push_blaster.web.devices.device_upkeep import device_upkeep_routes
from push_blaster.web.devices.devices import device_routes
from push_blaster.web.devices.opt_outs import opt_out_routes
from push_blaster.web.devices.test_devices import test_device_routes
from push_blaster.web.devices.web_client import web_client_routes
from push_blaster.web.engagement.conversions import conversion_routes
from push_blaster.web.engagement.events import event_routes
from push_blaster.web.engagement.fatigue import fatigue_routes
from push_blaster.web.engagement.results import result_routes
from push_blaster.web.executions.executions import execution_routes
from push_blaster.web.executions.history import history_routes
from push_blaster.web.executions.monitor import monitor_routes
from push_blaster.web.executions.simulations import guard_deliveries
from push_blaster.web.frame.frame import install_page_frame, show_unknown_addresses
from push_blaster.web.frame.repeatable import guard_keys
from push_blaster.web.one_off.push_logs import push_log_routes
from push_blaster.web.one_off.scheduled_pushes import scheduled_push_routes
from push_blaster.web.one_off.send_push import send_push_routes
from push_blaster.web.operations.alerts import alert_routes
from push_blaster.web.operations.attention import attention_routes
from push_blaster.web.operations.health import health_routes
from push_blaster.web.operations.metrics import read_gauges_from
from push_blaster.web.original.execute import execute_routes
from push_blaster.web.original.migration import migration_routes
from push_blaster.web.original.sequences import sequence_routes
from push_blaster.web.page_registry import make_pages
from push_blaster.web.problems import PROBLEMS
from push_blaster.web.schedule.calendar import calendar_routes
from push_blaster.web.schedule.clock import clock_routes
from push_blaster.web.schedule.plans import plan_routes
from push_blaster.web.users.erasures import erasure_routes
from push_blaster.web.users.users import user_routes
from push_blaster.wiring import (
    Adapters,
    connect_adapters,
    connect_people,
    connect_reports,
    make_web_context,
)

MAX_BODY = 32 * 1024 * 1024
#: As many as threads serve reports.
REPORT_CONNECTIONS = CAPACITIES[RequestClass.REPORT].threads
#: For OpenAPI.
IDENTITY_TOKEN: Final = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "A token that a customer's backend signs for one user.",
}


def create_app(settings: PushSettings | None = None, adapters: Adapters | None = None) -> Flask:
    """Build the web; gunicorn calls this as `push_blaster.app:create_app()`.

    A caller that passes `adapters` may close them afterwards.
    """
    settings = settings or PushSettings.from_environ()
    configure_logs("push-web", settings.log_format)
    adapters = adapters or connect_adapters(settings)
    database = adapters.database
    context = make_web_context(settings, adapters)

    app = Flask(__name__, static_folder="web/static", template_folder="web/templates")
    app.json = FastJson(app)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    take_time_from(app, database)
    callers = KnownCallers(settings.tokens, database, settings.token_owners, settings.identity_keys)
    people = connect_people(settings, database)
    sessions = Sessions(app, database, callers, people, only_by_https=settings.cookie_secure)
    origins = AllowedOrigins(settings.allowed_origins)
    frame = ServiceFrame(
        title="Push blaster",
        version="1",
        openapi_path="/api/openapi.json",
        find_caller=callers.find,
        find_at_once=callers.find_at_once,
        problems=PROBLEMS,
        sessions=sessions.authentication,
        bound=bound_identity_callers(origins),
        answer_preflight=origins.answer_preflight,
        schemes={"identityToken": IDENTITY_TOKEN},
    )
    api = frame_service(app, frame, behind_proxies=settings.trusted_proxies)
    answer_identity_callers(app, origins)
    guard_deliveries(app, database)
    install_audit(app, database)
    _note_changes(adapters, database)
    guard_keys(app, database)
    for routes in (*_make_routes(settings, adapters, context), people_routes(database, callers)):
        api.register_blueprint(routes)
    install_page_frame(
        app,
        to_file=context.writes_to_file,
        timezone=settings.timezone,
        is_saved=lambda automation_id: automation_id in context.files.read_all(),
    )
    for pages in make_pages(
        context,
        (sign_in_pages(sessions, frame.guesses), people_pages(database, sessions)),
        templates=adapters.templates,
        records=CadenceRecords(settings.cadence_url, settings.cadence_token),
        push_hosts=settings.delivery.push_hosts,
        read_openapi=api.read_document,
    ):
        app.register_blueprint(pages)
    show_unknown_addresses(app)
    return app


def _note_changes(adapters: Adapters, database: Database) -> None:
    """Let the audit log have each change of a document, and the versions each of an automation."""
    recorder = VersionRecorder(database, utc_now, _find_author)

    def note(change: DocumentChange) -> None:
        note_document(change)
        recorder.note(change)

    adapters.templates.on_change = note_document
    adapters.files.on_change = note


def _find_author() -> str | None:
    caller = the_caller() if has_request_context() else None
    return caller.name if caller else None


def _make_user_routes(
    context: WebContext, database: Database, push_hosts: Sequence[str]
) -> Sequence[Blueprint]:
    """Return the routes about users: what is known of them, their devices, and their rights."""
    return (
        user_routes(context),
        device_routes(database, push_hosts),
        device_upkeep_routes(database, push_hosts),
        opt_out_routes(database),
        erasure_routes(database),
    )


def _make_routes(
    settings: PushSettings, adapters: Adapters, context: WebContext
) -> Sequence[Blueprint]:
    """Return every route of the API, in groups."""
    database, push_hosts = adapters.database, settings.delivery.push_hosts
    watch = ClockWatch(adapters.files, database)
    reports = connect_reports(settings, REPORT_CONNECTIONS)
    return (
        recipe_routes(context),
        plan_routes(context),
        calendar_routes(context),
        preview_routes(context),
        template_routes(adapters.templates, adapters.files, context.limits, database),
        version_routes(context),
        put_away_routes(context),
        control_routes(context),
        automation_test_routes(context),
        execution_routes(context),
        over_cap_routes(database),
        attention_routes(database),
        sequence_routes(context),
        history_routes(database),
        execute_routes(context),
        monitor_routes(context, settings.engine.concurrent_executions),
        migration_routes(context),
        scheduled_push_routes(ScheduledPushes(context, settings.filter_script)),
        *_make_user_routes(context, database, push_hosts),
        delivery_routes(database),
        push_log_routes(database),
        query_audience_routes(),
        send_push_routes(context, settings.send_wait),
        script_run_routes(database, adapters.scripts),
        script_routes(adapters.scripts, context.limits.script),
        test_device_routes(context, TestDevices(database, push_hosts)),
        web_client_routes(vapid.public_key if (vapid := settings.delivery.vapid) else None),
        clock_routes(database, adapters.files, watch),
        event_routes(reports, ReceiptReader(reports), settings.events_per_minute),
        conversion_routes(database),
        result_routes(database, adapters.files),
        fatigue_routes(database),
        audit_log_routes(database),
        token_routes(database),
        alert_routes(context),
        health_routes(context, watch, settings.expected_engines),
        probe_routes(
            {"database": database.ping},
            read_gauges_from(
                database,
                adapters.files,
                adapters.cadence,
                watch,
                context.data_folder,
                {"engines": settings.expected_engines, "webs": settings.expected_webs},
            ),
            metrics_open=settings.metrics_open,
        ),
    )
