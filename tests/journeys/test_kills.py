"""kill -9 of the engine, in every phase and at random moments: nothing lost, nothing hidden.

KILLS sets how many random kills there are (50).
"""

import os
import random
import signal
import time
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

KILLS = int(os.environ.get("KILLS", "50"))
USERS = 400
#: Automations that run side by side, so that a kill meets several phases at once.
LANES = 5
ENDED = ("completed", "failed", "cancelled")

pytestmark = [pytest.mark.kills, pytest.mark.xdist_group("kills")]


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
    _create(stack, automation_id, first, sleep=1.5)
    started = stack.ask("POST", "/api/executions", {"automationId": automation_id})

    _wait_for_phase(stack, started["id"], phase)
    _kill_and_restart(stack)
    execution = stack.wait_for(started["id"], ENDED, limit_s=60)

    _check(stack, [execution], {started["id"]: first})


def test_executions_survive_kills_at_random_moments(stack: Stack) -> None:
    chance = random.Random(KILLS)  # noqa: S311 - the moments of the kills
    firsts: dict[str, int] = {}
    running: dict[int, str] = {}
    round_number = 0
    for _ in range(KILLS):
        for lane in range(LANES):
            if _has_ended(stack, running.get(lane)):
                round_number += 1
                first = 2_000_001 + 1_000 * round_number
                automation_id = f"lane-{round_number}"
                _create(stack, automation_id, first, sleep=0.3)
                started = stack.ask("POST", "/api/executions", {"automationId": automation_id})
                running[lane] = started["id"]
                firsts[started["id"]] = first
        time.sleep(chance.uniform(0.1, 2.5))
        _kill_and_restart(stack)

    ended = [stack.wait_for(execution_id, ENDED, limit_s=120) for execution_id in firsts]

    _check(stack, ended, firsts)


def _create(stack: Stack, automation_id: str, first: int, sleep: float) -> None:
    automation = a_journey_automation(
        automation_id,
        parameters={"first": first, "users": USERS, "sleep": sleep},
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


def _has_ended(stack: Stack, execution_id: str | None) -> bool:
    return execution_id is None or stack.execution(execution_id)["phase"] in ENDED


def _check(stack: Stack, executions: list[dict[str, Any]], firsts: dict[str, int]) -> None:
    """Every execution completed, every user was sent every push, and doubles are accounted for."""
    assert {e["id"]: (e["phase"], e["reason"]) for e in executions} == {
        e["id"]: ("completed", None) for e in executions
    }
    received = Counter((m["userId"], m["title"], m["displayTag"]) for m in stack.messages())
    for execution in executions:
        first = firsts[execution["id"]]
        wanted = {user(n) for n in range(first, first + USERS)}
        mine = {key: n for key, n in received.items() if key[0] in wanted}
        tags = Counter(user_id for user_id, _, _ in mine)
        assert tags == dict.fromkeys(wanted, 2), "somebody lost a push, or got a third one"
        doubles = sum(n - 1 for n in mine.values())
        funnels = [push["funnel"] for push in execution["pushes"]]
        in_doubt = sum(f["resentInDoubt"] + f["inDoubt"] for f in funnels)
        assert doubles <= in_doubt, "a message was sent twice and not counted as in doubt"
        assert [f["sent"] for f in funnels] == [USERS, USERS]
    _check_history(stack, firsts)


def _check_history(stack: Stack, firsts: dict[str, int]) -> None:
    """Every send was told to cadence, once, even where a kill came between send and telling."""

    def read() -> set[tuple[int, int]]:
        return {
            (layer, count)
            for first in firsts.values()
            for layer, count in stack.history(
                "SELECT layer_id, count(*) FROM user_notifications"
                " WHERE user_id BETWEEN %s AND %s GROUP BY layer_id",
                user(first),
                user(first + USERS - 1),
            )
        }

    wait_until(read, lambda seen: seen == {(3, USERS), (2, USERS)}, 60)
