"""An experiment on real processes: phones report, and engines are killed in the wait."""

import os
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg2
import pytest

from local_stack.embedded_postgres import EmbeddedPostgres
from tests.journeys.stack import Stack, a_journey_automation, running_stack, user, wait_until

USERS = 400
EXPERIMENT = {"testPercent": 50, "decideAfterMinutes": 60}
#: Lets the hour of the wait pass in seconds.
PASS_THE_HOUR = """
    UPDATE push_decisions SET decides_at = clock_timestamp() + interval '4 s'
     WHERE decided_at IS NULL;
    UPDATE deliveries d SET not_before = p.decides_at, held_until = p.decides_at
      FROM push_decisions p
     WHERE d.execution_id = p.execution_id AND d.state = 'deferred';
    UPDATE send_batches b SET not_before = p.decides_at
      FROM push_decisions p WHERE b.execution_id = p.execution_id AND b.done_at IS NULL;
    UPDATE execution_pushes SET due_at = clock_timestamp() WHERE started_at IS NULL;
    UPDATE executions SET due_at = clock_timestamp() WHERE due_at IS NOT NULL;
"""


@pytest.fixture(scope="module")
def stack(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    # 200 messages a second and small batches make the send of the winner last a second.
    settings = {
        "PUSH_RATE_PER_MINUTE": "12000",
        "PUSH_BATCH_SIZE": "50",
        "PUSH_WEB_WORKERS": "1",
        "PUSH_ENGINE_DEAD_AFTER_SECONDS": "2",
    }
    folder = tmp_path_factory.mktemp("winner") / "data"
    with running_stack(postgres, folder, settings, engines=2) as running:
        yield running


def test_the_winner_goes_to_the_rest_although_the_engines_are_killed_in_the_wait(
    stack: Stack,
) -> None:
    execution_id = _start(stack)
    testers = _wait_for_test(stack, execution_id)
    _report(stack, [m for m in testers if m["title"].startswith("Dear")])

    _kill_engines(stack)
    assert len(_first_push(stack)) == len(testers), "nobody is early"
    _execute(stack, PASS_THE_HOUR)
    wait_until(lambda: len(_first_push(stack)), lambda sent: sent > len(testers), 60, 0.02)
    _kill_engines(stack)
    execution = stack.wait_for(execution_id, ("completed", "failed"), limit_s=60)

    assert (execution["phase"], execution["reason"]) == ("completed", None)
    _check_decision(stack, execution)
    _check_messages(stack, execution, {m["userId"] for m in testers})


def _start(stack: Stack) -> str:
    variants = [{"id": "plain"}, {"id": "warm", "title": "Dear [[var:first_name]]"}]
    automation = a_journey_automation(
        "winner",
        parameters={"users": USERS},
        pushes=[
            {"variants": variants, "experiment": EXPERIMENT},
            {"title": "Second", "layerId": 1},
        ],
    )
    stack.ask("POST", "/api/automation/recipes", automation)
    execution_id: str = stack.ask("POST", "/api/executions", {"automationId": "winner"})["id"]
    return execution_id


def _wait_for_test(stack: Stack, execution_id: str) -> list[dict[str, Any]]:
    """Return the messages of the testers, once all of them were sent and the others wait."""

    def look() -> dict[str, Any]:
        found: dict[str, Any] = stack.execution(execution_id)["pushes"][0]["funnel"]
        return found

    wait_until(look, lambda f: f["sent"] > 0 and f["sent"] + f["held"] == USERS, 60)
    testers = _first_push(stack)
    assert 100 < len(testers) < 300
    return testers


def _first_push(stack: Stack) -> list[dict[str, Any]]:
    return [m for m in stack.messages() if m["title"] != "Second"]


def _report(stack: Stack, opened: Sequence[dict[str, Any]]) -> None:
    """Let phones report these messages as opened, and wait until all opens are counted."""
    events = [{"receipt": m["data"]["receipt"], "event": "opened"} for m in opened]
    for begin in range(0, len(events), 100):
        answer = stack.request("POST", "/api/events", {"events": events[begin : begin + 100]})
        assert answer.status_code == 202
    counted = "SELECT coalesce(sum(first_opened), 0)::int FROM result_counts"
    wait_until(lambda: stack.ledger(counted), lambda rows: rows == [(len(opened),)], 30)


def _kill_engines(stack: Stack) -> None:
    for engine in stack.engines:
        os.killpg(engine.pid, signal.SIGKILL)
        engine.wait()
    stack.engines.clear()
    for _ in range(2):
        stack.start_engine()


def _execute(stack: Stack, sql: str) -> None:
    connection = psycopg2.connect(stack.database_url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(sql)
    finally:
        connection.close()


def _check_decision(stack: Stack, execution: dict[str, Any]) -> None:
    decision = execution["pushes"][0]["decision"]
    assert (decision["variant"], decision["isSure"]) == ("warm", True)
    assert decision["figures"]["plain"]["events"] == 0
    assert stack.log(execution["id"]).count(f"Push 1: {decision['reason']}") == 1


def _check_messages(stack: Stack, execution: dict[str, Any], testers: set[str]) -> None:
    """Everybody got both pushes, doubles are in doubt, and each send is in cadence once."""
    first = {(m["userId"], m["displayTag"]) for m in _first_push(stack)}
    assert Counter(user_id for user_id, _ in first) == {user(n): 1 for n in range(1, USERS + 1)}
    rest = {m["title"][:4] for m in _first_push(stack) if m["userId"] not in testers}
    assert rest == {"Dear"}
    funnels = [push["funnel"] for push in execution["pushes"]]
    doubles = len(stack.messages()) - 2 * USERS
    assert 0 <= doubles <= sum(f["resentInDoubt"] + f["inDoubt"] for f in funnels)
    assert [f["sent"] for f in funnels] == [USERS, USERS]
    told = "SELECT layer_id, count(*), count(DISTINCT user_id) FROM user_notifications GROUP BY 1"
    wait_until(
        lambda: sorted(stack.history(told)),
        lambda rows: rows == [(1, USERS, USERS), (3, USERS, USERS)],
        60,
    )
