"""Scheduled pushes go out by the ordinary timeline, and their state is what really happened."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from push_blaster.adapters.devices.device_fields import Device
from push_blaster.adapters.devices.device_table import upsert_devices
from push_blaster.adapters.one_off.scheduled_push_document import ScheduledPush
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.executions.stop_execution import stop_execution
from push_blaster.use_cases.one_off.schedule_push import (
    AlreadySentError,
    PushHasBegunError,
    PushState,
    ScheduledPushes,
)
from tests.builders import NOON
from tests.push_blaster.bench import Bench, messages

MINUTE = timedelta(minutes=1)
USERS = [f"00000000-0000-4000-8000-{n:012d}" for n in range(3)]


@pytest.fixture
def pushes(bench: Bench) -> ScheduledPushes:
    return ScheduledPushes(bench.web, None)


def schedule(pushes: ScheduledPushes, **changes: Any) -> ScheduledPush:
    values = {
        "id": "one",
        "scheduled_for": NOON + 60 * MINUTE,
        "title": "Hello",
        "body": "There is news.",
        "layer_id": 3,
        "criteria": {"manualUserIds": USERS},
        "audience_description": "Three users",
        **changes,
    }
    return pushes.schedule(ScheduledPush(**values), NOON).push


def tick(bench: Bench, pushes: ScheduledPushes) -> list[str]:
    return bench.tick(*[d for d in pushes.context.files.list_all().documents if d["isActive"]])


def register(bench: Bench) -> None:
    devices = [Device(f"token-{user}", UUID(user)) for user in USERS]
    with bench.database.transaction() as connection:
        upsert_devices(connection, devices, NOON)


def test_a_scheduled_push_is_sent_once_at_its_instant_to_the_users_named(
    bench: Bench, pushes: ScheduledPushes
) -> None:
    register(bench)
    schedule(pushes)

    assert tick(bench, pushes) == []
    bench.now = NOON + 50 * MINUTE
    (execution_id,) = tick(bench, pushes)
    bench.work()
    assert pushes.find("one").state is PushState.SCHEDULED
    assert bench.execution(execution_id).live_at == NOON + 60 * MINUTE
    assert bench.run(execution_id).phase is Phase.COMPLETED

    assert sorted(m["userId"] for m in messages(bench)) == USERS
    assert pushes.find("one").state is PushState.SENT
    assert tick(bench, pushes) == []


def test_what_is_sent_stays_as_it_is(bench: Bench, pushes: ScheduledPushes) -> None:
    register(bench)
    schedule(pushes)
    bench.now = NOON + 50 * MINUTE
    bench.run(tick(bench, pushes)[0])

    with pytest.raises(AlreadySentError):
        pushes.change("one", {"title": "Other"}, None, bench.now)
    with pytest.raises(AlreadySentError):
        pushes.change("one", {}, PushState.CANCELLED, bench.now)
    with pytest.raises(AlreadySentError):
        pushes.delete("one", bench.now)
    assert pushes.change("one", {}, PushState.SENT, bench.now).push.title == "Hello"


def test_one_that_has_begun_can_only_be_cancelled_and_then_have_another_instant(
    bench: Bench, pushes: ScheduledPushes
) -> None:
    register(bench)
    schedule(pushes)
    bench.now = NOON + 50 * MINUTE
    (first,) = tick(bench, pushes)
    bench.work()

    with pytest.raises(PushHasBegunError, match="goes out as it is"):
        pushes.change("one", {"title": "Other"}, None, bench.now)
    assert pushes.change("one", {}, PushState.CANCELLED, bench.now).state is PushState.CANCELLED
    assert bench.execution(first).phase is Phase.CANCELLED
    with pytest.raises(PushHasBegunError, match="another instant"):
        pushes.change("one", {}, PushState.SCHEDULED, bench.now)
    later = {"scheduled_for": NOON + 120 * MINUTE}
    assert pushes.change("one", later, PushState.SCHEDULED, bench.now).state is PushState.SCHEDULED

    bench.now = NOON + 115 * MINUTE
    (second,) = tick(bench, pushes)
    assert bench.run(second).phase is Phase.COMPLETED
    assert len(messages(bench)) == 3


def test_one_that_is_stopped_before_anybody_got_it_is_cancelled(
    bench: Bench, pushes: ScheduledPushes
) -> None:
    schedule(pushes)
    bench.now = NOON + 50 * MINUTE
    (execution_id,) = tick(bench, pushes)

    stop_execution(bench.database, execution_id, "Wrong text.", bench.now)

    standing = pushes.find("one")
    assert standing.state is PushState.CANCELLED
    assert standing.run
    assert standing.run.reason == "Wrong text."


def test_nobody_is_sent_to_when_nobody_has_a_device(bench: Bench, pushes: ScheduledPushes) -> None:
    schedule(pushes)
    bench.now = NOON + 50 * MINUTE
    (execution_id,) = tick(bench, pushes)

    bench.run(execution_id)

    assert bench.funnel(execution_id)["noToken"] == 3
    assert pushes.find("one").state is PushState.CANCELLED, "nobody got it, so it was not sent"


def test_an_id_that_is_none_is_counted_and_the_others_are_sent_to(
    bench: Bench, pushes: ScheduledPushes
) -> None:
    register(bench)
    schedule(pushes, criteria={"manualUserIds": [*USERS, "someone", USERS[0]]})
    bench.now = NOON + 50 * MINUTE
    (execution_id,) = tick(bench, pushes)

    bench.run(execution_id)

    assert len(messages(bench)) == 3
    assert "line 5 invalid_uuid: 'someone'" in bench.log(execution_id)
