"""The outside of push_blaster, made from its settings: for the web and for the engine."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.adapters.automation_document import read_automation
from push_blaster.adapters.automation_files import AutomationFiles
from push_blaster.adapters.cadence_client import CadenceClient
from push_blaster.adapters.fcm_transport import FcmOptions, FcmTransport
from push_blaster.adapters.file_transport import FileTransport
from push_blaster.adapters.google_tokens import GoogleTokens
from push_blaster.adapters.pacing import TokenBucket
from push_blaster.adapters.script_folder import ScriptFolder
from push_blaster.settings import FcmSettings, Settings
from push_blaster.use_cases.open_executions import ScheduledAutomation
from push_blaster.use_cases.parts import Parts


@dataclass(frozen=True, slots=True)
class Adapters:
    """Everything outside that push_blaster reaches."""

    database: Database
    files: AutomationFiles
    scripts: ScriptFolder
    cadence: CadenceClient


def connect_adapters(settings: Settings) -> Adapters:
    """Make what both processes need; nothing connects before it is used."""
    return Adapters(
        database=Database(
            settings.database_url,
            max_connections=settings.database_pool_size,
            application_name="push-blaster",
        ),
        files=AutomationFiles(settings.data_folder / "automations"),
        scripts=ScriptFolder(settings.data_folder / "scripts"),
        cadence=CadenceClient(settings.cadence_url, settings.cadence_token),
    )


def make_parts(
    settings: Settings, adapters: Adapters, is_shutting_down: Callable[[], bool]
) -> Parts:
    """Make what the engine's steps work with."""
    return Parts(
        database=adapters.database,
        transport=_transport(settings),
        cadence=adapters.cadence,
        scripts=adapters.scripts,
        data_folder=settings.data_folder,
        pacer=TokenBucket(settings.engine.rate_per_minute),
        limits=settings.engine.limits,
        clock=utc_now,
        is_shutting_down=is_shutting_down,
    )


def find_scheduled(files: AutomationFiles) -> Iterator[ScheduledAutomation]:
    """Yield the automations whose slots the clock is to open."""
    for document in files.list_all().documents:
        if document["isActive"]:
            automation = read_automation(document)
            if automation.is_scheduled:
                yield ScheduledAutomation(automation, document)


def _transport(settings: Settings) -> FileTransport | FcmTransport:
    if settings.fcm is not None:
        return _connect_fcm(settings.fcm)
    return FileTransport(settings.data_folder / "sent" / "messages.jsonl")


def _connect_fcm(fcm: FcmSettings) -> FcmTransport:
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
        retry_budget=fcm.retry_budget,
        backoff=fcm.backoff,
        answer_timeout=fcm.answer_timeout,
    )
    return FcmTransport(options, GoogleTokens(account, fcm.ca_file))
