"""Mark devices as dead when a batch ends; if too many of them are dead, an operator decides."""

from collections.abc import Iterable

from chassis.postgres import Database
from push_blaster.adapters.delivery.delivery_ledger import fail_dead
from push_blaster.adapters.devices.device_table import mark_devices_dead
from push_blaster.adapters.devices.doubted_devices import insert_doubted, take_doubted
from push_blaster.adapters.executions.execution_view import select_execution
from push_blaster.domain.delivery.ledger import LedgerPage
from push_blaster.domain.delivery.message import FINAL, Delivery, Outcome
from push_blaster.domain.devices.device import DeadDevice
from push_blaster.domain.executions.safeguards import (
    Severity,
    Violation,
    ViolationType,
    are_hardly_dead,
)
from push_blaster.use_cases.context import StepContext


class BatchVerdicts:
    """The outcomes of one batch, as far as they are about devices."""

    def __init__(self) -> None:
        """Begin without outcomes."""
        self._outcomes = 0
        self._blaming: list[Delivery] = []

    def note(self, deliveries: Iterable[Delivery]) -> None:
        """Take outcomes; outcomes of messages that are sent again do not count yet."""
        for delivery in deliveries:
            self._outcomes += delivery.outcome in FINAL
            if delivery.dead_devices:
                self._blaming.append(delivery)

    def find_violation(self, page: LedgerPage) -> Violation | None:
        """Return why the devices stay alive, or None if the provider is to be believed."""
        dead = sum(delivery.outcome in FINAL for delivery in self._blaming)
        if not are_hardly_dead(dead, self._outcomes):
            return None
        text = (
            f"The provider called the devices of {dead} of {self._outcomes} users in a batch of "
            f"push {page.position} dead. The devices were kept, and messages to them count as "
            "failed. If the devices are dead, mark them as dead on the page of the execution, or "
            f"with POST /api/executions/{page.execution_id}/dead-devices. "
            f"The first reason: {self._blaming[0].dead_devices[0].reason}"
        )
        data = {"dead": dead, "outcomes": self._outcomes}
        return Violation(
            ViolationType.MANY_DEAD_DEVICES, Severity.WARNING, text, data, page.position
        )

    def mark(self, context: StepContext) -> None:
        """Mark the devices as dead."""
        if dead := self._list_dead():
            with context.database.transaction() as connection:
                mark_devices_dead(connection, dead, context.clock())

    def fail(self, context: StepContext, page: LedgerPage) -> int:
        """Record the devices as doubted, fail the messages to them; return how many failed."""
        users = [d.user_id for d in self._blaming if d.outcome is Outcome.TOKEN_DEAD]
        with context.database.transaction() as connection:
            insert_doubted(connection, page.execution_id, self._list_dead(), context.clock())
            return fail_dead(connection, page, users)

    def _list_dead(self) -> list[DeadDevice]:
        return [device for delivery in self._blaming for device in delivery.dead_devices]


def mark_doubted_devices(database: Database, execution_id: str) -> int:
    """Mark the doubted devices of an execution as dead, and forget the doubt; return how many.

    Shape: a device that was registered again after the doubt stays alive. A second call finds no
    devices, and returns 0.
    Raises: ExecutionNotFoundError.
    """
    with database.transaction() as connection:
        select_execution(connection, execution_id)
        return sum(
            mark_devices_dead(connection, dead, doubted_at, unless_seen_later=True)
            for doubted_at, dead in take_doubted(connection, execution_id).items()
        )
