"""Two engines on one database: they share a send, and one goes on for the other."""

import os
import signal
import time
from bisect import bisect
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import procrastinate
import pytest

from chassis.clock import utc_now
from local_stack.embedded_postgres import EmbeddedPostgres
from tests.journeys.stack import Stack, a_journey_automation, running_stack, user, wait_until

USERS = 2_000


@pytest.fixture(scope="module")
def stack(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    # 250 messages a second for each engine: the send takes a while, and two are faster than one.
    settings = {
        "PUSH_RATE_PER_MINUTE": "15000",
        "PUSH_RAMP_SECONDS": "0",
        "PUSH_BATCH_SIZE": "50",
        "PUSH_WEB_WORKERS": "1",
    }
    folder = tmp_path_factory.mktemp("engines") / "data"
    with running_stack(postgres, folder, settings, engines=2) as running:
        yield running


def start(stack: Stack, automation_id: str, first: int) -> str:
    automation = a_journey_automation(automation_id, parameters={"first": first, "users": USERS})
    stack.ask("POST", "/api/automation/recipes", automation)
    started = stack.ask("POST", "/api/executions", {"automationId": automation_id})
    return str(started["id"])


def batches_by_engine(stack: Stack, execution_id: str) -> dict[str, int]:
    """Return how many batches each engine has done, by its process id."""
    rows = stack.ledger(
        "SELECT taken_by, count(*) FROM send_batches"
        " WHERE execution_id = %s AND done_at IS NOT NULL GROUP BY taken_by",
        execution_id,
    )
    return {str(taken_by).split(":")[1]: int(count) for taken_by, count in rows}


def received(stack: Stack, first: int) -> list[str]:
    wanted = {user(n) for n in range(first, first + USERS)}
    return [m["userId"] for m in stack.messages() if m["userId"] in wanted]


def test_both_engines_do_batches_of_one_send(stack: Stack) -> None:
    execution_id = start(stack, "shared", first=1)

    execution = stack.wait_for(execution_id, ["completed"])

    assert execution["pushes"][0]["funnel"]["sent"] == USERS
    shares = batches_by_engine(stack, execution_id)
    assert set(shares) == {str(engine.pid) for engine in stack.engines}
    assert sum(shares.values()) == USERS / 50
    assert len(received(stack, first=1)) == USERS, "each of them once"


def test_what_a_killed_engine_was_sending_another_goes_on_with_within_30_seconds(
    stack: Stack,
) -> None:
    execution_id = start(stack, "taken-over", first=10_001)
    victim, other = stack.engines
    wait_until(lambda: batches_by_engine(stack, execution_id).get(str(victim.pid), 0), bool, 60)

    with killed(stack):
        left = held_by(stack, execution_id, victim.pid)
        killed_at, killed_on = time.monotonic(), utc_now()
        execution = stack.wait_for(execution_id, ["completed"], limit_s=30)
        took_s = time.monotonic() - killed_at

    assert left, "it was killed with batches in its hands"
    assert execution["pushes"][0]["funnel"]["sent"] == USERS
    done_by = who_did(stack, execution_id)
    assert {done_by[batch] for batch in left} == {str(other.pid)}
    assert took_s < 30
    assert most_within_2_s(stack, killed_on) >= 400, "as fast as both were, and not as one of two"
    twice = len(received(stack, first=10_001)) - USERS
    assert twice <= execution["pushes"][0]["funnel"]["resentInDoubt"]


def most_within_2_s(stack: Stack, after: datetime) -> int:
    """Return how many messages went out in the busiest two seconds after that instant."""
    instants = sorted(datetime.fromisoformat(message["sentAt"]) for message in stack.messages())
    late = [instant for instant in instants if instant > after]
    return max(bisect(late, at + timedelta(seconds=2)) - n for n, at in enumerate(late))


@contextmanager
def killed(stack: Stack) -> Iterator[None]:
    """The first engine is dead; afterwards there is another in its place."""
    victim = stack.engines.pop(0)
    os.killpg(victim.pid, signal.SIGKILL)
    victim.wait()
    yield
    stack.start_engine()


def held_by(stack: Stack, execution_id: str, pid: int) -> list[int]:
    rows = stack.ledger(
        "SELECT batch FROM send_batches"
        " WHERE execution_id = %s AND done_at IS NULL AND taken_by LIKE %s",
        execution_id,
        f"%:{pid}:%",
    )
    return [int(batch) for (batch,) in rows]


def who_did(stack: Stack, execution_id: str) -> dict[int, str]:
    rows = stack.ledger(
        "SELECT batch, taken_by FROM send_batches WHERE execution_id = %s AND done_at IS NOT NULL",
        execution_id,
    )
    return {int(batch): str(taken_by).split(":")[1] for batch, taken_by in rows}


def test_an_engine_goes_on_though_a_newer_one_hands_out_jobs_that_it_does_not_know(
    stack: Stack,
) -> None:
    app = procrastinate.App(
        connector=procrastinate.SyncPsycopgConnector(conninfo=stack.database_url)
    )
    with app.open():
        for queue in ("executions", "batches", "digests"):
            app.configure_task("a_job_of_tomorrow", queue=queue).defer(execution_id="nobody")

    execution_id = start(stack, "meanwhile", first=20_001)

    assert stack.wait_for(execution_id, ["completed"])["pushes"][0]["funnel"]["sent"] == USERS
    assert all(engine.poll() is None for engine in stack.engines)
    # A queue of its own waits for whoever knows it; the others are empty again.
    left = "SELECT queue_name, status::text FROM procrastinate_jobs"
    wait_until(lambda: stack.ledger(left), lambda jobs: jobs == [("digests", "todo")], 15)
