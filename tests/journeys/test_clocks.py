"""Engines whose clocks are wrong, and jump: nothing is early, late or fast for that."""

import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import psycopg2
import pytest

from chassis.clock import machine_now
from local_stack.embedded_postgres import EmbeddedPostgres
from tests.fakes.fcm_server import run_fcm_server
from tests.fakes.fcm_settings import fcm_settings
from tests.fakes.set_clock import SetClock, make_clock
from tests.fakes.token_server import make_key, run_token_server
from tests.journeys.stack import (
    Stack,
    a_journey_automation,
    due_in,
    running_stack,
    user,
    wait_until,
)

FIVE = timedelta(minutes=5)
HOURS = timedelta(hours=2)
USERS = 40
TESTER = 900
SCRIPT = """
import csv, os, time, uuid
time.sleep(float(os.environ.get("PARAM_SLEEPS", "0")))
with open(os.path.join(os.environ["OUTPUT_PATH"], "default.csv"), "w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["user_id", "first_name", "device_token"])
    first = int(os.environ["PARAM_FIRST"])
    for number in range(first, first + int(os.environ["PARAM_USERS"])):
        table.writerow([uuid.UUID(int=number), "Ada", f"ok-{number}"])
"""


@dataclass
class Machines:
    """Two engines, each with a clock of its own; the provider's clock is the database's."""

    stack: Stack
    clocks: list[SetClock]
    taken: list[tuple[str, datetime]] = field(default_factory=list)

    def set(self, *ahead: timedelta) -> None:
        for clock, each in zip(self.clocks, ahead, strict=True):
            clock.set(each)

    def schedule(self, automation_id: str, seconds: float, **parameters: object) -> datetime:
        """Create an automation with a test and a window that sends once, soon; return T."""
        schedule, live_at = due_in(seconds)
        self.stack.ask(
            "POST",
            "/api/automation/recipes",
            a_journey_automation(
                automation_id,
                parameters={"users": USERS, **parameters},
                settings={"testUserIds": [user(TESTER)]},
                schedule=schedule,
                status="active",
                isActive=True,
            ),
        )
        return live_at

    def wait_for(self, automation_id: str, phase: str) -> dict[str, Any]:
        def look() -> dict[str, Any]:
            found = [self.stack.execution(e["id"]) for e in self.stack.executions(automation_id)]
            return found[0] if found else {"phase": "absent"}

        execution: dict[str, Any] = wait_until(
            look, lambda e: e["phase"] == phase or e.get("endedAt"), 60
        )
        assert execution["phase"] == phase, execution["reason"]
        return execution

    def health(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.stack.request("GET", "/health").json()
        return found

    def taken_from(self, first: int) -> list[datetime]:
        """Return when the provider took the messages to the users from `first` on."""
        wanted = {f"ok-{number}" for number in range(first, first + USERS)}
        return [at for token, at in self.taken if token in wanted]


@pytest.fixture(scope="module")
def machines(
    postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machines]:
    """Everything, on engines of which one is five minutes fast and one five minutes slow."""
    tmp_path = tmp_path_factory.mktemp("clocks")
    private, public = make_key()
    clocks = [make_clock(tmp_path, "fast", FIVE), make_clock(tmp_path, "slow", -FIVE)]
    with run_fcm_server(tmp_path) as fcm, run_token_server(public) as google:
        settings = {"PUSH_WEB_WORKERS": "1", **fcm_settings(fcm, google.url, private)}
        with running_stack(
            postgres, tmp_path / "data", settings, engines=2, clocks=clocks
        ) as stack:
            (stack.folder / "scripts" / "users.py").write_text(SCRIPT)
            stack.ask("POST", "/api/devices", {"userId": user(TESTER), "token": f"ok-{TESTER}"})
            machines = Machines(stack, clocks)
            fcm.on_accept = lambda message: machines.taken.append((message["token"], machine_now()))
            yield machines


def test_engines_ten_minutes_apart_send_at_t_as_one(machines: Machines) -> None:
    live_at = machines.schedule("apart", 6, first=1_000)

    execution = machines.wait_for("apart", "completed")

    assert execution["pushes"][0]["funnel"]["sent"] == USERS
    assert min(machines.taken_from(1_000)) >= live_at
    body = machines.health()
    assert body["status"] == "degraded"
    ahead = sorted(c["aheadSeconds"] for c in body["automationEngine"]["clocks"])
    assert ahead == pytest.approx([-300, 300], abs=2)
    assert not any(clock["holds"] for clock in body["automationEngine"]["clocks"])
    paces = machines.stack.ledger("SELECT pace->>'engines' FROM engines")
    assert paces == [("2",), ("2",)], "each counts the other one as alive"


def test_jumps_of_two_hours_in_each_phase_make_nothing_early(machines: Machines) -> None:
    jumps = [HOURS, -HOURS, HOURS, -HOURS]
    live_at = machines.schedule("jumps", 12, sleeps=2, first=2_000)

    for phase, jump in zip(
        ["audience_generation", "cancellation_window", "live_execution", "completed"],
        jumps,
        strict=True,
    ):
        machines.set(jump, -jump)
        machines.wait_for("jumps", phase)

    execution = machines.wait_for("jumps", "completed")
    taken = machines.taken_from(2_000)
    assert execution["pushes"][0]["funnel"]["sent"] == USERS
    assert min(taken) >= live_at
    assert min(taken) - live_at < timedelta(seconds=10)


@pytest.mark.parametrize("jump", [HOURS, -HOURS])
def test_a_stop_after_a_jump_ends_the_script_at_once(machines: Machines, jump: timedelta) -> None:
    automation_id = "ahead" if jump > timedelta(0) else "back"
    machines.schedule(automation_id, 60, sleeps=50, first=3_000)
    execution_id = machines.wait_for(automation_id, "audience_generation")["id"]

    def count_running() -> int:
        return len(machines.stack.ledger("SELECT FROM script_runs WHERE state = 'running'"))

    wait_until(count_running, lambda running: running == 1, 20)
    machines.set(jump, jump)

    machines.stack.ask("POST", f"/api/executions/{execution_id}/stop", {})
    stopped_at = time.monotonic()
    wait_until(count_running, lambda running: running == 0, 20)

    assert time.monotonic() - stopped_at < 5


def test_a_database_whose_clock_jumps_makes_engines_hold(machines: Machines) -> None:
    let_clock_jump(machines.stack.database_url, timedelta(0))
    live_at = machines.schedule("held", 10, first=4_000)
    execution_id = machines.wait_for("held", "cancellation_window")["id"]

    let_clock_jump(machines.stack.database_url, HOURS)
    body = wait_until(
        machines.health, lambda body: all_hold(body["automationEngine"]["clocks"]), 20
    )
    let_clock_jump(machines.stack.database_url, -HOURS)
    time.sleep(max(0.0, (live_at - machine_now()).total_seconds() + 3))

    assert body["status"] == "critical"
    assert any("begins and sends nothing" in problem for problem in body["problems"])
    assert machines.taken_from(4_000) == [], "T has come by one of the clocks"
    machines.stack.ask("POST", f"/api/executions/{execution_id}/stop", {})
    phase = machines.stack.execution(execution_id)["phase"]
    assert phase == "cancelled", "stops work all the same"


def all_hold(clocks: list[Mapping[str, Any]]) -> bool:
    return len(clocks) == 2 and all(clock["holds"] for clock in clocks)


def let_clock_jump(url: str, jump: timedelta) -> None:
    """Let the clock of a database be so far ahead, for all who ask it for the time."""
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with closing(connection), connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA IF NOT EXISTS set_clock")
        cursor.execute(
            "CREATE OR REPLACE FUNCTION set_clock.clock_timestamp() RETURNS timestamptz"
            " LANGUAGE sql AS $$ SELECT pg_catalog.clock_timestamp() + interval '%s seconds' $$",
            (jump.total_seconds(),),
        )
        cursor.execute("SELECT current_database()")
        (name,) = cursor.fetchone() or ("",)
        cursor.execute(f'ALTER DATABASE "{name}" SET search_path = set_clock, public, pg_catalog')
        if not jump:
            cursor.execute(
                # With a time limit, the call waits until the connection is closed. Without one,
                # the next request could still be given a connection that is about to close.
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = %s AND pid <> pg_backend_pid()",
                (name,),
            )
