"""The people of the torture: they create, start, edit, pause, cancel and stop, and insist."""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import requests

from chassis.clock import utc_now
from push_blaster.domain.executions.execution import execution_id
from tests.journeys.stack import Stack, a_journey_automation, user
from tests.torture.changing_clock import ZONE, Change, find_repeated, find_skipped
from tests.torture.journal import Journal
from tests.torture.phones import GOAL, Phones
from tests.torture.schedule import Blow, Event, Run, Start, plan_run
from tests.torture.world import HOST_JUMP, TESTER, World, persist, read_rows

#: Automations that run side by side, so that a kill meets several phases at once.
LANES: Final = 6
#: Automations with a slot every minute, for as long as they are not paused.
EVERY_MINUTE: Final = ("every-minute-1", "every-minute-2")
#: How long before a change of the clocks its automations are made.
AHEAD: Final = timedelta(seconds=45)
#: After so long a slot whose execution nobody has seen holds no lane any more.
PATIENCE: Final = timedelta(seconds=40)


@dataclass(slots=True)
class Lane:
    """One place at which something runs, and what."""

    run: Run
    execution_id: str | None = None
    free_at: datetime | None = None
    creation: "Future[None] | None" = None


@dataclass
class Crowd:
    """Acts on the world over HTTP, in threads of its own, and records the answers."""

    world: World
    seed: int
    journal: Journal = field(default_factory=Journal)
    phones: Phones = field(init=False)
    lanes: list[Lane | None] = field(default_factory=lambda: [None] * LANES)
    _runs: int = 0
    _changes: int = 0
    #: One thread for what switches automations on and off: its order is the order of the acts.
    _switch: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    _others: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(LANES + 4))

    def __post_init__(self) -> None:
        self.phones = Phones(self.world)

    @property
    def stack(self) -> Stack:
        return self.world.stack

    def arrive(self) -> None:
        """Create the automations that last, and switch the phones on."""
        self.phones.arrive()
        for number, name in enumerate(EVERY_MINUTE):
            run = plan_run(self.seed, -1 - number)
            body = _automation(run, name) | {"status": "active", "isActive": True}
            body["schedule"] = {
                "timezone": "UTC",
                "frequency": "custom",
                "cronExpression": "* * * * *",
                "leadTimeMinutes": 0,
            }
            self.stack.ask("POST", "/api/automation/recipes", body)
            self.journal.switched_on(name, self._latest())

    def _latest(self) -> datetime:
        """Return the latest instant that any process may take for the present one."""
        return utc_now() + (HOST_JUMP if self.world.host else timedelta(0))

    def keep_busy(self) -> None:
        """Let something new run wherever something has ended; look ahead to the clocks."""
        ended = self._find_ended()
        for number, lane in enumerate(self.lanes):
            if lane is None or self._is_free(lane, ended):
                self._runs += 1
                self.lanes[number] = self._begin(plan_run(self.seed, self._runs))
        change = self.world.changes[self._changes]
        if utc_now() >= change.at - AHEAD:
            self._changes += 1
            self._await_change(change)

    def act(self, event: Event) -> None:
        """Do what somebody does now; answers are waited for elsewhere."""
        lane = self.lanes[event.target % LANES]
        cron = EVERY_MINUTE[event.target // 2 % len(EVERY_MINUTE)]
        match event.blow:
            case Blow.PAUSE if event.target % 2 or lane is None:
                self._switch.submit(self._pause, cron)
            case Blow.PAUSE | Blow.STOP if lane and (event.blow is Blow.PAUSE or event.target % 2):
                action = "pause" if event.blow is Blow.PAUSE else "emergency_stop"
                self._switch.submit(self._pause, lane.run.id, action)
            case Blow.RESUME:
                self._switch.submit(self._resume, cron)
            case Blow.STOP_EVERYTHING:
                self._switch.submit(self._stop_everything)
            case _ if lane:
                self._others.submit(self._disturb, event.blow, lane)

    def leave(self) -> None:
        """Switch off what would go on for ever, and wait for every answer."""
        for name in EVERY_MINUTE:
            self._switch.submit(self._pause, name)
        self._switch.shutdown()
        self._others.shutdown()

    def _find_ended(self) -> frozenset[str]:
        sql = """
            SELECT automation_id FROM executions
             GROUP BY automation_id HAVING bool_and(ended_at IS NOT NULL)
        """
        rows = read_rows(self.stack.database_url, sql)
        return frozenset(row[0] for row in rows or [])

    def _is_free(self, lane: Lane, ended: frozenset[str]) -> bool:
        if lane.creation is None or not lane.creation.done():
            return False
        lane.creation.result()
        return lane.run.id in ended or (lane.free_at is not None and utc_now() > lane.free_at)

    def _begin(self, run: Run) -> Lane:
        lane = Lane(run)
        if run.start is Start.BY_HAND:
            lane.creation = self._others.submit(self._start_by_hand, lane)
        else:
            at = utc_now().replace(microsecond=0) + run.due_in
            lane.creation = self._others.submit(self._schedule, lane, at, at, "UTC")
        return lane

    def _await_change(self, change: Change) -> None:
        if change.is_forward:
            start, wall, at = Start.IN_THE_GAP, find_skipped(change), change.at
        else:
            start, (wall, at) = Start.IN_THE_FOLD, find_repeated(change)
        run = plan_run(self.seed, self._changes, start)
        self._others.submit(self._schedule, Lane(run), wall, at, ZONE)

    def _start_by_hand(self, lane: Lane) -> None:
        run = lane.run
        if not self._create(_automation(run, run.id)):
            lane.free_at = utc_now()
            return
        body = {"automationId": run.id}
        key = {"Idempotency-Key": f"{self.seed} {run.id}"}
        answer = persist(lambda: self.stack.request("POST", "/api/executions", body, **key))
        if answer is None:
            lane.free_at = utc_now()
            return
        assert answer.status_code == 202, answer.text
        lane.execution_id = answer.json()["id"]
        self.journal.answered.add(answer.json()["id"])

    def _schedule(self, lane: Lane, wall: datetime, at: datetime, zone: str) -> None:
        """Create an automation whose only slot is at `wall` in `zone`, and that is at `at`."""
        run = lane.run
        body = _automation(run, run.id) | {"status": "active", "isActive": True}
        body["schedule"] = {
            "timezone": zone,
            "frequency": "once",
            "startDate": wall.date().isoformat(),
            "executionTime": f"{wall:%H:%M:%S}",
            "leadTimeMinutes": 30,
        }
        lane.free_at = at + PATIENCE
        lane.execution_id = execution_id(run.id, at)
        self.journal.has_one_slot(run.id, at)
        if self._create(body):
            self.journal.switched_on(run.id, self._latest())

    def _create(self, body: dict[str, Any]) -> bool:
        answer = persist(lambda: self.stack.request("POST", "/api/automation/recipes", body))
        # 409: it was created, and the answer was lost.
        assert answer is None or answer.status_code in {201, 409}, answer.text
        return answer is not None

    def _pause(self, automation_id: str, action: str = "pause") -> None:
        self.journal.switched_off(automation_id, utc_now())
        self._control(automation_id, action)

    def _resume(self, automation_id: str) -> None:
        answer = self._control(automation_id, "resume")
        if answer is not None and answer.ok:
            self.journal.switched_on(automation_id, self._latest())

    def _stop_everything(self) -> None:
        self.journal.switched_off(None, utc_now())
        persist(lambda: self.stack.request("POST", "/api/automation/emergency-stop", {}))

    def _control(self, automation_id: str, action: str) -> requests.Response | None:
        body = {"automationId": automation_id, "action": action}
        return persist(lambda: self.stack.request("POST", "/api/automation/control", body))

    def _disturb(self, blow: Blow, lane: Lane) -> None:
        """Cancel or stop what runs, or edit its automation; too late is a fine answer, too."""
        if blow is Blow.EDIT:
            path = f"/api/automation/recipes/{lane.run.id}"
            body = {"name": f"Edited at {time.monotonic()}"}
            persist(lambda: self.stack.request("PUT", path, body))
        elif lane.execution_id:
            word = "cancel" if blow is Blow.CANCEL else "stop"
            path = f"/api/executions/{lane.execution_id}/{word}"
            answer = persist(lambda: self.stack.request("POST", path, {}))
            if answer is not None and answer.ok:
                self.journal.stopped[lane.execution_id] = self._latest()


def _automation(run: Run, automation_id: str) -> dict[str, Any]:
    parameters = {"first": run.first, "users": run.users, "mood": run.script}
    return a_journey_automation(
        automation_id,
        parameters=parameters,
        pushes=[
            {"layerId": layer, "timing": {"delayAfterPrevious": delay / timedelta(minutes=1)}}
            for layer, delay in run.pushes
        ],
        settings={
            "testUserIds": [user(TESTER)] if run.is_tested else [],
            "dryRunFirst": False,
            "cancellationWindowMinutes": run.window / timedelta(minutes=1),
            "safeguards": {"requireTestFirst": run.is_tested},
            "inDoubt": run.in_doubt,
            "failPolicy": run.fail_policy,
            "goal": {"name": GOAL, "withinHours": 1},
        },
    )
