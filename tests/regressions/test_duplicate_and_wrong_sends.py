"""Defects 1 to 13 of the original: duplicate and wrong sends."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from chassis.clock import utc_now
from push_blaster.adapters.devices.device_fields import Device
from push_blaster.adapters.devices.device_table import upsert_devices
from push_blaster.adapters.transports.file_transport import FileTransport
from push_blaster.domain.delivery.message import Delivery, Message
from push_blaster.domain.executions.modes import Mode, delivers
from push_blaster.domain.executions.phase import Phase
from tests.builders import NOON
from tests.journeys.stack import user
from tests.people import ALICE
from tests.push_blaster.bench import Bench, daily, messages
from tests.push_blaster.web.recipes import RECIPES
from tests.regressions.support import create, daily_in, runs, tick_files
from tests.routes import paths_of
from tests.scripts import COUNTING_SCRIPT, a_script

MINUTE = timedelta(minutes=1)
ENDED = ("completed", "failed", "cancelled", "missed", "skipped")
TESTED = {
    "testUserIds": [str(ALICE)],
    "dryRunFirst": True,
    "safeguards": {"requireTestFirst": True},
}


def give_alice_a_phone(bench: Bench) -> None:
    with bench.database.transaction() as connection:
        upsert_devices(connection, [Device("alices", ALICE)], NOON)


def test_defect_02_a_sequence_of_three_sends_three_tests_and_not_nine(bench: Bench) -> None:
    give_alice_a_phone(bench)
    pushes = [{"title": f"Push {n}"} for n in (1, 2, 3)]

    bench.run(bench.start(settings=TESTED, pushes=pushes))

    tests = [m["title"] for m in messages(bench) if m["userId"] == str(ALICE)]
    assert tests == ["Push 1", "Push 2", "Push 3"]


def test_defect_03_a_time_that_is_moved_does_not_go_out_at_the_old_time_too(
    bench: Bench, client: FlaskClient
) -> None:
    bench.now = utc_now()
    create(client, schedule=daily_in(10))
    (old,) = tick_files(bench)

    moved = {"schedule": daily_in(40, leadTimeMinutes=30)}
    assert client.put(f"{RECIPES}/news", json=moved).status_code == 200
    bench.now = utc_now()
    tick_files(bench)
    bench.now += 11 * MINUTE
    bench.work()
    at_the_old_time = messages(bench)
    bench.now += 30 * MINUTE
    (new,) = tick_files(bench)

    assert bench.execution(old).phase is Phase.CANCELLED
    assert at_the_old_time == []
    assert bench.run(new).phase is Phase.COMPLETED
    assert len(messages(bench)) == 10


def test_defect_05_a_repeated_start_is_one_run_and_another_beside_it_is_refused(
    bench: Bench, client: FlaskClient
) -> None:
    create(client)
    create(client, id="other")

    def start(key: str | None, **body: Any) -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        asked = {"automationId": "news", **body}
        return client.post("/api/executions", json=asked, headers=headers)

    first, repeated, beside = start("k"), start("k"), start(None)

    assert first.status_code == repeated.status_code == 202
    assert first.get_json()["id"] == repeated.get_json()["id"]
    assert beside.status_code == 409
    for other in (
        {"automationId": "other"},
        {"mode": "real-dry-run"},
        {"cancellationWindowMinutes": 7},
    ):
        assert start("k", **other).status_code == 422, other
    bench.now = utc_now()
    bench.run(first.get_json()["id"])
    assert start("k").get_json()["id"] == first.get_json()["id"], "also after its end"
    assert max(Counter(m["userId"] for m in messages(bench)).values()) == 1


def test_defect_06_no_get_starts_what_delivers(
    bench: Bench, client: FlaskClient, app: Flask
) -> None:
    create(client)
    paths = paths_of(app, "GET", automation_id="news", execution_id="news@x", script_id="users")
    assert len(paths) > 15

    for path, mode in itertools.product(paths, [*Mode, "live-send"]):
        query = {"mode": mode, "id": "news", "automationId": "news", "scriptId": "users"}
        with client.get(path, query_string=query, buffered=False) as response:
            assert response.status_code != 500, path

    assert [e.id for e in bench.executions() if delivers(e.mode)] == []
    bench.now = utc_now()
    bench.work()
    assert messages(bench) == []


def test_defect_07_live_never_goes_out_before_the_stated_time(bench: Bench) -> None:
    automation = daily(settings={"cancellationWindowMinutes": 5})
    slot = NOON + 30 * MINUTE
    bench.now = slot - 10 * MINUTE
    (execution_id,) = bench.tick(automation)

    bench.work()
    bench.now = slot - timedelta(milliseconds=1)
    bench.work()

    assert bench.execution(execution_id).live_at == slot
    assert messages(bench) == []
    bench.now = slot
    bench.work()
    bench.now += timedelta(seconds=1)
    bench.work()
    assert len(messages(bench)) == 10


class SlowTransport(FileTransport):
    """Takes ten minutes of the bench's time for every send."""

    turn: Callable[[], None]

    def send(
        self, messages: Sequence[Message], should_stop: Callable[[], bool]
    ) -> Iterator[Delivery]:
        self.turn()
        yield from super().send(messages, should_stop)


def test_defect_08_the_window_begins_when_the_last_test_has_arrived(bench: Bench) -> None:
    give_alice_a_phone(bench)

    def turn() -> None:
        bench.now += 10 * MINUTE

    slow = SlowTransport(bench.folder / "messages.jsonl")
    slow.turn = turn
    bench.change(transport=slow)
    settings = {**TESTED, "cancellationWindowMinutes": 5}
    execution_id = bench.start(settings=settings, pushes=[{}, {}])
    bench.work()

    execution = bench.execution(execution_id)
    assert [m["userId"] for m in messages(bench)] == [str(ALICE)] * 2
    assert bench.now == NOON + 20 * MINUTE, "both tests have arrived"
    assert execution.phase is Phase.CANCELLATION_WINDOW
    assert execution.live_at == bench.now + 5 * MINUTE


def test_defect_09_the_audience_is_made_once_for_test_and_live_of_every_push(bench: Bench) -> None:
    give_alice_a_phone(bench)
    bench.write_script(COUNTING_SCRIPT)
    execution_id = bench.start(
        settings={**TESTED, "cancellationWindowMinutes": 5}, pushes=[{"layerId": 1}] * 3
    )
    bench.work()
    tested = [push.audience for push in bench.execution(execution_id).pushes]

    execution = bench.run(execution_id)

    assert execution.phase is Phase.COMPLETED
    assert runs(bench) == [execution_id]
    assert [push.audience for push in execution.pushes] == tested
    assert len({audience.sha256 for audience in tested if audience}) == 1


def test_defect_10_a_push_takes_the_file_that_its_own_script_wrote_in_this_run(
    bench: Bench,
) -> None:
    bench.write_script(a_script(f"{ALICE},Stale,stale"), "other")
    bench.run(bench.start(id="other", parameters={"users": 1}))
    bench.write_script(COUNTING_SCRIPT)
    near = {"audiences": "all all_of_them before_all"}
    before = len(messages(bench))
    named = bench.run(bench.start(parameters=near, pushes=[{"audienceName": "all"}]))
    bench.write_script("print('found nothing today')")
    silent = bench.run(bench.start(id="silent", pushes=[{"audienceName": "all"}]))

    assert named.pushes[0].audience is not None
    assert named.pushes[0].audience.source_file == "all.csv"
    assert silent.phase is Phase.FAILED
    assert "was not written by this run" in (silent.reason or "")
    assert len(messages(bench)) == before + 10 - 1


@pytest.mark.parametrize(
    "source",
    [
        "pass",
        a_script(),
        a_script(f"{ALICE},Alice,alices") + "\nraise ConnectionError('the database is gone')",
    ],
    ids=["writes no file", "finds nobody", "fails after it has written"],
)
def test_defect_11_a_script_without_a_result_sends_to_nobody(bench: Bench, source: str) -> None:
    bench.run(bench.start())
    yesterday = len(messages(bench))
    bench.write_script(source)

    execution = bench.run(bench.start(id="today"))

    assert execution.phase is Phase.FAILED
    assert len(messages(bench)) == yesterday


def test_defect_12_the_mark_test_is_a_word_and_no_part_of_one(bench: Bench) -> None:
    live = a_script(f"{ALICE},Alice,alices").replace("/all.csv", "/latest_contest_winners.csv")
    test = a_script(f"{user(7)},Tester,testers")
    test = test.replace("/all.csv", "/latest-contest-winners-test-20250818_120000.csv")
    bench.write_script(f"{live}\n{test}")

    execution = bench.run(bench.start(pushes=[{"audienceName": "latest_contest_winners"}]))

    assert execution.phase is Phase.COMPLETED, execution.reason
    assert [m["userId"] for m in messages(bench)] == [str(ALICE)]


@pytest.mark.parametrize(
    "when",
    [
        {"frequency": "daily", "executionTime": "12:30"},
        {"frequency": "custom", "cronExpression": "30 12 * * *"},
    ],
    ids=["time of day", "cron"],
)
def test_defect_13_the_lead_time_is_taken_off_once(bench: Bench, when: dict[str, str]) -> None:
    automation = daily(schedule={"leadTimeMinutes": 20, **when})
    for minute in range(10):
        bench.now = NOON + minute * MINUTE
        assert bench.tick(automation) == []

    bench.now = NOON + 10 * MINUTE
    bench.tick(automation)

    (execution,) = bench.executions()
    assert (execution.begins_at, execution.slot) == (NOON + 10 * MINUTE, NOON + 30 * MINUTE)
    bench.work()
    assert bench.execution(execution.id).live_at == NOON + 30 * MINUTE
