"""Cancel waiting executions of automations that somebody switched off by editing the file.

The API and the pages cancel such executions themselves, at once.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from chassis.postgres import Database
from push_blaster.adapters.automations.automation_files import AutomationFiles, StoredAutomation
from push_blaster.adapters.executions.execution_table import select_scheduled
from push_blaster.domain.executions.phase import BEFORE_LIVE
from push_blaster.use_cases.executions.stop_execution import suspend_execution

#: For how long a file must be switched off. Engines see a change one after the other: an engine
#: that sees the automation switched on again may have opened an execution, while another engine
#: still sees it switched off.
OFF_FOR: Final = timedelta(seconds=10)
#: For how long a file must be missing; deployments remove files and bring them back.
GONE_FOR: Final = timedelta(minutes=1)


@dataclass(slots=True)
class FileFollower:
    """Remembers since when an execution has had no active automation."""

    files: AutomationFiles
    database: Database
    uptime: Callable[[], float] = time.monotonic
    _since: dict[str, float] = field(default_factory=dict)

    def look(self, now: datetime) -> list[str]:
        """Cancel scheduled executions without an active automation; return their ids.

        If the automation is on again in time, they begin again: see schedule/bring_back.py.
        """
        unwanted, at = self._find_unwanted(), self.uptime()
        self._since = {id_: self._since.get(id_, at) for id_ in unwanted}
        cancelled = []
        for execution_id, (reason, delay) in unwanted.items():
            is_due = at - self._since[execution_id] >= delay.total_seconds()
            if is_due and suspend_execution(self.database, execution_id, reason, now):
                cancelled.append(execution_id)
        return cancelled

    def _find_unwanted(self) -> dict[str, tuple[str, timedelta]]:
        """Return, by execution, why it is unwanted, and how long that must last before a cancel."""
        with self.database.transaction() as connection:
            waiting = select_scheduled(connection, BEFORE_LIVE)
        automations, broken = self.files.read_all(), self.files.list_all().broken
        unreadable = {file.name.removesuffix(".json") for file in broken}
        return {
            execution_id: why
            for execution_id, automation_id in waiting.items()
            if automation_id not in unreadable and (why := _why_not(automations, automation_id))
        }


def _why_not(
    automations: Mapping[str, StoredAutomation], automation_id: str
) -> tuple[str, timedelta] | None:
    stored = automations.get(automation_id)
    if stored and not stored.automation.is_scheduled:
        status = stored.automation.status
        return f"The automation was switched off in its file (status {status!r}).", OFF_FOR
    if not stored and automations:  # a folder without any file is more likely an unmounted disk
        return "The automation's file was removed.", GONE_FOR
    return None
