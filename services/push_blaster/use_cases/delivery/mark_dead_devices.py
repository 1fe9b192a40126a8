"""Mark devices as dead when a batch ends, unless it calls so many dead that they hardly are."""

from collections.abc import Iterable

from push_blaster.adapters.delivery.delivery_ledger import fail_dead
from push_blaster.adapters.devices.device_table import mark_devices_dead
from push_blaster.domain.delivery.ledger import LedgerPage
from push_blaster.domain.delivery.message import FINAL, Delivery, Outcome
from push_blaster.domain.executions.safeguards import (
    Severity,
    Violation,
    ViolationType,
    are_hardly_dead,
)
from push_blaster.use_cases.context import StepContext


class BatchVerdicts:
    """What the outcomes of one batch say about devices."""

    def __init__(self) -> None:
        """Begin with no outcome."""
        self._outcomes = 0
        self._blaming: list[Delivery] = []

    def note(self, deliveries: Iterable[Delivery]) -> None:
        """Take outcomes; those of messages that are sent again do not count yet."""
        for delivery in deliveries:
            self._outcomes += delivery.outcome in FINAL
            if delivery.dead_devices:
                self._blaming.append(delivery)

    def find_violation(self, position: int) -> Violation | None:
        """Return why the devices stay, or None if the provider is to be believed."""
        dead = sum(delivery.outcome in FINAL for delivery in self._blaming)
        if not are_hardly_dead(dead, self._outcomes):
            return None
        text = (
            f"The provider called the devices of {dead} of {self._outcomes} users in a batch of "
            f"push {position} dead. The devices were kept, and messages to them count as failed. "
            f"The first reason: {self._blaming[0].dead_devices[0].reason}"
        )
        data = {"dead": dead, "outcomes": self._outcomes}
        return Violation(ViolationType.MANY_DEAD_DEVICES, Severity.WARNING, text, data, position)

    def mark(self, context: StepContext) -> None:
        """Mark the devices as dead."""
        dead = [device for delivery in self._blaming for device in delivery.dead_devices]
        if dead:
            with context.database.transaction() as connection:
                mark_devices_dead(connection, dead, context.clock())

    def fail(self, context: StepContext, page: LedgerPage) -> int:
        """Let the messages to the devices fail with their reasons; return how many failed."""
        users = [d.user_id for d in self._blaming if d.outcome is Outcome.TOKEN_DEAD]
        with context.database.transaction() as connection:
            return fail_dead(connection, page, users)
