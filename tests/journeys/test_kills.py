"""kill -9 of the engine in every phase: nothing lost, nothing hidden (more in tests/torture)."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from local_stack.embedded_postgres import EmbeddedPostgres
from tests.journeys.stack import (
    Stack,
    a_journey_automation,
    running_stack,
    user,
    wait_until,
)

USERS = 400
ENDED = ("completed", "failed", "cancelled")


@pytest.fixture(scope="module")
def stack(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    # 400 messages a second and small batches make a send last long enough to be killed in.
    settings = {
        "PUSH_RATE_PER_MINUTE": "24000",
        "PUSH_BATCH_SIZE": "100",
        "PUSH_WEB_WORKERS": "1",
        "PUSH_ENGINE_DEAD_AFTER_SECONDS": "2",
    }
    folder = tmp_path_factory.mktemp("kills") / "data"
    with running_stack(postgres, folder, settings) as running:
        yield running


PHASES = ["audience_generation", "test_sending", "cancellation_window", "live_execution"]


@pytest.mark.parametrize("phase", PHASES)
def test_an_execution_survives_a_kill_in(stack: Stack, phase: str) -> None:
    automation_id = f"phase-{phase.replace('_', '-')}"
    first = 1_000_001 + 10_000 * PHASES.index(phase)
    _create(stack, automation_id, first)
    started = stack.ask("POST", "/api/executions", {"automationId": automation_id})

    _wait_for_phase(stack, started["id"], phase)
    _kill_and_restart(stack)
    execution = stack.wait_for(started["id"], ENDED, limit_s=60)

    _check(stack, execution, first)


def _create(stack: Stack, automation_id: str, first: int) -> None:
    automation = a_journey_automation(
        automation_id,
        parameters={"first": first, "users": USERS, "sleep": 1.5},
        pushes=[{}, {"layerId": 2}],
        settings={
            "testUserIds": [],
            "dryRunFirst": False,
            "cancellationWindowMinutes": 0.7 / 60,
            "safeguards": {"requireTestFirst": False},
        },
    )
    stack.ask("POST", "/api/automation/recipes", automation)


def _wait_for_phase(stack: Stack, execution_id: str, phase: str) -> None:
    """Wait until `phase` has been entered; in the live send, until it has sent to somebody."""
    wait_until(
        lambda: [p["phase"] for p in stack.execution(execution_id)["phases"]],
        lambda phases: phase in phases,
        30,
    )
    if phase == "live_execution":
        wait_until(lambda: stack.execution(execution_id)["pushes"][0]["funnel"]["sent"], bool, 30)


def _kill_and_restart(stack: Stack) -> None:
    engine = stack.engines.pop()
    os.killpg(engine.pid, signal.SIGKILL)
    engine.wait()
    stack.start_engine()


def _check(stack: Stack, execution: dict[str, Any], first: int) -> None:
    """It completed, every user was sent every push, and doubles are accounted for."""
    assert (execution["phase"], execution["reason"]) == ("completed", None)
    wanted = {user(n) for n in range(first, first + USERS)}
    received = Counter(
        (m["userId"], m["title"], m["displayTag"])
        for m in stack.messages()
        if m["userId"] in wanted
    )
    tags = Counter(user_id for user_id, _, _ in received)
    assert tags == dict.fromkeys(wanted, 2), "somebody lost a push, or got a third one"
    doubles = sum(n - 1 for n in received.values())
    funnels = [push["funnel"] for push in execution["pushes"]]
    in_doubt = sum(f["resentInDoubt"] + f["inDoubt"] for f in funnels)
    assert doubles <= in_doubt, "a message was sent twice and not counted as in doubt"
    assert [f["sent"] for f in funnels] == [USERS, USERS]
    wait_until(lambda: _read_history(stack, first), lambda h: h == {(3, USERS), (2, USERS)}, 60)


def _read_history(stack: Stack, first: int) -> set[tuple[Any, ...]]:
    """Every send was told to cadence, once, even where a kill came between send and telling."""
    return set(
        stack.history(
            "SELECT layer_id, count(*) FROM user_notifications"
            " WHERE user_id BETWEEN %s AND %s GROUP BY layer_id",
            user(first),
            user(first + USERS - 1),
        )
    )
