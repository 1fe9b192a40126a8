"""The requests and the answers of the system, and the slots that the system must run."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from tests.torture.evidence import SlotExpected

MINUTE: Final = timedelta(minutes=1)
#: So long after a slot some engine has certainly looked, whatever was killed meanwhile.
SURELY_OPENED: Final = timedelta(seconds=30)

#: The slots of an automation after an instant, up to and including another.
Calendar = Callable[[datetime, datetime], Iterator[datetime]]


@dataclass
class Journal:
    """Written while the torture goes on; safe to write from several threads.

    Shape: of an automation, the instants from which on it was surely scheduled, and from which on
    perhaps no more; those of None are of all automations. One has a slot of its own, or a calendar
    of them, or one every minute. `opened_within` is how soon some engine looks at a slot.
    """

    opened_within: timedelta = SURELY_OPENED
    answered: set[str] = field(default_factory=set)
    stopped: dict[str, datetime] = field(default_factory=dict)
    one_slot: dict[str, datetime] = field(default_factory=dict)
    calendars: dict[str, Calendar] = field(default_factory=dict)
    on: dict[str, list[datetime]] = field(default_factory=lambda: defaultdict(list))
    off: dict[str | None, list[datetime]] = field(default_factory=lambda: defaultdict(list))

    def has_one_slot(self, automation_id: str, at: datetime) -> None:
        """Note the only slot of an automation."""
        self.one_slot[automation_id] = at

    def switched_on(self, automation_id: str, answered_at: datetime) -> None:
        """Note that it was answered: this automation is scheduled."""
        self.on[automation_id].append(answered_at)

    def switched_off(self, automation_id: str | None, asked_at: datetime) -> None:
        """Note that somebody is about to pause this automation, or all of them."""
        self.off[automation_id].append(asked_at)

    def find_owed(self, until: datetime) -> Iterator[SlotExpected]:
        """Yield the slots that must have an execution: surely scheduled before and long after."""
        for automation_id, since in self.on.items():
            off = [*self.off[automation_id], *self.off[None]]
            own = self.one_slot.get(automation_id)
            if own is None:
                calendar = self.calendars.get(automation_id, every_minute)
                for start in since:
                    end = min((at for at in off if at >= start), default=until)
                    slots = calendar(start, end - self.opened_within)
                    yield from (SlotExpected(automation_id, at) for at in slots)
            elif since[0] < own:
                # Whoever asked to pause it a moment before may have been heard a moment later.
                heard = [at for at in off if at >= since[0] - MINUTE]
                if own + self.opened_within <= min(heard, default=until):
                    yield SlotExpected(automation_id, own)


def every_minute(start: datetime, end: datetime) -> Iterator[datetime]:
    """Yield every full minute after `start`, up to and including `end`."""
    slot = start.replace(second=0, microsecond=0) + MINUTE
    while slot <= end:
        yield slot
        slot += MINUTE
