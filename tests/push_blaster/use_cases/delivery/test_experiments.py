"""Variants and the control group, on the path that sends."""

from collections import Counter
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from marshmallow import ValidationError

from chassis.postgres import BulkDatabase
from push_blaster.adapters.devices.device_fields import Device
from push_blaster.adapters.devices.device_table import upsert_devices
from push_blaster.domain.automations.experiment import Variant, choose_variant, is_in_holdout
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import Phase
from tests.builders import NOON
from tests.journeys.stack import user
from tests.push_blaster.bench import Bench, messages

TWO = [{"id": "plain"}, {"id": "warm", "title": "Dear [[var:first_name]]", "weight": 2}]


def hold_out(bench: Bench, percent: float) -> None:
    bench.change(limits=replace(bench.context.limits, holdout_percent=percent))


def test_each_user_gets_the_wording_of_the_users_variant(bench: Bench) -> None:
    execution = bench.run(bench.start(parameters={"users": 60}, pushes=[{"variants": TWO}]))

    push = execution.automation.pushes[0]
    sent = {UUID(m["userId"]): m["title"].split()[0] for m in messages(bench)}
    chosen = {u: choose_variant(push.variants, execution.automation.id, push.id, u) for u in sent}
    words = {"plain": "Hi", "warm": "Dear"}
    assert sent == {u: words[v.id] for u, v in chosen.items() if v}
    by_variant = Counter(delivery["variant"] for delivery in bench.deliveries(execution.id))
    assert len(sent) == 60
    assert min(by_variant.values()) > 0
    assert bench.funnel(execution.id)["variants"] == {
        name: {"sent": users, "failed": 0} for name, users in by_variant.items()
    }


def test_a_later_run_gives_a_user_the_same_variant(bench: Bench) -> None:
    wide = {"users": 60}
    first = bench.run(bench.start(parameters=wide, pushes=[{"variants": TWO, "layerId": 1}]))
    second = bench.run(bench.start(parameters=wide, pushes=[{"variants": TWO, "layerId": 1}]))

    of_first, of_second = (
        {d["user_id"]: d["variant"] for d in bench.deliveries(e.id)} for e in (first, second)
    )
    assert first.id != second.id
    assert of_first == of_second


def test_a_variant_with_an_unknown_column_ends_the_execution_before_its_test(bench: Bench) -> None:
    pushes = [{"variants": [{"id": "a"}, {"id": "b", "body": "[[var:shoe_size]]"}]}]

    execution = bench.run(bench.start(pushes=pushes))

    assert execution.phase is Phase.FAILED
    assert "[[var:shoe_size]]" in (execution.reason or "")


def test_tests_use_neither_variants_nor_a_holdout(bench: Bench) -> None:
    hold_out(bench, 100)
    variants = [{"id": "only", "title": "Variant"}]
    settings = {"testUserIds": [user(1)], "holdoutPercent": 100}
    with bench.database.transaction() as connection:
        upsert_devices(connection, [Device("phone", UUID(user(1)))], NOON)

    for mode in (Mode.TEST_LIVE_SEND, Mode.TEST_SCHEDULED_SEND):
        bench.run(bench.start(mode=mode, settings=settings, pushes=[{"variants": variants}]))

    assert {(m["userId"], m["title"]) for m in messages(bench)} == {(user(1), "Hi Name 1")}


def test_whoever_is_held_out_gets_nothing_and_is_counted(
    bench: Bench, cadence_database: BulkDatabase
) -> None:
    hold_out(bench, 20)

    execution = bench.run(bench.start(parameters={"users": 60}, settings={"holdoutPercent": 30}))

    everyone = [UUID(user(n)) for n in range(1, 61)]
    globally = {u for u in everyone if is_in_holdout(20, u)}
    here = {u for u in everyone if is_in_holdout(30, u, execution.automation.id)}
    assert globally - here
    assert here - globally
    assert {UUID(m["userId"]) for m in messages(bench)} == set(everyone) - globally - here
    funnel = bench.funnel(execution.id)
    assert funnel["holdout"] == len(globally | here)
    assert funnel["eligible"] == funnel["sent"] == 60 - len(globally | here)
    state = {d["user_id"]: d["reason"] for d in bench.deliveries(execution.id) if d["reason"]}
    assert {u for u, why in state.items() if why == "held out of every automation"} == globally
    with cadence_database.transaction() as connection:
        told = connection.execute("SELECT count(*) FROM user_notifications").fetchone()
    assert told == (funnel["sent"],), "who is held out has used up nothing"


def test_a_push_of_which_all_are_held_out_has_not_failed(bench: Bench) -> None:
    execution = bench.run(bench.start(settings={"holdoutPercent": 100}))

    assert execution.phase is Phase.COMPLETED
    assert not (bench.folder / "messages.jsonl").exists()
    assert bench.funnel(execution.id)["holdout"] == 10


@pytest.mark.parametrize(
    "wrong",
    [
        {"variants": [{"id": "a"}, {"id": "a"}]},
        {"variants": [{"id": "a", "weight": 0}]},
        {"variants": [{"title": "no id"}]},
        {"variants": [{"id": str(n)} for n in range(21)]},
    ],
)
def test_variants_that_cannot_be_told_apart_or_chosen_are_refused(
    bench: Bench, wrong: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError, match="variants"):
        bench.start(pushes=[wrong])


def test_what_a_variant_leaves_out_is_the_pushs_own(bench: Bench) -> None:
    execution = bench.execution(bench.start(pushes=[{"variants": TWO, "deepLink": "https://x/"}]))

    worded = execution.automation.pushes[0].worded(Variant(id="b", title="Other", deep_link=""))

    assert (worded.title, worded.body, worded.deep_link) == ("Other", "Body", "")
