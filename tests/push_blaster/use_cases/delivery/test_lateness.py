"""How late the first message of a push goes to its provider is known, shown and reported."""

import time
from datetime import timedelta

import pytest
from flask.testing import FlaskClient

from chassis.clock import utc_now
from push_blaster.adapters.delivery.batch_table import dispatch_batches
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.delivery.send_batch import send_batch
from push_blaster.use_cases.executions.advance_execution import advance_execution
from tests.push_blaster.bench import Bench, messages, violations


def _begun_late(bench: Bench, by: timedelta, mode: Mode = Mode.LIVE, users: int = 10) -> str:
    """Return an execution that was ready for T, and whose engine came late."""
    settings = {"cancellationWindowMinutes": 20}
    execution_id = bench.start(mode, settings=settings, parameters={"users": users})
    bench.work()
    bench.now += timedelta(minutes=20) + by
    bench.run(execution_id)
    return execution_id


def test_the_lateness_of_the_first_message_is_shown(bench: Bench, client: FlaskClient) -> None:
    execution_id = _begun_late(bench, timedelta(seconds=3))

    (push,) = client.get(f"/api/executions/{execution_id}").get_json()["pushes"]

    assert push["lateSeconds"] == 3.0
    assert push["firstMessageAt"].startswith("2026-11-24T12:20:03")
    assert "first message 3.0 s after that" in client.get(f"/executions/{execution_id}").text
    assert violations(bench) == []


@pytest.mark.parametrize("late_s", [11, 43, 3_600])
def test_a_push_that_began_late_is_a_violation(bench: Bench, late_s: int) -> None:
    execution_id = _begun_late(bench, timedelta(seconds=late_s))

    assert violations(bench) == [("live_send_late", "warning")]
    assert f"Push 1 began {late_s} s after its planned time" in bench.log(execution_id)


def test_health_and_metrics_tell_of_a_live_send_that_began_late(
    bench: Bench, client: FlaskClient
) -> None:
    bench.now = utc_now() - timedelta(minutes=21)
    _begun_late(bench, timedelta(seconds=30))

    problems = client.get("/api/health").get_json()["problems"]
    metrics = client.get("/metrics").text

    assert [p for p in problems if p.startswith("lateness: ") and "30 s after" in p]
    assert "push_lateness_seconds 30.0" in metrics


def test_health_tells_of_a_live_send_that_no_engine_begins(
    bench: Bench, client: FlaskClient
) -> None:
    bench.now = utc_now() - timedelta(minutes=21)
    bench.start(settings={"cancellationWindowMinutes": 20})
    bench.work()

    problems = client.get("/api/health").get_json()["problems"]

    assert [problem for problem in problems if problem.startswith("lateness: ")]


def test_only_the_first_message_counts(bench: Bench) -> None:
    execution_id = _begun_late(bench, timedelta(seconds=1), users=45)

    (push,) = bench.execution(execution_id).pushes
    assert push.lateness == timedelta(seconds=1)


def test_a_simulation_is_never_late(bench: Bench) -> None:
    _begun_late(bench, timedelta(minutes=5), Mode.SIMULATION)

    assert violations(bench) == []


def test_no_message_waits_for_who_has_locked_its_push(bench: Bench) -> None:
    execution_id = bench.start()
    while not bench.execution(execution_id).pushes[0].started_at:
        advance_execution(bench.context, execution_id)
    with bench.database.transaction() as connection:
        keys = dispatch_batches(connection, bench.now, bench.now, 100)

    holder = bench.database.connect()
    try:
        holder.cursor().execute("UPDATE execution_pushes SET source_file = 'by hand'")
        begun = time.monotonic()
        for key in keys:
            send_batch(bench.context, key)
        took = time.monotonic() - begun
    finally:
        holder.rollback()
        holder.close()

    assert took < 10
    assert len(messages(bench)) == 10
    assert bench.run(execution_id).phase is Phase.COMPLETED
