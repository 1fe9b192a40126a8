"""Defects 14 to 18 of the original: stops that do not stop."""

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from chassis.clock import utc_now
from push_blaster.domain.executions.execution import PushStatus
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.executions.advance_execution import advance_execution
from tests.journeys.stack import user
from tests.push_blaster.bench import Bench, messages
from tests.push_blaster.web.recipes import RECIPES
from tests.regressions.support import create, daily_in, tick_files
from tests.scripts import HANGING

MINUTE = timedelta(minutes=1)


def control(client: FlaskClient, action: str) -> dict[str, Any]:
    body = {"automationId": "news", "action": action}
    response = client.post("/api/automation/control", json=body)
    assert response.status_code == 200, response.json
    answer: dict[str, Any] = response.get_json()
    return answer


@pytest.fixture
def waiting(bench: Bench, client: FlaskClient) -> str:
    """An execution of today's slot that is not yet live; more slots follow each day."""
    bench.now = utc_now()
    create(client, schedule=daily_in(10))
    (execution_id,) = tick_files(bench)
    return execution_id


def test_defect_14_what_is_cancelled_or_stopped_stays_so_through_a_restart(
    bench: Bench, client: FlaskClient, waiting: str
) -> None:
    assert control(client, "cancel")["cancelledExecutions"] == [waiting]
    bench.now += 11 * MINUTE
    assert tick_files(bench) == [], "a clock that has just started"
    bench.work()
    assert (bench.execution(waiting).phase, messages(bench)) == (Phase.CANCELLED, [])

    live = bench.start(id="live", parameters={"users": 40})
    bench.work_until_sent(15)
    body = {"automationId": "live", "action": "emergency_stop"}
    create(client, id="live", schedule=daily_in(10))
    (stopped,) = client.post("/api/automation/control", json=body).get_json()["stoppedExecutions"]
    bench.now += 60 * MINUTE
    tick_files(bench)
    bench.work()
    assert (stopped["id"], stopped["sent"]) == (live, 15)
    assert bench.execution(live).phase is Phase.CANCELLED
    assert len(messages(bench)) == 15


def test_defect_15_a_pause_fires_nothing_and_a_resume_makes_no_draft(
    bench: Bench, client: FlaskClient, waiting: str
) -> None:
    paused = control(client, "pause")
    bench.now += timedelta(days=1)
    while_paused = tick_files(bench)
    resumed = control(client, "resume")

    assert paused["cancelledExecutions"] == [waiting]
    assert while_paused == []
    assert (paused["status"], resumed["status"]) == ("paused", "active")
    assert len(tick_files(bench)) == 1, "the next slot after it was resumed"


@pytest.mark.parametrize("how", ["inactive", "draft", "deleted"])
def test_defect_16_what_is_switched_off_or_deleted_runs_no_more(
    bench: Bench, client: FlaskClient, waiting: str, how: str
) -> None:
    one = f"{RECIPES}/news"
    if how == "deleted":
        answer = client.delete(one)
    else:
        change = {"isActive": False} if how == "inactive" else {"status": "draft"}
        answer = client.put(one, json=change)

    assert answer.get_json()["cancelledExecutions"] == [waiting]
    bench.now += timedelta(days=3)
    assert tick_files(bench) == []
    bench.work()
    assert messages(bench) == []


def test_defect_17_a_killed_test_ends_its_script_and_a_stopped_sequence_its_pushes(
    bench: Bench, client: FlaskClient
) -> None:
    bench.write_script(HANGING)
    create(client)
    bench.change(clock=utc_now)
    mode = {"mode": "real-dry-run"}
    test = client.post("/api/automation/test/news", json=mode).get_json()["executionId"]
    advance_execution(bench.context, test)
    running = threading.Thread(target=advance_execution, args=(bench.context, test))
    running.start()
    give_up_at = time.monotonic() + 20
    while "begun" not in bench.log(test) and time.monotonic() < give_up_at:
        time.sleep(0.05)

    killed = client.post("/api/automation/test/news/kill", json=mode).get_json()
    running.join(5)

    assert killed["success"] is True
    assert not running.is_alive(), "the script of 60 seconds has ended"
    assert bench.execution(test).phase is Phase.CANCELLED


def test_defect_17_a_stopped_sequence_sends_none_of_its_later_pushes(
    bench: Bench, client: FlaskClient
) -> None:
    execution_id = bench.start(pushes=[{}, {"timing": {"delayAfterPrevious": 45}}] * 2)
    bench.work()
    bench.now += timedelta(seconds=1)
    bench.work()

    receipt = client.post(f"/api/executions/{execution_id}/stop").get_json()
    bench.now += 180 * MINUTE
    bench.work()

    assert receipt["sent"] == len(messages(bench)) == 10
    statuses = [push.status for push in bench.execution(execution_id).pushes]
    assert statuses == [PushStatus.SENT, *[PushStatus.CANCELLED] * 3]


def test_defect_18_a_restart_or_a_moved_schedule_leaves_a_running_send_alone(
    bench: Bench, client: FlaskClient
) -> None:
    bench.now = utc_now()
    create(client, schedule=daily_in(10), parameters={"users": 40})
    (execution_id,) = tick_files(bench)
    bench.now += 10 * MINUTE
    bench.work_until_sent(15)

    moved = client.put(f"{RECIPES}/news", json={"schedule": daily_in(300)}).get_json()
    tick_files(bench)
    execution = bench.run(execution_id)

    assert moved["cancelledExecutions"] == []
    assert execution.phase is Phase.COMPLETED
    assert sorted(m["userId"] for m in messages(bench)) == [user(n) for n in range(1, 41)]
