"""Those defects and traps that only real processes, side by side, can show."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from local_stack.embedded_postgres import EmbeddedPostgres
from tests.journeys.stack import Stack, a_journey_automation, due_in, running_stack, user
from tests.push_blaster.web.recipes import RECIPES
from tests.scripts import COUNTING_SCRIPT

ENDED = ("completed", "failed", "cancelled", "missed", "skipped")


@pytest.fixture(scope="module")
def stack(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Real processes far from UTC: three web workers, two engines, leases of a second."""
    folder = tmp_path_factory.mktemp("regressions") / "data"
    settings = {
        "TZ": "Asia/Kathmandu",
        "PUSH_ENGINE_DEAD_AFTER_SECONDS": "1",
        "PUSH_RATE_PER_MINUTE": "6000",
    }
    with running_stack(postgres, folder, settings, engines=2) as running:
        (folder / "scripts" / "users.py").write_text(COUNTING_SCRIPT)
        yield running


@pytest.fixture(scope="module")
def crowd(stack: Stack) -> list[dict[str, Any]]:
    """Three automations whose slots come due at once, while a third engine runs that nobody minds.

    It was started beside the managed two, and outlives their supervisor's knowledge.
    """
    orphan = stack.spawn("push-blaster", "engine")
    schedule, at = due_in(3)
    try:
        for n in range(3):
            automation = a_journey_automation(
                f"crowd-{n}",
                status="active",
                isActive=True,
                schedule=schedule,
                parameters={"first": 5_001 + 100 * n, "users": 20},
            )
            stack.ask("POST", "/api/automation/recipes", automation)
        return [stack.wait_for(f"crowd-{n}@{at:%Y%m%dT%H%M%SZ}", ENDED) for n in range(3)]
    finally:
        orphan.terminate()
        orphan.wait(10)


def test_defect_01_many_processes_run_a_slots_script_once(
    stack: Stack, crowd: list[dict[str, Any]]
) -> None:
    noted = (stack.folder / "scripts" / "runs.txt").read_text().split()

    assert [e["phase"] for e in crowd] == ["completed"] * 3
    assert Counter(noted)[crowd[0]["id"]] == 1
    assert all(Counter(noted)[execution["id"]] == 1 for execution in crowd)


def test_defect_04_an_orphaned_engine_sends_nothing_a_second_time(
    stack: Stack, crowd: list[dict[str, Any]]
) -> None:
    sent = Counter(m["userId"] for m in stack.messages())

    wanted = [user(5_001 + 100 * n + k) for n in range(3) for k in range(20)]
    assert {u: sent[u] for u in wanted} == dict.fromkeys(wanted, 1)
    assert [len(stack.executions(f"crowd-{n}")) for n in range(3)] == [1, 1, 1]


def test_trap_a_lock_that_goes_stale_within_a_run(stack: Stack) -> None:
    """A script of 6 and a batch of 6 seconds, where leases last one and work is offered each 5."""
    parameters = {"first": 6_001, "users": 700, "sleep": 6}
    stack.ask("POST", RECIPES, a_journey_automation("long", parameters=parameters))
    started = stack.ask("POST", "/api/executions", {"automationId": "long"})

    execution = stack.wait_for(started["id"], ENDED, limit_s=90)

    noted = (stack.folder / "scripts" / "runs.txt").read_text().split()
    sent = Counter(m["userId"] for m in stack.messages())
    assert execution["phase"] == "completed", execution["reason"]
    assert noted.count(started["id"]) == 1
    assert {sent[user(6_001 + n)] for n in range(700)} == {1}
    assert execution["pushes"][0]["funnel"]["resentInDoubt"] == 0


def test_trap_a_lease_written_in_local_time(stack: Stack) -> None:
    """Every process runs at UTC+5:45; what killed engines held is free within seconds."""
    parameters = {"first": 8_001, "users": 20, "sleep": 2}
    stack.ask("POST", RECIPES, a_journey_automation("lease", parameters=parameters))
    started = stack.ask("POST", "/api/executions", {"automationId": "lease"})
    stack.wait_for(started["id"], ["audience_generation"])

    for engine in stack.engines:
        os.killpg(engine.pid, signal.SIGKILL)
        engine.wait()
    stack.engines.clear()
    for _ in range(2):
        stack.start_engine()

    assert stack.wait_for(started["id"], ENDED, limit_s=60)["phase"] == "completed"
