"""The planned live sends of the next hours, of all automations together."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, Final

from push_blaster.adapters.automation_document import read_automation
from push_blaster.domain.automation import Automation
from push_blaster.domain.schedule import Slot, slots_between

AHEAD: Final = timedelta(hours=24)
#: Slots are found for so much longer than is shown, so that they are found seldom.
RESERVE: Final = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Upcoming:
    """One planned live send."""

    automation: Automation
    slot: Slot


@dataclass(frozen=True, slots=True)
class _Found:
    version: int
    automation: Automation
    until: datetime
    slots: list[Slot]


@dataclass(slots=True)
class UpcomingSends:
    """What is planned, remembered per automation until its version changes."""

    _found: dict[str, _Found] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def list_all(self, documents: Iterable[Mapping[str, Any]], now: datetime) -> list[Upcoming]:
        """Return the slots of active automations within a day, soonest first."""
        with self._lock:
            self._found = {
                document["id"]: self._look_at(document, now)
                for document in documents
                if document["isActive"]
            }
            found = list(self._found.values())
        return sorted(
            (
                Upcoming(known.automation, slot)
                for known in found
                for slot in known.slots
                if now < slot.at <= now + AHEAD
            ),
            key=lambda upcoming: upcoming.slot.at,
        )

    def _look_at(self, document: Mapping[str, Any], now: datetime) -> _Found:
        known = self._found.get(document["id"])
        is_fresh = known and known.version == document["version"] and known.until >= now + AHEAD
        if known and is_fresh:
            return known
        automation = read_automation(document)
        until = now + AHEAD + RESERVE
        is_planned = automation.is_scheduled
        slots = slots_between(automation.schedule, now, until) if is_planned else []
        return _Found(automation.version, automation, until, slots)
