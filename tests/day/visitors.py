"""The people of the day: they start, stop, cancel, edit at once, and break a file."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from chassis.clock import utc_now
from tests.day.automations import Planned, an_automation
from tests.journeys.stack import Stack
from tests.torture.journal import Journal
from tests.torture.world import World, persist

#: What is started by hand, and never by the clock.
BY_HAND: Final[dict[str, dict[str, Any]]] = {
    "script-fails": {"mood": "failing"},
    "script-hangs": {"mood": "hanging"},
    "is-stopped": {"users": 3_000},
    "is-cancelled": {"slow_s": "1", "mood": "slow"},
    **{f"crowd-{number}": {"mood": "slow", "slow_s": "12"} for number in range(1, 13)},
}
#: What they push: on a layer that is exempt, so that caps leave them something to send.
PUSH: Final = {"title": "Hi [[var:first_name]]", "body": "News", "layerId": 1}
#: How long somebody waits for a phase before turning away.
PATIENCE_S: Final = 60.0


@dataclass
class Visitors:
    """Acts over HTTP, in threads of its own, and writes down what was answered, and what is odd."""

    world: World
    planned: Sequence[Planned]
    journal: Journal
    odd: list[str] = field(default_factory=list)
    edits: int = 0
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(16))
    _acts: list[Future[object]] = field(default_factory=list)

    @property
    def stack(self) -> Stack:
        return self.world.stack

    def arrive(self) -> None:
        """Create the twenty, and what is started by hand."""
        for planned in self.planned:
            self.journal.calendars[planned.id] = planned.find_slots
            self._create(dict(planned.document))
            self.journal.switched_on(planned.id, utc_now())
        for name, script in BY_HAND.items():
            document = an_automation(name, 1, **script) | {"pushSequence": [PUSH]}
            if name == "is-cancelled":
                document["settings"]["cancellationWindowMinutes"] = 0.5
            self._create(document)

    def leave(self) -> None:
        """Switch the twenty off, and wait for every answer; what went wrong with one is raised."""
        for planned in self.planned:
            self._pause(planned.id)
        self._threads.shutdown()
        for act in self._acts:
            act.result()

    def start(self, *automation_ids: str) -> None:
        """Start them by hand, all at once."""
        for automation_id in automation_ids:
            self._act(self._start, automation_id)

    def end(self, automation_id: str, word: str, phase: str) -> None:
        """Start one by hand, and stop or cancel it once it is in this phase."""
        self._act(self._end, automation_id, word, phase)

    def edit_at_once(self) -> None:
        """Let two people save one automation that both have read before."""
        self._act(self._edit_at_once, self.planned[self.edits % len(self.planned)].id)
        self.edits += 1

    def stop_everything(self, for_s: float) -> None:
        """Press the red button, and resume one after the other later."""
        self._act(self._stop_everything, for_s)

    def break_file(self, for_s: float) -> None:
        """Put a file among the automations that is none, and take it away later."""
        self._act(self._break_file, for_s)

    def _act(self, act: Callable[..., object], *arguments: object) -> None:
        self._acts.append(self._threads.submit(act, *arguments))

    def _create(self, document: dict[str, Any]) -> None:
        self.stack.ask("POST", "/api/automation/recipes", document)

    def _start(self, automation_id: str) -> str | None:
        body = {"automationId": automation_id}
        key = {"Idempotency-Key": f"{automation_id} {utc_now().isoformat()}"}
        answer = persist(lambda: self.stack.request("POST", "/api/executions", body, **key))
        if answer is None or answer.status_code != 202:
            return None
        execution_id = str(answer.json()["id"])
        self.journal.answered.add(execution_id)
        return execution_id

    def _end(self, automation_id: str, word: str, phase: str) -> None:
        execution_id = self._start(automation_id)
        path = f"/api/executions/{execution_id}"
        give_up_at = time.monotonic() + PATIENCE_S
        while execution_id and time.monotonic() < give_up_at:
            seen = persist(lambda: self.stack.request("GET", path))
            if seen is not None and seen.ok and seen.json()["phase"] == phase:
                answer = persist(lambda: self.stack.request("POST", f"{path}/{word}", {}))
                if answer is not None and answer.ok:
                    self.journal.stopped[execution_id] = utc_now()
                return
            time.sleep(0.2)

    def _edit_at_once(self, automation_id: str) -> None:
        path = f"/api/automation/recipes/{automation_id}"
        before = self._read(path)
        tag = {"If-Match": f'"{before["version"]}"'}
        names = [f"{who}'s, {utc_now().isoformat()}" for who in ("Alice", "Bob")]
        with ThreadPoolExecutor(2) as both:
            answers = list(
                both.map(
                    lambda name: persist(
                        lambda: self.stack.request("PUT", path, {"name": name}, **tag)
                    ),
                    names,
                )
            )
        after = self._read(path)
        taken = [
            name
            for name, answer in zip(names, answers, strict=True)
            if answer is not None and answer.ok
        ]
        if after["version"] != before["version"] + 1 or taken not in ([], [after["name"]]):
            self.odd.append(f"{automation_id}: {taken} were told that they saved; {after['name']}")

    def _read(self, path: str) -> dict[str, Any]:
        answer = persist(lambda: self.stack.request("GET", path))
        assert answer is not None, f"{path} was not answered"
        found: dict[str, Any] = answer.json()["data"]
        return found

    def _stop_everything(self, for_s: float) -> None:
        self.journal.switched_off(None, utc_now())
        persist(lambda: self.stack.request("POST", "/api/automation/emergency-stop", {}))
        time.sleep(for_s)
        for planned in self.planned:
            answer = self._control(planned.id, "resume")
            if answer is not None and answer.ok:
                self.journal.switched_on(planned.id, utc_now())

    def _pause(self, automation_id: str) -> None:
        self.journal.switched_off(automation_id, utc_now())
        self._control(automation_id, "pause")

    def _control(self, automation_id: str, action: str) -> Any:
        body = {"automationId": automation_id, "action": action}
        return persist(lambda: self.stack.request("POST", "/api/automation/control", body))

    def _break_file(self, for_s: float) -> None:
        broken = self.stack.folder / "automations" / "half-written.json"
        broken.write_text('{"id": "half-written", ')
        time.sleep(for_s)
        broken.unlink()
