"""The engine with ten thousand automations: at rest, when slots begin, and their list over HTTP."""

import json
import random
import signal
import statistics
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psutil
import requests

from chassis.clock import utc_now
from chassis.postgres import Database
from chassis.rows import insert_many
from local_stack.embedded_postgres import run_postgres
from push_blaster.adapters.automations.automation_document import complete_document
from push_blaster.adapters.automations.json_files import write_json
from push_blaster.adapters.executions.execution_table import NewExecution, insert_execution
from push_blaster.domain.executions.execution import Trigger
from push_blaster.domain.executions.modes import Mode
from tests.journeys.stack import (
    TOKEN,
    Stack,
    a_journey_automation,
    running_stack,
    user,
    wait_until,
)

#: How long the engine is watched at rest, once the first look at everything is over.
REST_S: Final = 60
CALM_S: Final = 15
#: Slots that begin one after the other, so many a second for so long, and then all at one instant.
STEADY_PER_S: Final = 4
STEADY_S: Final = 60
AT_ONCE: Final = 100
#: A script takes a process; slots are given this long before the first of them begins.
AHEAD: Final = timedelta(seconds=20)
PAGE: Final = 100
#: Live sends at one T, the time in which they are prepared, and scripts beside them.
LIVE_AT_ONCE: Final = 500
PREPARED_IN: Final = timedelta(minutes=3)
LONG_SCRIPTS: Final = 10
SCRIPT_S: Final = 60
#: Executions that wait while somebody stops everything.
WAITING: Final = 3_000


def measure_engine(folder: Path, automations: int) -> None:
    """Print what so many active automations cost, and how late their slots begin."""
    stack_folder = folder / "stack"
    _write_automations(stack_folder / "automations", automations)
    with run_postgres(folder / "engine") as postgres:
        begun = time.perf_counter()
        with running_stack(postgres, stack_folder, {"PUSH_WEB_WORKERS": "1"}) as stack:
            _wait_until_learned(stack, automations)
            print(f"\n{automations:,} active automations")
            known = time.perf_counter() - begun
            print(f"  first start of everything, until each schedule is known: {known:.1f} s")
            _measure_rest(stack)
            _measure_lists(stack)
            begins = [AHEAD + timedelta(seconds=n / STEADY_PER_S) for n in range(_steady())]
            _measure_lateness(stack, f"{STEADY_PER_S} a second", begins)
            _measure_lateness(stack, f"{AT_ONCE} at one instant", [AHEAD] * AT_ONCE)
            for scripts in (0, LONG_SCRIPTS):
                _measure_live(stack, scripts)
            _measure_emergency(stack)


def _steady() -> int:
    return STEADY_PER_S * STEADY_S


def _write_automations(folder: Path, automations: int) -> None:
    """Write automations of every frequency, none of which begins before tomorrow."""
    dice = random.Random(1)  # noqa: S311 - a sample, no secret
    tomorrow = (utc_now() + timedelta(days=2)).date()
    folder.mkdir(parents=True)
    for number in range(automations):
        schedule: dict[str, Any] = {
            "timezone": dice.choice(("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata")),
            "frequency": dice.choice(("daily", "weekly", "monthly", "custom")),
            "startDate": tomorrow.isoformat(),
            "executionTime": f"{dice.randrange(24):02}:{dice.randrange(60):02}",
        }
        if schedule["frequency"] == "custom":
            schedule["cronExpression"] = f"{dice.randrange(60)} {dice.randrange(24)} * * MON-FRI"
        document = _document(f"resting-{number:05}", schedule)
        (folder / f"{document['id']}.json").write_text(json.dumps(document, indent=2))


def _document(automation_id: str, schedule: dict[str, Any], **changes: Any) -> dict[str, Any]:
    stamp = utc_now().isoformat()
    body = a_journey_automation(
        automation_id,
        status="active",
        isActive=True,
        schedule=schedule,
        updatedAt=stamp,
        activatedAt=stamp,
        **changes,
    )
    return dict(complete_document(body))


def _wait_until_learned(stack: Stack, automations: int) -> None:
    wait_until(
        lambda: stack.ledger("SELECT count(*) FROM schedule_marks")[0][0], automations.__eq__, 300
    )


def _measure_rest(stack: Stack) -> None:
    engine = psutil.Process(stack.engines[0].pid)
    time.sleep(CALM_S)
    before, begun = engine.cpu_times(), time.perf_counter()
    time.sleep(REST_S)
    after, took = engine.cpu_times(), time.perf_counter() - begun
    share = (after.user + after.system - before.user - before.system) / took
    memory = engine.memory_info().rss / 1e6
    print(f"  engine at rest: {share:.1%} of a core, {memory:.0f} MB", flush=True)


def _measure_lists(stack: Stack) -> None:
    paths = {
        "list of all": "/api/automation/recipes",
        f"list of a page of {PAGE}": f"/api/automation/recipes?limit={PAGE}",
        "page of automations": "/automations",
        "page of automations, searched": "/automations?q=77",
        "dashboard": "/",
    }
    for name, path in paths.items():
        answers = [_get(stack, path) for _ in range(12)]
        taken = [took for took, _ in answers[2:]]
        print(
            f"  {name}: at first {answers[0][0]:.3f} s, then {statistics.median(taken):.3f}"
            f" s (worst {max(taken):.3f}), {answers[0][1] / 1e6:.1f} MB",
            flush=True,
        )


def _get(stack: Stack, path: str) -> tuple[float, int]:
    begun = time.perf_counter()
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = requests.get(f"{stack.push_url}{path}", headers=headers, timeout=60)
    answer.raise_for_status()
    return time.perf_counter() - begun, len(answer.content)


def _measure_lateness(stack: Stack, name: str, begins: Sequence[timedelta]) -> None:
    """Add automations whose only slots begin at `begins` from now, and print how late they did."""
    lead = timedelta(minutes=30)
    now = utc_now().replace(microsecond=0)
    prefix = f"due-{time.monotonic_ns()}"
    for number, begin in enumerate(begins):
        _write(stack, _document(f"{prefix}-{number}", _once(now + begin + lead, lead)))
    late = wait_until(
        lambda: _lateness(stack, prefix), lambda found: len(found) == len(begins), 300
    )
    _show(f"slots that begin, {name} ({len(begins)})", late)


def _write(stack: Stack, document: dict[str, Any]) -> None:
    write_json(stack.folder / "automations" / f"{document['id']}.json", document)


def _show(name: str, late: Sequence[float]) -> None:
    p99 = late[min(len(late) - 1, int(len(late) * 0.99))]
    print(
        f"  {name}: late by p50 {statistics.median(late):.3f} s, p99 {p99:.3f} s, worst"
        f" {late[-1]:.3f} s",
        flush=True,
    )


def _measure_live(stack: Stack, scripts: int) -> None:
    """Print how late live sends at one T begin, with so many long scripts beside them."""
    first = 1_000_000 * (scripts + 1)  # nobody is over a cap in the second run
    _register(stack, range(first, first + LIVE_AT_ONCE))
    at = utc_now().replace(microsecond=0) + PREPARED_IN + timedelta(seconds=1)
    prefix = f"live-{time.monotonic_ns()}"
    plain = {"title": "News"}
    schedule = _once(at, PREPARED_IN + timedelta(minutes=1))
    for number in range(LIVE_AT_ONCE):
        audience = {"manualUserIds": [user(first + number)]}
        _write(
            stack,
            _document(f"{prefix}-{number}", schedule, audienceCriteria=audience, pushes=[plain]),
        )
    lead = timedelta(hours=1)
    schedule = _once(at - timedelta(seconds=20) + lead, lead)
    for number in range(scripts):
        slow = {"users": 1, "first": 10_000 + number, "sleep": SCRIPT_S}
        _write(stack, _document(f"long-{prefix}-{number}", schedule, parameters=slow))
    users = {user(first + number) for number in range(LIVE_AT_ONCE)}
    late = wait_until(
        lambda: _live_lateness(stack, users, at),
        lambda found: len(found) == LIVE_AT_ONCE,
        PREPARED_IN.total_seconds() + 300,
        1.0,
    )
    _show(f"live sends, {LIVE_AT_ONCE} at one T, {scripts} long scripts beside them", late)


def _register(stack: Stack, users: range) -> None:
    database = Database(stack.database_url, max_connections=1)
    with database.transaction() as connection:
        insert_many(
            connection,
            "INSERT INTO devices (token, user_id, created_at, last_seen_at) VALUES %s",
            [(f"bench-{n}", user(n), utc_now(), utc_now()) for n in users],
        )
    database.close()


def _live_lateness(stack: Stack, users: set[str], at: datetime) -> list[float]:
    """Return, in order, the seconds from T until the provider had the message of each user."""
    taken: dict[str, float] = {}
    for message in stack.messages():
        if message["userId"] in users:
            late = datetime.fromisoformat(message["sentAt"]) - at
            taken.setdefault(message["userId"], late.total_seconds())
    return sorted(taken.values())


def _measure_emergency(stack: Stack) -> None:
    """Print how long an emergency stop of many waiting executions takes."""
    stack.engines[0].send_signal(signal.SIGSTOP)
    database, at = Database(stack.database_url, max_connections=1), utc_now() + timedelta(hours=1)
    schedule = _once(at, timedelta(hours=2))
    documents = [_document(f"waits-{number}", schedule) for number in range(WAITING)]
    for document in documents:
        _write(stack, document)
    with database.transaction() as connection:
        for document in documents:
            insert_execution(connection, _waiting(document, at), utc_now())
    database.close()
    _get(stack, f"/api/automation/recipes?limit={PAGE}")
    begun = time.perf_counter()
    headers = {"Authorization": f"Bearer {TOKEN}"}
    requests.post(f"{stack.push_url}/api/automation/emergency-stop", headers=headers, timeout=300)
    took = time.perf_counter() - begun
    missed, held = stack.ledger(_NOT_ENDED)[0]
    print(
        f"  emergency stop of {WAITING:,} waiting executions: {took:.2f} s, {missed} not stopped,"
        f" {held} stopped whose rows the halted engine has locked",
        flush=True,
    )
    unfinished = "SELECT count(*) FROM emergency_stops WHERE finished_at IS NULL"
    wait_until(lambda: stack.ledger(unfinished)[0][0], lambda found: not found, 300)
    print(f"  until all automations were paused: {time.perf_counter() - begun:.1f} s", flush=True)


#: The halted engine may hold rows of a transaction. Their stops hold, and the rows follow.
_NOT_ENDED: Final = """
    SELECT count(*) FILTER (WHERE s.execution_id IS NULL), count(s.execution_id)
      FROM executions e
      LEFT JOIN execution_stops s ON s.execution_id = e.id
     WHERE e.ended_at IS NULL
"""


def _waiting(document: dict[str, Any], at: datetime) -> NewExecution:
    return NewExecution(
        id=f"{document['id']}@{at:%Y%m%dT%H%M%SZ}",
        document=document,
        mode=Mode.LIVE,
        trigger=Trigger.SCHEDULE,
        slot=at,
        begins_at=utc_now(),
    )


def _once(at: datetime, lead: timedelta) -> dict[str, Any]:
    return {
        "timezone": "UTC",
        "frequency": "once",
        "startDate": at.date().isoformat(),
        "executionTime": at.strftime("%H:%M:%S"),
        "leadTimeMinutes": lead / timedelta(minutes=1),
    }


def _lateness(stack: Stack, prefix: str) -> list[float]:
    """Return, in order, how many seconds after its planned beginning each execution began."""
    found = stack.ledger(
        """
        SELECT extract(epoch FROM p.entered_at - e.begins_at)
          FROM executions e
          JOIN execution_phases p ON p.execution_id = e.id AND p.phase = 'audience_generation'
         WHERE e.automation_id LIKE %s
         ORDER BY 1
        """,
        f"{prefix}%",
    )
    return [float(seconds) for (seconds,) in found]
