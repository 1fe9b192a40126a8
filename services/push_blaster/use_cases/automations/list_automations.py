"""List automations with the engine's records of each."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from chassis.postgres import Database
from push_blaster.adapters.automations.automation_files import StoredAutomation
from push_blaster.adapters.executions.execution_view import select_statistics
from push_blaster.domain.automations.automation import Automation
from push_blaster.domain.schedule.schedule import next_slots


def contains_text(document: Mapping[str, Any], text: str) -> bool:
    """Return whether the id, name or description of an automation contains a text, in any case."""
    found = f"{document['id']} {document['name']} {document.get('description') or ''}"
    return text.lower() in found.lower()


@dataclass(slots=True)
class AutomationLists:
    """Shows automations; remembers the next slot of each until it has passed."""

    database: Database
    _next: dict[str, tuple[Automation, datetime | None]] = field(default_factory=dict)

    def show(
        self,
        found: Iterable[StoredAutomation],
        now: datetime,
        cancelled: Collection[tuple[str, datetime]] = (),
    ) -> list[Mapping[str, Any]]:
        """Return the documents, with counters from the engine's records.

        Shape: `cancelled` slots, each with the id of its automation, are not sent.
        """
        stored = list(found)
        with self.database.transaction() as connection:
            statistics = select_statistics(connection, [one.automation.id for one in stored])
        return [
            _describe(
                one,
                statistics.get(one.automation.id, {}),
                self._next_slot(one.automation, now, cancelled),
            )
            for one in stored
        ]

    def _next_slot(
        self, automation: Automation, now: datetime, cancelled: Collection[tuple[str, datetime]]
    ) -> datetime | None:
        if not automation.is_scheduled:
            return None
        known, next_at = self._next.get(automation.id, (None, None))
        if known is not automation or (next_at and next_at <= now):
            slots = next_slots(automation.schedule, now, 1)
            next_at = slots[0].at if slots else None
            self._next[automation.id] = automation, next_at
        while next_at and (automation.id, next_at) in cancelled:
            slots = next_slots(automation.schedule, next_at, 1)
            next_at = slots[0].at if slots else None
        return next_at


def _describe(
    stored: StoredAutomation, statistics: Mapping[str, object], next_at: datetime | None
) -> Mapping[str, Any]:
    counters = {
        "totalExecutions": 0,
        "successfulExecutions": 0,
        "failedExecutions": 0,
        "lastExecutedAt": None,
        "lastError": None,
        "nextExecutionAt": next_at.isoformat() if next_at else None,
    }
    metadata = {**(stored.document.get("metadata") or {}), **counters, **statistics}
    return {**stored.document, "metadata": metadata}
