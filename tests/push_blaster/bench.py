"""The steps of an engine, run by hand at an instant that the test sets."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from chassis.postgres import Database
from push_blaster.adapters.automations.automation_document import complete_document, read_automation
from push_blaster.adapters.automations.automation_files import AutomationFiles, StoredAutomation
from push_blaster.adapters.delivery.batch_table import dispatch_batches
from push_blaster.adapters.delivery.delivery_report import select_deliveries
from push_blaster.adapters.executions.execution_log import select_log
from push_blaster.adapters.executions.execution_table import dispatch_executions
from push_blaster.adapters.executions.execution_view import select_execution, select_executions
from push_blaster.adapters.executions.violation_table import ViolationQuery, select_violations
from push_blaster.adapters.funnels import select_funnels
from push_blaster.domain.executions.execution import Execution
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.context import SendContext, WebContext
from push_blaster.use_cases.delivery.send_batch import send_batch
from push_blaster.use_cases.executions.advance_execution import advance_execution
from push_blaster.use_cases.executions.start_execution import StartRequest, start_execution
from push_blaster.use_cases.schedule.open_executions import Clock
from tests.builders import NOON, a_document

EVER = datetime.max.replace(tzinfo=NOON.tzinfo)


@dataclass
class Bench:
    """An engine without its processes: each test turns the handle."""

    database: Database
    folder: Path
    context: SendContext
    now: datetime = NOON
    is_shutting_down: Callable[[], bool] = lambda: False
    clocks: list[Clock] = field(default_factory=list)

    @property
    def web(self) -> WebContext:
        """What the web works with beside this engine."""
        return WebContext(
            database=self.database,
            files=AutomationFiles(self.folder / "automations"),
            scripts=self.context.scripts,
            cadence=self.context.cadence,
            data_folder=self.folder,
            limits=self.context.limits,
            device_source=self.context.device_source,
            check_transport=self.context.transport.check,
        )

    def change(self, **changes: Any) -> None:
        self.context = replace(self.context, **changes)

    def write_script(self, source: str, name: str = "users") -> None:
        (self.folder / "scripts" / f"{name}.py").write_text(source)

    def start(self, mode: Mode = Mode.LIVE, slot: datetime | None = None, **changes: Any) -> str:
        """Start an automation over the script `users`, and return the execution's id."""
        document = complete_document(an_automation_document(**changes))
        asked = StartRequest(mode=mode, is_simulated=False, slot=slot)
        return start_execution(self.web, document, asked, self.now).id

    def tick(self, *documents: Mapping[str, Any], clock: int = 0) -> list[str]:
        """Let a clock look at the automations now; return what it opened."""
        while len(self.clocks) <= clock:
            self.clocks.append(Clock(self.database))
        stored = {d["id"]: StoredAutomation(read_automation(d), d) for d in documents}
        return self.clocks[clock].tick(stored, self.now)

    def work(self) -> None:
        """Run every step and batch that is due now, until nothing is."""
        while self._work_once() and not self.is_shutting_down():
            pass

    def work_until_sent(self, messages: int) -> None:
        """Work until so many messages have gone out; then be stopped, as by a stop."""
        path = self.folder / "messages.jsonl"
        was = self.is_shutting_down
        self.is_shutting_down = lambda: (
            path.exists() and len(path.read_text().splitlines()) >= messages
        )
        self.work()
        self.is_shutting_down = was

    def _work_once(self) -> bool:
        with self.database.transaction() as connection:
            due = dispatch_executions(connection, self.now, EVER)
            batches = dispatch_batches(connection, self.now, EVER, 1_000)
        for key in batches:
            send_batch(self.context, key)
        before = [self.execution(execution_id) for execution_id in due]
        for execution_id in due:
            advance_execution(self.context, execution_id)
        moved = [b for b in before if _stand(self.execution(b.id)) != _stand(b)]
        return bool(batches or moved)

    def run(self, execution_id: str) -> Execution:
        """Work, hurrying from one planned instant to the next, until the execution has ended."""
        execution = self.execution(execution_id)
        for _ in range(200):
            self.work()
            execution = self.execution(execution_id)
            if execution.has_ended:
                return execution
            self.now = max(self.now, execution.due_at or self.now) + timedelta(milliseconds=600)
        raise AssertionError(f"still {execution}")

    def execution(self, execution_id: str) -> Execution:
        with self.database.transaction() as connection:
            return select_execution(connection, execution_id)

    def executions(self) -> list[Execution]:
        with self.database.transaction() as connection:
            return sorted(select_executions(connection, limit=200), key=lambda e: e.slot)

    def funnel(self, execution_id: str, position: int = 1) -> Mapping[str, Any]:
        with self.database.transaction() as connection:
            funnel = select_funnels(connection, [execution_id])[execution_id][position]
        return dict(funnel.to_document())

    def deliveries(self, execution_id: str) -> list[dict[str, Any]]:
        with self.database.transaction() as connection:
            return [d._asdict() for d in select_deliveries(connection, execution_id, None, 5_000)]

    def log(self, execution_id: str) -> str:
        with self.database.transaction() as connection:
            return "\n".join(entry.message for entry in select_log(connection, execution_id))


def _stand(execution: Execution) -> tuple[object, ...]:
    return execution.phase, execution.failures, execution.pushes


def an_automation_document(**changes: Any) -> dict[str, Any]:
    """Return an automation over the script `users`; no test, no window, unless asked for."""
    parameters = {"first": 1, "users": 10, **changes.pop("parameters", {})}
    settings = {
        "dryRunFirst": False,
        "cancellationWindowMinutes": 0,
        "safeguards": {"requireTestFirst": False},
        **changes.pop("settings", {}),
    }
    push = {"title": "Hi [[var:first_name]]", "body": "Body", "layerId": 3}
    pushes = changes.pop("pushes", [{}])
    return a_document(
        status="active",
        isActive=True,
        audienceCriteria={"customScript": {"scriptId": "users", "parameters": parameters}},
        settings=settings,
        pushSequence=[{**push, **own} for own in pushes],
        **changes,
    )


def messages(bench: Bench) -> list[dict[str, Any]]:
    path = bench.folder / "messages.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def phases(bench: Bench, execution_id: str) -> list[str]:
    with bench.database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT phase FROM execution_phases WHERE execution_id = %(id)s",
            {"id": execution_id},
        )
        # Some are entered at the same instant, by the bench's clock.
        return sorted((row[0] for row in cursor), key=list(Phase).index)


def violations(bench: Bench) -> list[tuple[str, str]]:
    with bench.database.transaction() as connection:
        found = select_violations(connection, ViolationQuery())
    return sorted((v.type, v.severity) for v in found)


def daily(**changes: Any) -> dict[str, Any]:
    """Return an automation that sends at 12:30 UTC and begins 10 minutes before."""
    schedule = {
        "timezone": "UTC",
        "frequency": "daily",
        "executionTime": "12:30",
        "leadTimeMinutes": 10,
        **changes.pop("schedule", {}),
    }
    edited = {"updatedAt": NOON.isoformat(), **changes}
    return dict(complete_document(an_automation_document(schedule=schedule, **edited)))
