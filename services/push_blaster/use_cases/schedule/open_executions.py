"""The clock: open one execution for each slot that is due to begin."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from chassis.postgres import Connection, Database, DatabaseAwayError
from push_blaster.adapters.automations.automation_files import StoredAutomation
from push_blaster.adapters.executions.execution_log import append_log
from push_blaster.adapters.executions.execution_table import (
    NewExecution,
    insert_execution,
    lock_automation,
    select_live_slots,
    select_running_ids,
)
from push_blaster.adapters.operations.emergency_stops import select_unfinished
from push_blaster.adapters.schedule.schedule_marks import ScheduleMark, save_mark, select_marks
from push_blaster.domain.automations.automation import Automation
from push_blaster.domain.executions.execution import LogLevel, Trigger, execution_id
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import RUNNING, Phase
from push_blaster.domain.schedule.schedule import (
    ON_TIME,
    latest_start,
    next_slots,
    slots_between,
)
from push_blaster.use_cases.executions.stop_execution import cancel_off_schedule

log = structlog.get_logger()

#: After this time every engine has read a file that was written anew under an id.
NEWS: Final = timedelta(seconds=1)

#: How long the clock waits before it tries again to open a slot that failed.
FAULT_PAUSE: Final = timedelta(minutes=1)

#: How long the clock waits while an emergency stop has not paused an automation yet.
STOP_PAUSE: Final = timedelta(seconds=1)

#: How many missed slots of one automation are recorded after a long outage.
MAX_MISSED_RECORDED: Final = 100


@dataclass(frozen=True, slots=True)
class _Watched:
    stored: StoredAutomation
    mark: ScheduleMark
    due_at: datetime | None


@dataclass(slots=True)
class Clock:
    """The clock's memory of each scheduled automation between two ticks."""

    database: Database
    _seen: Mapping[str, StoredAutomation] | None = None
    _watched: dict[str, _Watched] = field(default_factory=dict)
    _next_at: datetime | None = None

    def tick(self, automations: Mapping[str, StoredAutomation], now: datetime) -> list[str]:
        """Open the executions that are due to begin at `now`; return their ids.

        Shape: `automations` by id; if the mapping is the same object as at the last tick, it is not
        read again.
        """
        if automations is not self._seen:
            self._forget(automations)
            self._learn([s for s in automations.values() if self._is_news(s)], now)
            self._seen = automations
        opened: list[str] = []
        if self._next_at and self._next_at <= now:
            due = [w for w in self._watched.values() if w.due_at and w.due_at <= now]
            opened = [id_ for watched in due for id_ in self._open_alone(watched, now)]
            self._plan()
        return opened

    def _forget(self, present: Mapping[str, StoredAutomation]) -> None:
        for automation_id in list(self._watched):
            current = present.get(automation_id)
            if current is None or not current.automation.is_scheduled:
                del self._watched[automation_id]

    def _is_news(self, stored: StoredAutomation) -> bool:
        watched = self._watched.get(stored.automation.id)
        is_known = watched is not None and watched.stored == stored
        return stored.automation.is_scheduled and not is_known

    def _learn(self, news: Sequence[StoredAutomation], now: datetime) -> None:
        marks: dict[str, ScheduleMark] = {}
        with self.database.transaction() as connection:
            before = select_marks(connection, [stored.automation.id for stored in news])
            for automation in (stored.automation for stored in news):
                known = before.get(automation.id)
                marks[automation.id] = mark = _mark_of(automation, known, now)
                if mark != known:
                    save_mark(connection, automation.id, mark)
                if known and mark.fingerprint != known.fingerprint:
                    cancel_off_schedule(connection, automation, now)
        for stored in news:
            self._watch(stored, marks[stored.automation.id])
        self._plan()

    def _watch(self, stored: StoredAutomation, mark: ScheduleMark) -> None:
        schedule = stored.automation.schedule
        following = next_slots(schedule, mark.decided_until, 1)
        due_at = following[0].at - schedule.lead_time if following else None
        self._watched[stored.automation.id] = _Watched(stored, mark, due_at)

    def _plan(self) -> None:
        due = (watched.due_at for watched in self._watched.values() if watched.due_at)
        self._next_at = min(due, default=None)

    def _open_alone(self, watched: _Watched, now: datetime) -> list[str]:
        """Open the due slots of one automation; its fault does not stop the others."""
        try:
            return self._open(watched, now)
        except DatabaseAwayError:
            raise
        except Exception:
            automation_id = watched.stored.automation.id
            log.exception("slot_not_opened", automation=automation_id)
            self._watched[automation_id] = replace(watched, due_at=now + FAULT_PAUSE)
            return []

    def _open(self, watched: _Watched, now: datetime) -> list[str]:
        automation = watched.stored.automation
        until = now + automation.schedule.lead_time
        with self.database.transaction() as connection:
            lock_automation(connection, automation.id)
            mark = select_marks(connection, [automation.id]).get(automation.id, watched.mark)
            if mark.fingerprint != fingerprint_of(automation):
                # Another engine has seen a newer edit; the schedule of this one is out of date.
                self._watched[automation.id] = replace(watched, due_at=None)
                return []
            if mark.generation != watched.mark.generation:
                self._watched[automation.id] = replace(watched, mark=mark, due_at=now + NEWS)
                return []
            emergency = select_unfinished(connection)
            if emergency and emergency.stops(automation):
                self._watched[automation.id] = replace(watched, due_at=now + STOP_PAUSE)
                return []
            # Other engines may have decided some of the slots.
            slots = [s.at for s in slots_between(automation.schedule, mark.decided_until, until)]
            sent = select_live_slots(connection, automation.id, slots)
            opened = [
                new.id
                for new in _decide(
                    connection,
                    replace(watched, mark=mark),
                    [slot for slot in slots if slot not in sent],
                    now,
                )
                if _insert(connection, new, now)
            ]
            mark = replace(mark, decided_until=max([mark.decided_until, *slots]))
            save_mark(connection, automation.id, mark)
        self._watch(watched.stored, mark)
        return opened


def _mark_of(automation: Automation, known: ScheduleMark | None, now: datetime) -> ScheduleMark:
    """Return the mark from which on the automation's slots are to be decided.

    A changed schedule counts from its last edit, and a new one from its activation, so that a slot
    that was due while no engine ran is not lost. If that is longer ago than the grace period, the
    schedule counts from now, so that an old file from a backup sends nothing late. Slots that were
    due while the automation was paused are not made up for.
    """
    fingerprint = fingerprint_of(automation)
    if known and known.fingerprint == fingerprint:
        since = automation.activated_at or known.decided_until
        return replace(known, decided_until=max(known.decided_until, min(since, now)))
    begins = [None if known else automation.activated_at, automation.updated_at]
    earliest = now - automation.schedule.grace
    since = next((min(at, now) for at in begins if at and at >= earliest), now)
    return ScheduleMark(fingerprint, since, known.generation if known else 1)


def fingerprint_of(automation: Automation) -> str:
    """Return the text by which the clock recognises an automation's schedule."""
    return hashlib.sha256(repr(automation.schedule).encode()).hexdigest()


def _decide(
    connection: Connection, watched: _Watched, slots: Sequence[datetime], now: datetime
) -> list[NewExecution]:
    """Decide for each due slot whether it runs, was missed, or is skipped; at most one runs."""
    automation = watched.stored.automation
    late = [slot for slot in slots if slot < now - ON_TIME]
    runnable = [slot for slot in slots if slot >= now - ON_TIME]
    if late and not runnable and now <= latest_start(automation.schedule, late[-1]):
        runnable = [late.pop()]
    missed = [
        _ended(watched, slot, Phase.MISSED, _missed_reason(slot, now))
        for slot in late[-MAX_MISSED_RECORDED:]
    ]
    if len(late) > len(missed):
        log.warning("missed_slots_unrecorded", automation=automation.id, n=len(late))
    running = select_running_ids(connection, automation.id, RUNNING, Mode.LIVE)
    return missed + _queue(watched, runnable, running)


def _queue(watched: _Watched, slots: Sequence[datetime], running: list[str]) -> list[NewExecution]:
    queued: list[NewExecution] = []
    for slot in slots:
        if running:
            reason = f"The execution {running[0]!r} of an earlier send still ran."
            queued.append(_ended(watched, slot, Phase.SKIPPED, reason))
        else:
            queued.append(_waiting(watched, slot))
            running = [queued[-1].id]
    return queued


def _waiting(watched: _Watched, slot: datetime) -> NewExecution:
    stored, generation = watched.stored, watched.mark.generation
    return NewExecution(
        id=execution_id(stored.automation.id, slot, generation=generation),
        document=stored.document,
        mode=Mode.LIVE,
        trigger=Trigger.SCHEDULE,
        slot=slot,
        begins_at=slot - stored.automation.schedule.lead_time,
    )


def _ended(watched: _Watched, slot: datetime, phase: Phase, reason: str) -> NewExecution:
    return replace(_waiting(watched, slot), phase=phase, reason=reason)


def _missed_reason(slot: datetime, now: datetime) -> str:
    late = int((now - slot).total_seconds())
    return f"No engine was there to begin it in time: it was found {late} s after its send time."


def _insert(connection: Connection, new: NewExecution, now: datetime) -> bool:
    if not insert_execution(connection, new, now):
        return False
    level = LogLevel.INFO if new.phase is Phase.WAITING else LogLevel.WARNING
    text = new.reason or f"The send of {new.slot.isoformat()} is due to begin."
    append_log(connection, new.id, new.phase, text, now, level)
    return True
