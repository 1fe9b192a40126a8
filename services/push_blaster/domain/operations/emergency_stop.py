"""An emergency stop: of every execution at once, and then of every automation."""

from dataclasses import dataclass
from datetime import datetime

from push_blaster.domain.automations.automation import Automation


@dataclass(frozen=True, slots=True)
class EmergencyStop:
    """When somebody stopped everything, and why."""

    asked_at: datetime
    reason: str

    def stops(self, automation: Automation) -> bool:
        """Return whether the automation is still active, and was so before the emergency stop."""
        since = automation.activated_at
        return automation.is_scheduled and (since is None or since <= self.asked_at)
