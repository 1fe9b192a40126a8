"""The key under which cadence reserves slots for a batch."""

from datetime import datetime

from push_blaster.adapters.delivery.delivery_ledger import reservation_key
from push_blaster.domain.delivery.ledger import LedgerPage
from push_blaster.domain.executions.execution import Execution
from push_blaster.domain.executions.timeline import counted_instant


def find_slots_key(execution: Execution, page: LedgerPage, window: datetime | None = None) -> str:
    """Return the key of the slots of a batch, or of those for one send window.

    The slots of the first batch may have been reserved before the push began. If the push then
    began so late that its sends count at another instant, these slots have run out.
    """
    push = execution.pushes[page.position - 1]
    is_first = page.batch == 0 and window is None
    if is_first and push.slots_key and push.slots_for == counted_instant(execution, page.position):
        return push.slots_key
    return reservation_key(page, window)
