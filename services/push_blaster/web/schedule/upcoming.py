"""The planned live sends of all automations in the next hours."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Final
from zlib import crc32

from push_blaster.domain.automations.automation import Automation
from push_blaster.domain.schedule.schedule import slots_between
from push_blaster.domain.zones import Slot

AHEAD: Final = timedelta(hours=24)
#: How much further ahead slots are found than shown, so that they are found rarely.
RESERVE: Final = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Upcoming:
    """One planned live send."""

    automation: Automation
    slot: Slot


@dataclass(frozen=True, slots=True)
class _Found:
    automation: Automation
    until: datetime
    slots: list[Slot]


@dataclass(slots=True)
class UpcomingSends:
    """The planned sends, remembered for each automation until it changes."""

    _found: dict[str, _Found] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def list_all(self, automations: Iterable[Automation], now: datetime) -> list[Upcoming]:
        """Return the slots of scheduled automations within a day, soonest first."""
        with self._lock:
            self._found = {
                automation.id: self._look_at(automation, now)
                for automation in automations
                if automation.is_scheduled
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

    def _look_at(self, automation: Automation, now: datetime) -> _Found:
        known = self._found.get(automation.id)
        if known and known.automation is automation and known.until >= now + AHEAD:
            return known
        # A different time for each automation, or all would be examined again at the same moment.
        share = (1 + crc32(automation.id.encode()) / 2**32) / 2
        until = now + AHEAD + RESERVE * share
        return _Found(automation, until, slots_between(automation.schedule, now, until))
