"""Who opts out while a send waits gets no push: when it is resumed, by the winner, as a one-off."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from push_blaster.adapters.devices.device_fields import Device
from push_blaster.adapters.devices.device_table import upsert_devices
from push_blaster.adapters.devices.opt_out_table import upsert_opt_outs
from push_blaster.adapters.one_off.scheduled_push_document import ScheduledPush
from push_blaster.domain.automations.experiment import is_in_test
from push_blaster.domain.devices.opt_out import OptOut, Scope
from push_blaster.domain.executions.modes import Mode
from push_blaster.use_cases.executions.stop_execution import stop_execution
from push_blaster.use_cases.one_off.check_ad_hoc import AdHocRequest
from push_blaster.use_cases.one_off.schedule_push import ScheduledPushes
from push_blaster.use_cases.one_off.send_ad_hoc import send_ad_hoc
from tests.people import ALICE, BOB, CAROL
from tests.push_blaster.bench import Bench, messages
from tests.push_blaster.use_cases.executions.resuming import resume, sent, stop

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
USERS = 60


def opt_out(bench: Bench, *users: UUID, **about: Any) -> None:
    given = {"scope": Scope.ALL, "set_at": bench.now, **about}
    with bench.database.transaction() as connection:
        upsert_opt_outs(connection, [OptOut(user_id=user, **given) for user in users])


def reached(bench: Bench) -> set[UUID]:
    return {UUID(message["userId"]) for message in messages(bench)}


def test_a_resumed_send_leaves_out_who_opted_out_since_the_stop(bench: Bench) -> None:
    first = bench.start(parameters={"users": USERS})
    bench.work_until_sent(20)
    stop(bench, first)
    before = {UUID(user) for user in sent(bench)}
    leaves, stays_away = sorted({UUID(int=n) for n in range(1, USERS + 1)} - before)[:2]
    had_it = min(before)
    opt_out(bench, leaves, had_it)
    opt_out(bench, stays_away, scope=Scope.LAYER, target="3")

    second = bench.run(resume(bench, first))

    assert not reached(bench) & {leaves, stays_away}
    assert set(sent(bench).values()) == {1}
    funnel = bench.funnel(second.id)
    assert (funnel["sentBefore"], funnel["optedOut"]) == (len(before), 2)
    assert funnel["sent"] == USERS - len(before) - 2


def test_the_winner_goes_to_nobody_who_opted_out_in_the_wait(bench: Bench) -> None:
    experiment = {"testPercent": 50}
    variants = [{"id": "plain"}, {"id": "warm", "title": "Dear [[var:first_name]]"}]
    execution_id = bench.start(
        parameters={"users": USERS}, pushes=[{"variants": variants, "experiment": experiment}]
    )
    bench.work()
    testing = reached(bench)
    rest = sorted({UUID(int=n) for n in range(1, USERS + 1)} - testing)
    opt_out(bench, *rest[:3], min(testing))
    bench.now += HOUR

    execution = bench.run(execution_id)

    push, progress = execution.automation.pushes[0], execution.pushes[0]
    assert push.experiment
    assert progress.decision
    draw, name = progress.decision.draw, execution.automation.id
    assert not any(is_in_test(push.experiment, name, push.id, draw, u) for u in rest)
    assert reached(bench) == testing | set(rest[3:])
    funnel = bench.funnel(execution_id)
    assert (funnel["optedOut"], funnel["sent"]) == (3, USERS - 3)


@pytest.fixture
def people(bench: Bench) -> list[str]:
    """Users with a device each: one wants no push, one none of layer 3, one all."""
    users = [ALICE, BOB, CAROL]
    with bench.database.transaction() as connection:
        upsert_devices(connection, [Device(f"ok-{user}", user) for user in users], bench.now)
    opt_out(bench, ALICE)
    opt_out(bench, BOB, scope=Scope.LAYER, target="3")
    return [str(user) for user in users]


@pytest.mark.parametrize(
    ("layer_id", "expected"), [(3, {CAROL}), (2, {BOB, CAROL}), (4, {BOB, CAROL})]
)
def test_an_ad_hoc_push_reaches_nobody_who_opted_out(
    bench: Bench, people: list[str], layer_id: int, expected: set[UUID]
) -> None:
    asked = AdHocRequest(
        title="Hello", body="News", deep_link="", layer_id=layer_id, user_ids=people, file=None
    )

    started = send_ad_hoc(bench.web, asked, Mode.LIVE, None, bench.now, is_simulated=False)
    bench.run(started.id)

    assert reached(bench) == expected
    assert bench.funnel(started.id)["optedOut"] == 3 - len(expected)


def test_a_scheduled_push_reaches_nobody_who_opted_out(bench: Bench, people: list[str]) -> None:
    pushes = ScheduledPushes(bench.web, None)
    pushes.schedule(
        ScheduledPush(
            id="one",
            scheduled_for=bench.now + HOUR,
            title="Hello",
            body="News",
            layer_id=3,
            criteria={"manualUserIds": people},
            audience_description="Three users",
        ),
        bench.now,
    )
    assert bench.tick(*bench.web.files.list_all().documents) == []
    bench.now += 50 * MINUTE
    (execution_id,) = bench.tick(*bench.web.files.list_all().documents)

    bench.run(execution_id)

    assert reached(bench) == {CAROL}
    assert bench.funnel(execution_id)["optedOut"] == 2


def test_the_receipt_of_a_stop_says_how_many_opted_out(bench: Bench) -> None:
    first_push = {"layerId": 1}
    later = {**first_push, "timing": {"delayAfterPrevious": 30}}
    execution_id = bench.start(parameters={"users": 10}, pushes=[first_push, later])
    bench.work()
    opt_out(bench, *(UUID(int=n) for n in (1, 2)))
    bench.now += HOUR
    bench.work_until_sent(13)

    receipt = stop_execution(bench.database, execution_id, "Wrong text", bench.now)

    first, second = receipt.funnels[1], receipt.funnels[2]
    assert (first.sent, first.opted_out) == (10, 0)
    assert (second.sent, second.opted_out) == (3, 2)
    assert receipt.totals.opted_out == 2
