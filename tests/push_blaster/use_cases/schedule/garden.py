"""A folder with one automation, its clock, and people who change it."""

from datetime import datetime, timedelta
from typing import Any

from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.automations.json_files import write_json
from push_blaster.adapters.devices.device_fields import Device
from push_blaster.adapters.devices.device_table import upsert_devices
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.automations.change_automation import (
    create_automation,
    delete_automation,
    edit_automation,
)
from push_blaster.use_cases.automations.control_automation import Control
from push_blaster.use_cases.automations.keep_versions import VersionRecorder
from push_blaster.use_cases.automations.list_automations import AutomationLists
from push_blaster.use_cases.schedule.bring_back import bring_back
from push_blaster.use_cases.schedule.plan_automation import load_context, plan_automation
from push_blaster.use_cases.schedule.slots_ahead import find_cancelled_slots, find_next_slot
from tests.builders import NOON
from tests.people import ALICE
from tests.push_blaster.bench import Bench, daily

T = NOON + timedelta(minutes=30)
MINUTE = timedelta(minutes=1)
NEWS = "news@20261124T123000Z"


class Garden:
    """A folder with one automation, its clock, and people who change it."""

    def __init__(self, bench: Bench, **changes: Any) -> None:
        self.bench = bench
        self.files = AutomationFiles(bench.folder / "automations")
        self.files.on_change = VersionRecorder(bench.database, lambda: bench.now).note
        self.control = Control(self.files, bench.database)
        with bench.database.transaction() as connection:
            upsert_devices(connection, [Device("alices", ALICE)], NOON)
        write_json(self.files.folder / "news.json", daily(**changes))
        write_json(self.files.folder / "other.json", {**daily(id="other"), "status": "draft"})
        self.tick()

    def at(self, minutes_before: float) -> None:
        self.bench.now = T - minutes_before * MINUTE

    def tick(self, clock: int = 0) -> list[str]:
        opened = self.bench.tick(*self.files.list_all().documents, clock=clock)
        bring_back(self.files, self.bench.database, self.bench.now)
        return opened

    def open(self) -> None:
        """Let the clock open the slot, ten minutes before T."""
        self.at(10)
        assert self.tick() == [NEWS]

    def pause(self) -> None:
        self.control.pause("news", "It rains.", self.bench.now)

    def resume(self) -> None:
        self.control.resume("news", "The sun is back.", self.bench.now)

    def edit(self, **fields: Any) -> None:
        edit_automation(self.files, self.bench.database, "news", fields, self.bench.now)

    def delete(self) -> None:
        delete_automation(self.files, self.bench.database, "news", None, self.bench.now)

    def create(self, **changes: Any) -> None:
        create_automation(self.files, daily(**changes), self.bench.now)

    def phase(self, execution_id: str = NEWS) -> Phase:
        return self.bench.execution(execution_id).phase

    def next_slots(self) -> list[datetime | None]:
        """Return the next slot by the page and by the list of the API."""
        now = self.bench.now
        cancelled = find_cancelled_slots(self.bench.database, now)
        stored = self.files.read_all()["news"]
        (shown,) = AutomationLists(self.bench.database).show([stored], now, cancelled)
        listed = datetime.fromisoformat(shown["metadata"]["nextExecutionAt"])
        return [find_next_slot(stored.automation, now, cancelled), listed]

    def remark(self) -> str | None:
        """Return what the plan says of the slot at T."""
        (stored,) = (s for i, s in self.files.read_all().items() if i == "news")
        context = load_context(self.bench.web)
        plan = plan_automation(stored.automation, context, self.bench.now, 1)
        assert plan.slots[0].at == T
        return plan.slots[0].remark
