"""The clock: open an execution for each slot that is due to begin, once."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from chassis.postgres import Connection, Database, DatabaseAwayError
from push_blaster.adapters.execution_log import append_log
from push_blaster.adapters.execution_table import (
    NewExecution,
    insert_execution,
    lock_automation,
    select_running_ids,
)
from push_blaster.adapters.schedule_marks import ScheduleMark, save_mark, select_marks
from push_blaster.domain.automation import Automation, MissedRunPolicy, Schedule
from push_blaster.domain.execution import LogLevel, Trigger, execution_id
from push_blaster.domain.modes import Mode
from push_blaster.domain.phase import RUNNING, Phase
from push_blaster.domain.schedule import next_slots, slots_between
from push_blaster.use_cases.stop_execution import cancel_off_schedule

log = structlog.get_logger()

#: A slot found so soon after its send time is on time, not missed.
ON_TIME: Final = timedelta(seconds=30)

#: So long an automation is left alone whose slot could not be opened.
FAULT_PAUSE: Final = timedelta(minutes=1)

#: How many missed slots of one automation are recorded one by one after a long outage.
MAX_MISSED_RECORDED: Final = 100


@dataclass(frozen=True, slots=True)
class ScheduledAutomation:
    """A scheduled automation, and the document that its executions will run on."""

    automation: Automation
    document: Mapping[str, Any]


@dataclass(slots=True)
class _Watched:
    version: int
    schedule: Schedule
    mark: ScheduleMark
    next_slot: datetime | None
    left_alone_until: datetime | None = None


@dataclass(slots=True)
class Clock:
    """What the clock knows of each scheduled automation between two ticks."""

    database: Database
    _watched: dict[str, _Watched] = field(default_factory=dict)

    def tick(self, scheduled: Iterable[ScheduledAutomation], now: datetime) -> list[str]:
        """Open what is due to begin at `now`; return the ids of the executions opened."""
        automations = {s.automation.id: s for s in scheduled}
        self._forget(automations)
        self._learn([s for s in automations.values() if self._is_news(s.automation)], now)
        opened: list[str] = []
        for automation_id, watched in self._watched.items():
            current = automations[automation_id]
            if _is_due(watched, now):
                opened += self._open_alone(current, watched, now)
        return opened

    def _forget(self, present: Mapping[str, object]) -> None:
        for automation_id in self._watched.keys() - present.keys():
            del self._watched[automation_id]

    def _is_news(self, automation: Automation) -> bool:
        watched = self._watched.get(automation.id)
        if watched is None:
            return True
        # A file that was changed by hand may bear the version that it had.
        known, found = watched, automation
        return (known.version, known.schedule) != (found.version, found.schedule)

    def _learn(self, news: Sequence[ScheduledAutomation], now: datetime) -> None:
        if not news:
            return
        with self.database.transaction() as connection:
            marks = select_marks(connection)
            for scheduled in news:
                automation = scheduled.automation
                known = marks.get(automation.id)
                mark = _mark_of(automation, known, now)
                if mark != known:
                    save_mark(connection, automation.id, mark)
                if known and mark.fingerprint != known.fingerprint:
                    cancel_off_schedule(connection, automation, now)
                self._watch(automation, mark)

    def _watch(self, automation: Automation, mark: ScheduleMark) -> None:
        following = next_slots(automation.schedule, mark.decided_until, 1)
        self._watched[automation.id] = _Watched(
            automation.version,
            automation.schedule,
            mark,
            following[0].at if following else None,
        )

    def _open_alone(
        self, scheduled: ScheduledAutomation, watched: _Watched, now: datetime
    ) -> list[str]:
        """Open what is due of one automation; its fault is not the others'."""
        try:
            return self._open(scheduled, watched, now)
        except DatabaseAwayError:
            raise
        except Exception:
            log.exception("slot_not_opened", automation=scheduled.automation.id)
            watched.left_alone_until = now + FAULT_PAUSE
            return []

    def _open(self, scheduled: ScheduledAutomation, watched: _Watched, now: datetime) -> list[str]:
        automation = scheduled.automation
        until = now + automation.schedule.lead_time
        slots = [
            slot.at
            for slot in slots_between(automation.schedule, watched.mark.decided_until, until)
        ]
        mark = ScheduleMark(watched.mark.fingerprint, slots[-1])
        with self.database.transaction() as connection:
            lock_automation(connection, automation.id)
            opened = [
                new.id
                for new in _decide(connection, scheduled, slots, now)
                if _insert(connection, new, now)
            ]
            save_mark(connection, automation.id, mark)
        self._watch(automation, mark)
        return opened


def _is_due(watched: _Watched, now: datetime) -> bool:
    if watched.next_slot is None or (watched.left_alone_until or now) > now:
        return False
    return watched.next_slot - watched.schedule.lead_time <= now


def _mark_of(automation: Automation, known: ScheduleMark | None, now: datetime) -> ScheduleMark:
    """Return from where on the automation's slots are to be decided.

    A new or changed schedule counts from its last edit, so that a slot which fell due while no
    engine ran is not lost; but not further back than the grace period, so that an old file which
    comes back from a backup sends nothing old. What fell due while it was paused stays undone.
    """
    fingerprint = fingerprint_of(automation)
    if known and known.fingerprint == fingerprint:
        since = automation.activated_at or known.decided_until
        return replace(known, decided_until=max(known.decided_until, min(since, now)))
    edited_at = min(automation.updated_at, now)
    is_recent = now - edited_at <= automation.schedule.grace
    return ScheduleMark(fingerprint, edited_at if is_recent else now)


def fingerprint_of(automation: Automation) -> str:
    """Return what the clock knows an automation's schedule by."""
    return hashlib.sha256(repr(automation.schedule).encode()).hexdigest()


def _decide(
    connection: Connection, scheduled: ScheduledAutomation, slots: Sequence[datetime], now: datetime
) -> list[NewExecution]:
    """Say of each due slot whether it runs, was missed, or is skipped; at most one of them runs."""
    late = [slot for slot in slots if slot < now - ON_TIME]
    runnable = [slot for slot in slots if slot >= now - ON_TIME]
    if late and not runnable and _may_run_late(scheduled.automation.schedule, late[-1], now):
        runnable = [late.pop()]
    missed = [
        _ended(scheduled, slot, Phase.MISSED, _missed_reason(slot, now))
        for slot in late[-MAX_MISSED_RECORDED:]
    ]
    if len(late) > len(missed):
        log.warning("missed_slots_unrecorded", automation=scheduled.automation.id, n=len(late))
    running = select_running_ids(connection, scheduled.automation.id, RUNNING, Mode.LIVE)
    return missed + _queue(scheduled, runnable, running)


def _may_run_late(schedule: Schedule, slot: datetime, now: datetime) -> bool:
    is_allowed = schedule.missed_run_policy is MissedRunPolicy.RUN_LATE
    return is_allowed and now - slot <= schedule.grace


def _queue(
    scheduled: ScheduledAutomation, slots: Sequence[datetime], running: list[str]
) -> list[NewExecution]:
    queued: list[NewExecution] = []
    for slot in slots:
        if running:
            reason = f"The execution {running[0]!r} of an earlier slot still ran."
            queued.append(_ended(scheduled, slot, Phase.SKIPPED, reason))
        else:
            queued.append(_waiting(scheduled, slot))
            running = [queued[-1].id]
    return queued


def _waiting(scheduled: ScheduledAutomation, slot: datetime) -> NewExecution:
    return NewExecution(
        id=execution_id(scheduled.automation.id, slot),
        document=scheduled.document,
        mode=Mode.LIVE,
        trigger=Trigger.SCHEDULE,
        slot=slot,
        begins_at=slot - scheduled.automation.schedule.lead_time,
    )


def _ended(
    scheduled: ScheduledAutomation, slot: datetime, phase: Phase, reason: str
) -> NewExecution:
    return NewExecution(
        id=execution_id(scheduled.automation.id, slot),
        document=scheduled.document,
        mode=Mode.LIVE,
        trigger=Trigger.SCHEDULE,
        slot=slot,
        begins_at=slot - scheduled.automation.schedule.lead_time,
        phase=phase,
        reason=reason,
    )


def _missed_reason(slot: datetime, now: datetime) -> str:
    late = int((now - slot).total_seconds())
    return f"No engine was there to begin it in time: it was found {late} s after its send time."


def _insert(connection: Connection, new: NewExecution, now: datetime) -> bool:
    if not insert_execution(connection, new, now):
        return False
    level = LogLevel.INFO if new.phase is Phase.WAITING else LogLevel.WARNING
    text = new.reason or f"The slot {new.slot.isoformat()} is due to begin."
    append_log(connection, new.id, new.phase, text, now, level)
    return True
