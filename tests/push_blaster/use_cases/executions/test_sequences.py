"""Sequences: each push with its own audience, layer and instant, from one run of one script."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from chassis.postgres import Database
from push_blaster.domain.executions.execution import PushStatus
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.delivery.close_batches import close_batches
from push_blaster.use_cases.executions.advance_execution import advance_execution
from push_blaster.use_cases.executions.stop_execution import CannotStopError, stop_execution
from push_blaster.use_cases.original.control_sequence import (
    CannotDeleteError,
    SequenceAction,
    control_sequence,
    delete_sequence,
    find_sequence_actions,
)
from tests.builders import NOON
from tests.push_blaster.bench import Bench, messages
from tests.push_blaster.cadence_support import history

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)

#: The script of a waterfall: five audiences of five users each, no user in two of them.
WATERFALL = """
import os, uuid
for level in range(1, 6):
    name = f"level-{level}-new-user_20261124_120000.csv"
    with open(os.environ["OUTPUT_PATH"] + "/" + name, "w") as file:
        file.write("user_id,first_name,device_token\\n")
        for n in range(level * 10, level * 10 + 5):
            token = "" if str(level) == os.environ.get("PARAM_SILENT") else f"token-{n}"
            file.write(f"{uuid.UUID(int=n)},Name{n},{token}\\n")
"""

PUSHES: list[dict[str, Any]] = [
    {"audienceName": f"level_{level}_new_user", "layerId": layer, "title": f"Level {level}"}
    for level, layer in zip(range(1, 6), (5, 3, 2, 1, 5), strict=True)
]
DELAYS = (0, 5, 60, 0, 24 * 60)
DELAYED = [
    {**push, "timing": {"delayAfterPrevious": delay}}
    for push, delay in zip(PUSHES, DELAYS, strict=True)
]


@pytest.fixture
def waterfall(bench: Bench) -> Bench:
    bench.write_script(WATERFALL)
    return bench


def titles(bench: Bench) -> list[str]:
    return [message["title"] for message in messages(bench)]


def work_at(bench: Bench, now: datetime) -> None:
    """Work at `now`, and again when what was begun then is looked at."""
    bench.now = now
    bench.work()
    bench.now = now + timedelta(seconds=1)
    bench.work()


def test_five_pushes_go_out_each_to_its_audience_on_its_layer_at_its_instant(
    waterfall: Bench, cadence_database: Database
) -> None:
    execution = waterfall.run(waterfall.start(pushes=DELAYED))

    assert execution.phase is Phase.COMPLETED
    planned = [NOON, NOON + 5 * MINUTE, *[NOON + 65 * MINUTE] * 2, NOON + 25 * HOUR + 5 * MINUTE]
    assert [push.due_at for push in execution.pushes] == planned
    for level, push in enumerate(execution.pushes, start=1):
        assert push.audience
        assert push.audience.source_file.startswith(f"level-{level}-")
        assert push.started_at
        assert timedelta(0) <= push.started_at - planned[level - 1] <= timedelta(seconds=2)
    assert sorted((m["title"], m["userId"][-2:]) for m in messages(waterfall)) == [
        (f"Level {level}", f"{n:02x}")
        for level in range(1, 6)
        for n in range(level * 10, level * 10 + 5)
    ]
    assert history(cadence_database) == sorted(
        (push["layerId"], at, 5) for push, at in zip(PUSHES, planned, strict=True)
    )


def test_an_absolute_time_holds_over_a_change_of_the_clocks(waterfall: Bench) -> None:
    waterfall.now = datetime(2026, 10, 25, 0, 0, tzinfo=UTC)  # 02:00 in Berlin, for the first time
    absolute = [None, "02:30", "02:15", "03:15", "2026-10-25T04:00:00"]
    pushes = [
        {**push, "timing": {"absoluteTime": at}} for push, at in zip(PUSHES, absolute, strict=True)
    ]
    schedule = {"timezone": "Europe/Berlin", "frequency": "daily", "executionTime": "02:00"}

    execution = waterfall.run(waterfall.start(pushes=pushes, schedule=schedule))

    assert execution.phase is Phase.COMPLETED
    assert [f"{push.due_at:%H:%M}" for push in execution.pushes] == [
        "00:00",
        "00:30",
        "00:30",
        "02:15",
        "03:00",
    ]
    starts = [(push.due_at, push.started_at) for push in execution.pushes]
    assert all(due and started and started >= due for due, started in starts)
    assert len(messages(waterfall)) == 25


def test_after_a_cancel_between_two_pushes_the_later_ones_never_go_out(waterfall: Bench) -> None:
    execution_id = waterfall.start(pushes=DELAYED)
    waterfall.work()
    work_at(waterfall, NOON + timedelta(seconds=1))
    work_at(waterfall, NOON + 5 * MINUTE)
    assert len(messages(waterfall)) == 10

    receipt = control_sequence(
        waterfall.database, execution_id, SequenceAction.CANCEL, "Enough.", waterfall.now
    )

    assert [f.sent for f in receipt.funnels.values()] == [5, 5, 0, 0, 0]
    assert [f.not_sent for f in receipt.funnels.values()] == [0, 0, 5, 5, 5]
    for hours in (1, 2, 26):
        work_at(waterfall, NOON + hours * HOUR)
    execution = waterfall.execution(execution_id)
    assert (execution.phase, execution.reason) == (Phase.CANCELLED, "Enough.")
    assert [push.status for push in execution.pushes] == [
        *[PushStatus.SENT] * 2,
        *[PushStatus.CANCELLED] * 3,
    ]
    assert sorted(set(titles(waterfall))) == ["Level 1", "Level 2"]
    assert find_sequence_actions(execution) == []


def test_while_a_push_goes_out_only_an_emergency_stop_ends_it(waterfall: Bench) -> None:
    execution_id = waterfall.start(pushes=DELAYED)
    waterfall.work_until_sent(1)
    execution = waterfall.execution(execution_id)
    assert execution.pushes[0].status is PushStatus.SENDING
    assert find_sequence_actions(execution) == [SequenceAction.EMERGENCY_STOP]

    with pytest.raises(CannotStopError, match=r"Push 1 of .* is going out.*emergency_stop"):
        control_sequence(
            waterfall.database, execution_id, SequenceAction.CANCEL, "Wait.", waterfall.now
        )
    control_sequence(
        waterfall.database, execution_id, SequenceAction.EMERGENCY_STOP, "Stop.", waterfall.now
    )

    before = len(messages(waterfall))
    work_at(waterfall, NOON + 26 * HOUR)
    assert len(messages(waterfall)) == before
    assert waterfall.execution(execution_id).phase is Phase.CANCELLED


def test_one_audience_that_is_missing_ends_it_before_anybody_gets_anything(
    waterfall: Bench,
) -> None:
    pushes = [*DELAYED[:2], {**DELAYED[2], "audienceName": "level_9"}, *DELAYED[3:]]

    execution = waterfall.run(waterfall.start(pushes=pushes))

    assert execution.phase is Phase.FAILED
    assert "The audience 'level_9' was not written" in (execution.reason or "")
    assert "level-3-new-user_20261124_120000.csv" in (execution.reason or "")
    assert {push.status for push in execution.pushes} == {PushStatus.FAILED}
    assert messages(waterfall) == []


def test_a_push_that_reaches_nobody_fails_and_the_next_still_goes_out(waterfall: Bench) -> None:
    execution = waterfall.run(waterfall.start(pushes=DELAYED, parameters={"silent": 2}))

    assert [push.status for push in execution.pushes] == [
        PushStatus.SENT,
        PushStatus.FAILED,
        *[PushStatus.SENT] * 3,
    ]
    assert sorted(set(titles(waterfall))) == ["Level 1", "Level 3", "Level 4", "Level 5"]
    assert execution.phase is Phase.FAILED
    assert execution.reason == "No message of push 2 was delivered; the log says why."


def test_a_dry_run_takes_all_five_through_at_once_and_may_be_deleted(waterfall: Bench) -> None:
    execution_id = waterfall.start(Mode.REAL_DRY_RUN, pushes=DELAYED)
    with pytest.raises(CannotDeleteError, match="still runs"):
        delete_sequence(waterfall.database, waterfall.folder, execution_id)

    execution = waterfall.run(execution_id)

    assert execution.phase is Phase.COMPLETED
    assert waterfall.now - NOON < MINUTE
    assert [waterfall.funnel(execution_id, n)["wouldSend"] for n in range(1, 6)] == [5] * 5
    assert messages(waterfall) == []
    assert (waterfall.folder / "executions" / execution_id).exists()
    delete_sequence(waterfall.database, waterfall.folder, execution_id)
    assert not (waterfall.folder / "executions" / execution_id).exists()
    assert waterfall.executions() == []
    assert waterfall.deliveries(execution_id) == []
    assert waterfall.log(execution_id) == ""


def test_a_dry_run_that_was_cancelled_is_deleted_once_its_batches_are_closed(
    waterfall: Bench,
) -> None:
    execution_id = waterfall.start(Mode.REAL_DRY_RUN, pushes=DELAYED)
    while not waterfall.execution(execution_id).pushes[0].started_at:
        advance_execution(waterfall.context, execution_id)
    stop_execution(waterfall.database, execution_id, "Enough.", waterfall.now)

    with pytest.raises(CannotDeleteError, match="try again in some seconds"):
        delete_sequence(waterfall.database, waterfall.folder, execution_id)
    waterfall.now += timedelta(seconds=5)
    close_batches(waterfall.context)
    delete_sequence(waterfall.database, waterfall.folder, execution_id)

    assert waterfall.executions() == []


def test_what_was_sent_stays_on_record(waterfall: Bench) -> None:
    execution_id = waterfall.start(pushes=DELAYED[:1])
    waterfall.run(execution_id)

    with pytest.raises(CannotDeleteError, match="was no dry run"):
        delete_sequence(waterfall.database, waterfall.folder, execution_id)

    assert len(waterfall.deliveries(execution_id)) == 5


def test_what_has_come_of_it_is_told_in_the_originals_shape(
    waterfall: Bench, client: FlaskClient
) -> None:
    execution_id = waterfall.start(pushes=DELAYED, parameters={"silent": 2})
    waterfall.run(execution_id)

    data = client.get(f"/api/automation/sequences/{execution_id}").get_json()["data"]

    result = data["executionResult"]
    told = (result["success"], result["totalPushes"], result["totalAudienceReached"])
    assert told == (False, 5, 20)
    assert (result["successfulPushes"], result["failedPushes"]) == (4, 1)
    assert [p["sentCount"] for p in result["pushResults"]] == [5, 0, 5, 5, 5]
    assert [p["audienceSize"] for p in result["pushResults"]] == [5] * 5
    assert [p["success"] for p in result["pushResults"]] == [True, False, True, True, True]
    assert [p["error"] is None for p in result["pushResults"]] == [True, False, True, True, True]
    assert result["pushResults"][1]["funnel"]["noToken"] == 5
    cache = data["audienceCache"]
    assert (cache["available"], cache["valid"], cache["issues"]) == (True, True, [])
    assert [job["audienceSize"] for job in cache["manifest"]["jobs"]] == [5] * 5
    assert data["safetyAssessment"] == {"safe": True, "violations": []}
    assert data["controlOptions"]["availableActions"] == []

    next((waterfall.folder / "executions" / execution_id).rglob("audience-3.jsonl")).unlink()
    cache = client.get(f"/api/automation/sequences/{execution_id}").get_json()["data"][
        "audienceCache"
    ]
    assert not cache["valid"]
    assert "push 3 is no longer there" in cache["issues"][0]
