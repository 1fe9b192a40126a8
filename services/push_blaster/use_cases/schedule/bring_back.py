"""Let executions begin again that were cancelled only because their automation was off."""

from contextlib import suppress
from datetime import datetime
from typing import Final

from chassis.postgres import Connection, Database
from push_blaster.adapters.automations.automation_document import read_automation
from push_blaster.adapters.automations.automation_files import AutomationFiles, StoredAutomation
from push_blaster.adapters.automations.document_files import (
    BrokenDocumentError,
    DocumentNotFoundError,
)
from push_blaster.adapters.executions.execution_log import append_log
from push_blaster.adapters.executions.execution_table import lock_automation, select_running_ids
from push_blaster.adapters.executions.suspensions import (
    Suspended,
    reopen_execution,
    select_suspended,
)
from push_blaster.domain.automations.automation import Automation
from push_blaster.domain.executions.execution import LogLevel
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import RUNNING, Phase
from push_blaster.domain.schedule.schedule import has_slot, latest_start
from push_blaster.use_cases.executions.stop_execution import suspend_execution

BACK: Final = "The automation is on again before the send time: the execution begins again."
OFF_AGAIN: Final = "The automation was switched off again."


def bring_back(files: AutomationFiles, database: Database, now: datetime) -> list[str]:
    """Reopen suspended executions whose automation is on again in time; return their ids."""
    with database.transaction() as connection:
        suspended = select_suspended(connection, now)
    known = files.read_all() if suspended else {}
    back = []
    for one in suspended:
        stored = known.get(one.automation_id)
        if stored and _is_wanted(stored.automation, one.slot, now):
            back += _bring_back(files, database, one, now)
    return back


def _bring_back(
    files: AutomationFiles, database: Database, one: Suspended, now: datetime
) -> list[str]:
    """Reopen one execution by the file as it is on the disk before and after."""
    stored = _read_now(files, one.automation_id)
    if stored is None or not _is_wanted(stored.automation, one.slot, now):
        return []
    with database.transaction() as connection:
        if not _reopen(connection, one, stored, now):
            return []
    # Another process may have written the file and cancelled the execution while we reopened it.
    after = _read_now(files, one.automation_id)
    if after is None or not _is_wanted(after.automation, one.slot, now):
        suspend_execution(database, one.id, OFF_AGAIN, now)
        return []
    return [one.id]


def _reopen(
    connection: Connection, one: Suspended, stored: StoredAutomation, now: datetime
) -> bool:
    lock_automation(connection, one.automation_id)
    if select_running_ids(connection, one.automation_id, RUNNING, Mode.LIVE):
        return False
    if not reopen_execution(connection, one.id, stored.document, now):
        return False
    append_log(connection, one.id, Phase.WAITING, BACK, now, LogLevel.WARNING)
    return True


def _read_now(files: AutomationFiles, automation_id: str) -> StoredAutomation | None:
    with suppress(DocumentNotFoundError, BrokenDocumentError):
        document = files.load(automation_id)
        return StoredAutomation(read_automation(document), document)
    return None


def _is_wanted(automation: Automation, slot: datetime, now: datetime) -> bool:
    """Return whether the clock would still open the slot; slots before a resume are lost."""
    if not automation.is_scheduled or not has_slot(automation.schedule, slot):
        return False
    is_lost = automation.activated_at is not None and automation.activated_at >= slot
    return now <= latest_start(automation.schedule, slot) and not is_lost
