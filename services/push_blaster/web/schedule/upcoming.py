"""The planned live sends of the next hours, of all automations together."""

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
#: Slots are found for so much longer than is shown, at most, so that they are found seldom.
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
    """What is planned, remembered of each automation for as long as it is the same one."""

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
        # Each for another while, or ten thousand would be looked at again all at once.
        share = (1 + crc32(automation.id.encode()) / 2**32) / 2
        until = now + AHEAD + RESERVE * share
        return _Found(automation, until, slots_between(automation.schedule, now, until))
