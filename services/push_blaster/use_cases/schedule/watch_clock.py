"""Check from outside that the clock watches every scheduled automation, and is in time."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from chassis.postgres import Database
from push_blaster.adapters.automations.automation_document import read_automation
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.operations.engine_table import (
    ALIVE_WITHIN,
    EngineRecord,
    select_engine_records,
)
from push_blaster.adapters.schedule.schedule_marks import ScheduleMark, select_marks
from push_blaster.domain.automations.automation import Automation
from push_blaster.domain.schedule.schedule import next_slots
from push_blaster.use_cases.schedule.open_executions import fingerprint_of

#: How long the clock may take to notice an edit, or to open a due execution.
ALLOWED_DELAY: Final = timedelta(seconds=15)

NO_ENGINE: Final = "No engine is at work."
NOT_TAKEN_UP: Final = "The clock has not taken up its schedule."


@dataclass(frozen=True, slots=True)
class ScheduledJob:
    """A scheduled automation, the next slot that the clock must open, and its fault, if any."""

    automation: Automation
    next_slot: datetime | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class ClockReport:
    """Every scheduled automation; `engines` are alive, and `silent` engines were alive before."""

    jobs: tuple[ScheduledJob, ...]
    engines: tuple[EngineRecord, ...]
    silent: tuple[EngineRecord, ...]

    @property
    def divergent(self) -> list[ScheduledJob]:
        """The automations that should send, but would not now."""
        return [job for job in self.jobs if job.problem]


@dataclass(frozen=True, slots=True)
class _Known:
    document: Mapping[str, Any]
    mark: ScheduleMark | None
    automation: Automation
    is_taken_up: bool
    next_slot: datetime | None


class ClockWatch:
    """Compares the folder of automations with what the engines have recorded."""

    def __init__(self, files: AutomationFiles, database: Database) -> None:
        """Take the two sides to compare."""
        self._files = files
        self._database = database
        self._known: dict[str, _Known] = {}

    def look(self, now: datetime) -> ClockReport:
        """Return the report at `now`; unchanged automations are not examined again."""
        with self._database.transaction() as connection:
            marks = select_marks(connection)
            engines = select_engine_records(connection)
        documents = [d for d in self._files.list_all().documents if d["isActive"]]
        self._known = {d["id"]: self._know(d, marks.get(d["id"]), now) for d in documents}
        alive = tuple(engine for engine in engines if engine.seen_at >= now - ALIVE_WITHIN)
        return ClockReport(
            jobs=tuple(
                ScheduledJob(
                    known.automation, known.next_slot, _find_problem(known, bool(alive), now)
                )
                for known in self._known.values()
                if known.automation.is_scheduled
            ),
            engines=alive,
            silent=tuple(engine for engine in engines if engine not in alive),
        )

    def _know(
        self, document: Mapping[str, Any], mark: ScheduleMark | None, now: datetime
    ) -> _Known:
        known = self._known.get(document["id"])
        if known and known.document is document and known.mark == mark:
            return known
        automation = read_automation(document)
        is_taken_up = mark is not None and mark.fingerprint == fingerprint_of(automation)
        since = mark.decided_until if mark and is_taken_up else now
        slots = next_slots(automation.schedule, since, 1)
        return _Known(document, mark, automation, is_taken_up, slots[0].at if slots else None)


def _find_problem(known: _Known, has_engine: bool, now: datetime) -> str | None:
    if not has_engine:
        return NO_ENGINE
    is_fresh = now - known.automation.updated_at < ALLOWED_DELAY
    if not (known.is_taken_up or is_fresh):
        return NOT_TAKEN_UP
    slot, lead = known.next_slot, known.automation.schedule.lead_time
    if slot and not is_fresh and slot - lead < now - ALLOWED_DELAY:
        return f"The send of {slot.isoformat()} is due to begin, and nothing was opened."
    return None
