"""Load: many callers at once, each asking again as soon as it is answered, as wrk does it.

The real processes run, over data of a usual size; the result is requests a second, how long the
median and the slowest hundredth took, and how many were not answered with success.
"""

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from local_stack.embedded_postgres import run_postgres
from tests.journeys.stack import TOKEN, Stack, a_journey_automation, running_stack, user

#: Callers at once, on one thread: wrk takes little, and the machine is the services'.
CALLERS: Final = 16
AUTOMATIONS: Final = 100
EXECUTIONS: Final = 30
USERS: Final = 1_000
CADENCE_TOKEN: Final = "journey-cadence-token"
#: The instructions for wrk, in its own language.
SCRIPT: Final = """
wrk.method, wrk.body = {method}, {body}
wrk.headers["Authorization"] = "Bearer {token}"
wrk.headers["Content-Type"] = "application/json"
"""


@dataclass(frozen=True, slots=True)
class Load:
    """The requests that are repeated."""

    name: str
    url: str
    token: str
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """How it went; times in milliseconds."""

    a_second: float
    median: float
    slow: float
    errors: int


def measure_load(folder: Path, seconds: int) -> None:
    """Print how each load was taken."""
    with (
        run_postgres(folder / "load") as postgres,
        running_stack(postgres, folder / "stack") as stack,
    ):
        loads = _prepare(stack)
        print(f"\nLoad, {CALLERS} callers at once, {seconds} s each")
        print("what                                       requests/s  p50 ms   p99 ms  errors")
        for load in loads:
            taken = _measure(folder, load, seconds)
            print(
                f"{load.name:42} {taken.a_second:10.0f} {taken.median:7.1f} {taken.slow:8.1f}"
                f" {taken.errors:7}"
            )


def _prepare(stack: Stack) -> list[Load]:
    """Make automations, and executions that have ended; return what is asked of them."""
    for number in range(AUTOMATIONS):
        stack.ask("POST", "/api/automation/recipes", a_journey_automation(f"load-{number}"))
    started = [
        stack.ask("POST", "/api/executions", {"automationId": f"load-{n}"})["id"]
        for n in range(EXECUTIONS)
    ]
    for execution_id in started:
        stack.wait_for(execution_id, ["completed"])
    one, web, cadence = started[0], stack.push_url, stack.cadence_url
    texts = {"pushTitle": "News", "pushBody": "News.", "audienceDescription": "Load"}
    sent = {"userId": user(1), "layerId": 3, **texts}
    return [
        Load("web: list of 100 automations", f"{web}/api/automation/recipes", TOKEN),
        Load("web: list of executions", f"{web}/api/executions", TOKEN),
        Load("web: one execution", f"{web}/api/executions/{one}", TOKEN),
        Load("web: its log", f"{web}/api/executions/{one}/log", TOKEN),
        Load("web: page of automations", f"{web}/automations", TOKEN),
        Load("web: page of one execution", f"{web}/executions/{one}", TOKEN),
        Load("cadence: a user's cadence", f"{cadence}/users/{user(1)}/cadence", CADENCE_TOKEN),
        Load(
            f"cadence: filter {USERS} users",
            f"{cadence}/filter-audience",
            CADENCE_TOKEN,
            {"userIds": [user(n) for n in range(1, USERS + 1)], "layerId": 3},
        ),
        Load(
            "cadence: record a notification",
            f"{cadence}/track-notification",
            CADENCE_TOKEN,
            sent,
        ),
    ]


def _measure(folder: Path, load: Load, seconds: int) -> Taken:
    body = json.dumps(json.dumps(load.body)) if load.body else "nil"
    method = '"POST"' if load.body else '"GET"'
    program = SCRIPT.format(method=method, body=body, token=load.token)
    return run_wrk(folder, program, load.url, seconds)


def run_wrk(folder: Path, program: str, url: str, seconds: int) -> Taken:
    """Let wrk ask `url` as its program says, and return how it went."""
    script = folder / "load.lua"
    script.write_text(program)
    callers = [f"-c{CALLERS}", "-t1", f"-d{seconds}s", "--timeout=10s"]
    done = subprocess.run(
        ["wrk", *callers, "--latency", "-s", script, url],
        capture_output=True,
        text=True,
        check=True,
    )
    return read_wrk(done.stdout)


def read_wrk(told: str) -> Taken:
    """Return what wrk says; an answer without success is an error, and so is none."""
    latency = dict(re.findall(r"^\s+(50|99)%\s+(\S+) *$", told, re.MULTILINE))
    (rate,) = re.findall(r"Requests/sec:\s+([\d.]+)", told)
    errors = re.findall(r"(?:Non-2xx or 3xx responses:|connect|read|write|timeout) (\d+)", told)
    return Taken(
        a_second=float(rate),
        median=_read_ms(latency["50"]),
        slow=_read_ms(latency["99"]),
        errors=sum(map(int, errors)),
    )


def _read_ms(text: str) -> float:
    number = float(text.rstrip("ums"))
    unit = text.lstrip("0123456789.")
    return number * {"us": 0.001, "ms": 1, "s": 1_000, "m": 60_000}[unit]
