"""The adapters and contexts of web and engine, made from the settings."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from chassis.clock import CLOCK, utc_now
from chassis.http.request_classes import STOP_CONNECTIONS, serves_stop
from chassis.postgres import Database
from chassis.schema_changes import make_schema_check
from push_blaster.adapters.access.identity_provider import IdentityProvider
from push_blaster.adapters.audiences.script_folder import ScriptFolder
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.automations.template_files import TemplateFiles
from push_blaster.adapters.cadence.cadence_client import CadenceClient
from push_blaster.adapters.delivery.pacing import TokenBucket
from push_blaster.adapters.devices.device_source import DeviceSource
from push_blaster.adapters.operations.alert_sender import AlertSender
from push_blaster.adapters.operations.alert_webhook import AlertWebhook, EnvironmentWebhook
from push_blaster.adapters.operations.private_folders import close_folders
from push_blaster.adapters.transports.apns_transport import ApnsTransport, ProviderTokens
from push_blaster.adapters.transports.dry_run_transport import DryRunTransport
from push_blaster.adapters.transports.fcm_transport import FcmOptions, FcmTransport
from push_blaster.adapters.transports.file_transport import FileTransport
from push_blaster.adapters.transports.google_tokens import GoogleTokens
from push_blaster.adapters.transports.guarded_http import PostOptions
from push_blaster.adapters.transports.transports_by_kind import TransportsByKind
from push_blaster.adapters.transports.webhook_transport import make_webhook_transport
from push_blaster.adapters.transports.webpush_transport import make_webpush_transport
from push_blaster.delivery_settings import DeliverySettings, FcmSettings
from push_blaster.domain.delivery.transport import PushTransport
from push_blaster.domain.devices.device import DeviceKind
from push_blaster.domain.executions.modes import TEST_MODES, Mode
from push_blaster.domain.operations.destination import FINDING
from push_blaster.settings import MIGRATIONS, PushSettings
from push_blaster.use_cases.access.sign_in_people import People
from push_blaster.use_cases.context import SendContext, WebContext

#: How long a destination of alerts may take to answer a post.
ALERT_TIMEOUT: Final = timedelta(seconds=5)
#: How long a statement about reports may take.
REPORT_TIMEOUT: Final = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Adapters:
    """The adapters that both processes use."""

    database: Database
    files: AutomationFiles
    templates: TemplateFiles
    scripts: ScriptFolder
    cadence: CadenceClient


def connect_adapters(settings: PushSettings) -> Adapters:
    """Make the adapters that both processes use; each connects when it is first used."""
    close_folders(settings.data_folder)
    database = Database(
        settings.database_url,
        max_connections=settings.database_pool_size,
        application_name="push-blaster",
    )
    database.add_for_urgent(STOP_CONNECTIONS, serves_stop)
    database.check = make_schema_check(MIGRATIONS, "push-blaster migrate")
    return Adapters(
        database=database,
        files=AutomationFiles(settings.data_folder / "automations"),
        templates=TemplateFiles(settings.data_folder / "templates"),
        scripts=ScriptFolder(settings.data_folder / "scripts"),
        cadence=CadenceClient(settings.cadence_url, settings.cadence_token),
    )


def connect_reports(settings: PushSettings, connections: int) -> Database:
    """Make a pool for what users report, so that no flood of reports takes connections of sends."""
    database = Database(
        settings.database_url,
        max_connections=connections,
        statement_timeout=REPORT_TIMEOUT,
        application_name="push-reports",
    )
    database.check = make_schema_check(MIGRATIONS, "push-blaster migrate")
    return database


def connect_people(settings: PushSettings, database: Database) -> People | None:
    """Return what signing in through the identity provider needs; None if there is none."""
    identity = settings.identity
    if identity is None:
        return None
    provider = IdentityProvider(identity.client)
    return People(database, provider, identity.rules, identity.display_name)


def make_web_context(settings: PushSettings, adapters: Adapters) -> WebContext:
    """Make the context of the use cases behind routes and pages."""
    return WebContext(
        database=adapters.database,
        files=adapters.files,
        scripts=adapters.scripts,
        cadence=adapters.cadence,
        data_folder=settings.data_folder,
        limits=settings.engine.limits,
        device_source=_connect_device_source(settings.delivery),
        check_transport=_connect_transport(settings).check,
        writes_to_file=settings.delivery.to_file,
        versions_kept_for=settings.retention.versions,
        alerts=make_alert_sender(settings),
    )


def make_send_context(
    settings: PushSettings, adapters: Adapters, is_shutting_down: Callable[[], bool], engine_id: str
) -> SendContext:
    """Make the context of the engine's steps."""
    return SendContext(
        database=adapters.database,
        transport=_connect_transport(settings),
        dry_run_transport=_connect_dry_runs(settings.delivery),
        cadence=adapters.cadence,
        scripts=adapters.scripts,
        data_folder=settings.data_folder,
        pacer=TokenBucket(
            settings.engine.rate_per_minute,
            ramp_s=settings.engine.ramp.total_seconds(),
            holds=lambda: CLOCK.holds,
        ),
        limits=settings.engine.limits,
        clock=utc_now,
        is_shutting_down=is_shutting_down,
        engine_id=engine_id,
        device_source=_connect_device_source(settings.delivery),
    )


def make_alert_sender(settings: PushSettings) -> AlertSender:
    """Make what sends alerts to the destinations of the settings, and to those of the page."""
    alerts, delivery = settings.alerts, settings.delivery
    keys = alerts.keys or tuple(filter(None, [delivery.webhook_secret]))
    named = {
        "PUSH_ALERT_WEBHOOK_URL": (alerts.url, {*alerts.events, FINDING}, {Mode.LIVE}),
        "PUSH_ALERT_TEST_WEBHOOK_URL": (alerts.test_url, alerts.events, TEST_MODES),
    }
    return AlertSender(
        posts=PostOptions(
            private_networks=delivery.private_networks,
            ca_file=delivery.ca_file,
            answer_timeout=ALERT_TIMEOUT,
        ),
        schemes=delivery.webhook_schemes,
        mail=alerts.mail,
        environment=[
            EnvironmentWebhook(setting, AlertWebhook(url, keys=keys), events, modes)
            for setting, (url, events, modes) in named.items()
            if url
        ],
        public_url=settings.public_url,
    )


def _connect_device_source(delivery: DeliverySettings) -> DeviceSource | None:
    return DeviceSource(delivery.device_source) if delivery.device_source else None


def _connect_transport(settings: PushSettings) -> PushTransport:
    sent_file = settings.data_folder / "sent" / "messages.jsonl"
    return connect_transport(settings.delivery, sent_file)


def connect_transport(delivery: DeliverySettings, sent_file: Path) -> PushTransport:
    """Make the transport: one for each kind of device, or one that writes all to `sent_file`."""
    file = FileTransport(sent_file)
    if delivery.to_file:
        return file
    transports: dict[str, PushTransport] = {DeviceKind.FILE: file}
    if delivery.fcm:
        fcm = _connect_fcm(delivery.fcm)
        transports |= {DeviceKind.FCM: fcm, DeviceKind.FID: fcm}
    if delivery.apns:
        apns = ApnsTransport(delivery.apns.options, ProviderTokens(delivery.apns.key))
        transports |= {DeviceKind.APNS: apns, DeviceKind.APNS_SANDBOX: apns}
    options = PostOptions(private_networks=delivery.private_networks, ca_file=delivery.ca_file)
    if delivery.vapid:
        transports[DeviceKind.WEBPUSH] = make_webpush_transport(
            delivery.vapid, delivery.push_hosts, options
        )
    if delivery.webhook_secret:
        transports[DeviceKind.WEBHOOK] = make_webhook_transport(
            delivery.webhook_secret, delivery.webhook_schemes, options
        )
    return TransportsByKind(transports)


def _connect_dry_runs(delivery: DeliverySettings) -> PushTransport:
    if delivery.fcm and delivery.fcm.validates_dry_runs:
        fcm = _connect_fcm(delivery.fcm, validate_only=True)
        return TransportsByKind({DeviceKind.FCM: fcm, DeviceKind.FID: fcm})
    return DryRunTransport()


def _connect_fcm(fcm: FcmSettings, *, validate_only: bool = False) -> FcmTransport:
    account = {
        "type": "service_account",
        "project_id": fcm.project_id,
        "client_email": fcm.client_email,
        "private_key": fcm.private_key,
        "token_uri": fcm.token_uri,
    }
    options = FcmOptions(
        project_id=fcm.project_id,
        base_url=fcm.base_url,
        ca_file=fcm.ca_file,
        answer_timeout=fcm.answer_timeout,
        validate_only=validate_only,
    )
    return FcmTransport(options, GoogleTokens(account, fcm.ca_file))
