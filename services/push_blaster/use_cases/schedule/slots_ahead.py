"""Which slots to come are not sent, because a person has cancelled their executions."""

from collections.abc import Collection
from datetime import datetime

from chassis.postgres import Database
from push_blaster.adapters.executions.suspensions import select_cancelled_ahead
from push_blaster.adapters.schedule.schedule_marks import select_generations
from push_blaster.domain.automations.automation import Automation
from push_blaster.domain.executions.execution import execution_id
from push_blaster.domain.schedule.schedule import next_slots

#: Slots that are not sent, each with the id of its automation.
CancelledSlots = Collection[tuple[str, datetime]]


def find_cancelled_slots(database: Database, now: datetime) -> CancelledSlots:
    """Return the cancelled slots after `now` of the present generation of each automation."""
    with database.transaction() as connection:
        found = select_cancelled_ahead(connection, now)
        generations = select_generations(connection, [one.automation_id for one in found])
    return {
        (one.automation_id, one.slot)
        for one in found
        if one.id
        == execution_id(one.automation_id, one.slot, generation=generations[one.automation_id])
    }


def find_next_slot(
    automation: Automation, after: datetime, cancelled: CancelledSlots
) -> datetime | None:
    """Return the next slot that is sent; None if the automation is off, or has none left."""
    slots = next_slots(automation.schedule, after, 1) if automation.is_scheduled else []
    while slots and (automation.id, slots[0].at) in cancelled:
        slots = next_slots(automation.schedule, slots[0].at, 1)
    return slots[0].at if slots else None
