"""How soon a stop takes effect: from the request to the last sign of life, in each phase.

Signs of life are messages that the transport has accepted and processes of the audience script. The
real processes run; messages go out slowly, so that a stop meets a batch half-way.
"""

import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import orjson
import psutil

from chassis.clock import utc_now
from local_stack.embedded_postgres import run_postgres
from tests.journeys.stack import (
    Stack,
    a_journey_automation,
    running_stack,
    user,
    wait_until,
)

#: Messages a second, slow enough that every send lasts for seconds.
RATE: Final = 200
TEST_USERS: Final = 400
#: How long after a stop somebody looks for signs of life.
WATCHED_S: Final = 1.5
SLOW: Final = {"PUSH_RATE_PER_MINUTE": str(60 * RATE), "PUSH_BATCH_SIZE": "500"}
#: Starts a child, as scripts that call a database client do, and writes down who both are.
SCRIPT: Final = """
import os, subprocess, sys
child = subprocess.Popen(["sleep", "60"])
with open(os.environ["PARAM_PIDS"], "w") as f:
    f.write(f"{os.getpid()} {child.pid}")
child.wait()
"""

#: Where one asks for a stop of the execution `{}`.
CANCEL: Final = "/api/executions/{}/cancel"
STOP: Final = "/api/executions/{}/stop"
ALL: Final = "/api/automation/emergency-stop"


@dataclass(frozen=True, slots=True)
class Case:
    """A phase to stop executions in: how one gets there, how that is seen, where one asks."""

    phase: str
    changes: dict[str, Any]
    start: dict[str, Any]
    is_there: Callable[["_Signs"], bool]
    paths: dict[str, str]


@dataclass(frozen=True, slots=True)
class Stopped:
    """One stop: when it was answered, and the last sign of life, in seconds after the request."""

    answered: float
    last_sign: float


class _Signs:
    """The signs of life of one execution."""

    def __init__(self, stack: Stack, pids: Path) -> None:
        self._messages = stack.folder / "sent" / "messages.jsonl"
        self._begin = self._messages.stat().st_size if self._messages.exists() else 0
        self._pids = pids

    def messages(self) -> list[datetime]:
        """Return when the messages were accepted."""
        if not self._messages.exists():
            return []
        lines = self._messages.read_bytes()[self._begin :].splitlines()
        return [datetime.fromisoformat(orjson.loads(line)["sentAt"]) for line in lines]

    def processes(self) -> list[int]:
        """Return the script's processes that are alive; of the dead ones some wait to be buried."""
        pids = self._pids.read_text().split() if self._pids.exists() else []
        return [int(pid) for pid in pids if _is_alive(int(pid))]


def measure_stops(folder: Path, rounds: int) -> None:
    """Print, for each phase and each way to stop, how soon the last sign of life was seen."""
    with (
        run_postgres(folder / "stops") as postgres,
        running_stack(postgres, folder / "stack", SLOW) as stack,
    ):
        (stack.folder / "scripts" / "slow.py").write_text(SCRIPT)
        _register_devices(stack)
        print(f"\nStops, {rounds} of each: seconds from the request to the last sign of life")
        stops = [s for case in CASES for s in _measure_case(stack, case, rounds)]
        _tell("all", stops)


def _measure_case(stack: Stack, case: Case, rounds: int) -> Iterator[Stopped]:
    for name, path in case.paths.items():
        stops = [_stop_once(stack, case, path) for _ in range(rounds)]
        _tell(f"{case.phase}, {name}", stops)
        yield from stops


_numbers = itertools.count(1)


def _stop_once(stack: Stack, case: Case, path: str) -> Stopped:
    automation_id = f"stop-{next(_numbers)}"
    pids = stack.folder / f"{automation_id}.pids"
    parameters = {"PIDS": str(pids), **case.changes.get("parameters", {})}
    body = a_journey_automation(automation_id, **{**case.changes, "parameters": parameters})
    if case.phase == "audience_generation":
        body["audienceCriteria"]["customScript"]["scriptId"] = "slow"
    stack.ask("POST", "/api/automation/recipes", body)
    signs = _Signs(stack, pids)
    options = {name: value() if callable(value) else value for name, value in case.start.items()}
    started = stack.ask("POST", "/api/executions", {"automationId": automation_id, **options})
    wait_until(lambda: stack.execution(started["id"])["phase"], case.phase.__eq__, 60)
    wait_until(lambda: case.is_there(signs), bool, 60)
    return _time(stack, signs, path, started["id"])


def _time(stack: Stack, signs: _Signs, path: str, execution_id: str) -> Stopped:
    asked_at, asked = utc_now(), time.monotonic()
    stack.ask("POST", path.format(execution_id))
    answered = time.monotonic() - asked
    last_process = 0.0
    while time.monotonic() - asked < WATCHED_S:
        if signs.processes():
            last_process = time.monotonic() - asked
        time.sleep(0.005)
    last_message = max(signs.messages(), default=asked_at)
    if stack.execution(execution_id)["phase"] != "cancelled" or signs.processes():
        raise RuntimeError(f"{execution_id} was not stopped.")
    return Stopped(answered, max((last_message - asked_at).total_seconds(), last_process))


def _tell(name: str, stops: Sequence[Stopped]) -> None:
    signs, answers = sorted(s.last_sign for s in stops), sorted(s.answered for s in stops)
    p99 = signs[min(len(signs) - 1, int(len(signs) * 0.99))]
    print(
        f"  {name:<40} p50 {statistics.median(signs):.3f}  p99 {p99:.3f}  worst {signs[-1]:.3f}"
        f"   (answered: p50 {statistics.median(answers):.3f}, worst {answers[-1]:.3f})",
        flush=True,
    )


def _register_devices(stack: Stack) -> None:
    numbers = range(1, TEST_USERS + 1)
    devices = [{"userId": user(number), "token": f"device-{number}"} for number in numbers]
    stack.ask("POST", "/api/devices", {"devices": devices})


def _is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _always(_: _Signs) -> bool:
    return True


def _sends(signs: _Signs) -> bool:
    return len(signs.messages()) >= 5


_BEFORE_LIVE: Final = {"cancel": CANCEL, "stop": STOP, "stop of everything": ALL}
_TESTED: Final = {
    "testUserIds": [user(number) for number in range(1, TEST_USERS + 1)],
    "safeguards": {"requireTestFirst": True},
}
CASES: Final = (
    Case(
        "waiting",
        {},
        {
            "mode": "test-scheduled-send",
            "slot": lambda: (utc_now() + timedelta(hours=2)).isoformat(),
        },
        _always,
        _BEFORE_LIVE,
    ),
    Case("audience_generation", {}, {}, lambda signs: len(signs.processes()) == 2, _BEFORE_LIVE),
    Case("test_sending", {"settings": _TESTED}, {}, _sends, _BEFORE_LIVE),
    Case("cancellation_window", {}, {"cancellationWindowMinutes": 60}, _always, _BEFORE_LIVE),
    Case(
        "live_execution",
        {"parameters": {"users": 5_000}, "pushes": [{"layerId": 1}]},
        {"cancellationWindowMinutes": 0},
        _sends,
        {"stop": STOP, "stop of everything": ALL},
    ),
)
