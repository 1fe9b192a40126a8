"""Quiet hours and local times on the path that sends: held in the ledger, and asked about anew."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from marshmallow import ValidationError

from chassis.clock import utc_now
from chassis.postgres import BulkDatabase
from chassis.rows import execute
from push_blaster.adapters.cadence.cadence_client import CadenceClient
from push_blaster.adapters.cadence.over_cap_table import select_over_cap_count
from push_blaster.adapters.devices.device_fields import Device
from push_blaster.adapters.devices.device_table import upsert_devices
from push_blaster.adapters.funnels import select_funnels
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.cadence.count_over_cap import count_over_cap
from push_blaster.use_cases.cadence.track_sends import track_sends
from push_blaster.use_cases.delivery.close_batches import close_batches
from push_blaster.use_cases.executions.stop_execution import stop_execution
from tests.builders import NOON
from tests.cadence_service.settings import CADENCE_TOKEN
from tests.fakes.fickle_proxy import Mood, run_proxy
from tests.push_blaster.bench import Bench, messages
from tests.scripts import ZONES

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
#: Noon in UTC is 21:00 in Tokyo, which has no summer time: quiet there, and for eleven hours more.
NIGHT = {"start": "20:00", "end": "08:00"}
QUIET: dict[str, Any] = {"quietHours": NIGHT, "deliverWithinMinutes": 720}
MORNING = NOON + 11 * HOUR


@pytest.fixture
def zoned(bench: Bench) -> Bench:
    bench.write_script(ZONES)
    return bench


def start(bench: Bench, zones: str, settings: dict[str, Any], each: int = 1, **changes: Any) -> str:
    parameters = {"zones": zones, "each": each}
    return bench.start(parameters=parameters, settings=settings, **changes)


def states(bench: Bench, execution_id: str) -> dict[int, str]:
    return {d["user_id"].int: d["state"] for d in bench.deliveries(execution_id)}


def told(cadence_database: BulkDatabase) -> dict[int, datetime]:
    with cadence_database.transaction() as connection:
        rows = connection.execute("SELECT user_id, sent_at FROM user_notifications").fetchall()
    assert len(rows) == len({user_id for user_id, _ in rows}), "each counts once"
    return {UUID(str(user_id)).int: sent_at for user_id, sent_at in rows}


def held_slots(cadence_database: BulkDatabase) -> int:
    with cadence_database.transaction() as connection:
        row = connection.execute("SELECT count(*) FROM held_slots").fetchone()
    assert row is not None
    return int(row[0])


def test_a_message_is_held_until_quiet_hours_end_where_its_user_is(
    zoned: Bench, cadence_database: BulkDatabase
) -> None:
    execution_id = start(zoned, "Europe/Berlin Asia/Tokyo", QUIET, each=15)

    zoned.work()
    assert (zoned.funnel(execution_id)["sent"], zoned.funnel(execution_id)["held"]) == (15, 15)
    assert set(told(cadence_database)) == set(range(1, 31, 2)), "cadence knows of them at once"
    zoned.now = MORNING - MINUTE
    zoned.work()
    assert zoned.funnel(execution_id)["sent"] == 15
    zoned.now = MORNING
    zoned.work()
    zoned.now += MINUTE
    execution = zoned.run(execution_id)

    assert execution.phase is Phase.COMPLETED
    assert zoned.funnel(execution_id)["sent"] == 30
    assert sorted(UUID(m["userId"]).int for m in messages(zoned)) == list(range(1, 31))
    assert told(cadence_database) == {n: NOON if n % 2 else MORNING for n in range(1, 31)}
    assert held_slots(cadence_database) == 0


def test_a_jump_of_the_clock_closes_no_window(zoned: Bench) -> None:
    """The push has just begun, and then the clock of the database jumps by five hours."""
    execution_id = start(zoned, "UTC Asia/Tokyo", QUIET, each=30)
    zoned.work_until_sent(1)
    jump = timedelta(hours=5)
    zoned.now += jump
    zoned.change(shift=lambda at: at + jump)

    zoned.work()
    zoned.now = MORNING
    zoned.run(execution_id)

    assert "not_in_time" not in states(zoned, execution_id).values()
    assert zoned.funnel(execution_id)["sent"] == 60


def test_what_cannot_come_within_the_pushs_time_is_refused_and_counted(zoned: Bench) -> None:
    execution = zoned.run(start(zoned, "UTC Asia/Tokyo", {"quietHours": NIGHT}))

    assert states(zoned, execution.id) == {1: "sent", 2: "not_in_time"}
    assert zoned.funnel(execution.id)["notInTime"] == 1
    assert "1 with a send window that opens too late" in zoned.log(execution.id)


def test_quiet_hours_may_drop_instead(zoned: Bench) -> None:
    settings = {"quietHours": {**NIGHT, "whenQuiet": "drop"}}

    execution = zoned.run(start(zoned, "UTC Asia/Tokyo", settings))

    assert execution.phase is Phase.COMPLETED
    assert states(zoned, execution.id) == {1: "sent", 2: "quiet_hours"}
    assert zoned.funnel(execution.id)["quietHours"] == 1


def test_a_zone_comes_from_the_row_then_the_device_then_the_automation(zoned: Bench) -> None:
    tokyo = "Asia/Tokyo"
    with zoned.database.transaction() as connection:
        devices = [Device(f"phone-{n}", UUID(int=n), timezone=tokyo) for n in (1, 2, 3)]
        upsert_devices(connection, devices, NOON)
    zones = "UTC - Mars/Olympus -"

    by_device = start(zoned, zones, QUIET)
    zoned.work()
    assert states(zoned, by_device) == {1: "sent", 2: "deferred", 3: "deferred", 4: "sent"}

    fallback = {**QUIET, "quietHours": {**NIGHT, "timezone": tokyo}}
    by_automation = start(zoned, zones, fallback, id="other", pushes=[{"layerId": 1}])
    zoned.work()
    assert states(zoned, by_automation) == {1: "sent", 2: "deferred", 3: "deferred", 4: "deferred"}


def test_who_waits_for_hours_is_not_counted_again_at_each_look(zoned: Bench) -> None:
    execution_id = start(zoned, "UTC Asia/Tokyo", QUIET, each=5)
    zoned.work()
    counted = zoned.funnel(execution_id)

    with zoned.database.transaction() as connection:
        execute(connection, "DELETE FROM deliveries")
        looked_at_again = select_funnels(connection, [execution_id])
        connection.rollback()
    zoned.now = MORNING
    zoned.work()

    assert (counted["sent"], counted["held"]) == (5, 5)
    assert looked_at_again[execution_id][1].to_document() == counted
    assert zoned.funnel(execution_id)["sent"] == 10


def test_a_stop_ends_what_is_held(zoned: Bench, cadence_database: BulkDatabase) -> None:
    execution_id = start(zoned, "UTC Asia/Tokyo", QUIET)
    zoned.work()

    receipt = stop_execution(zoned.database, execution_id, "Wrong text", utc_now())
    zoned.now = max(MORNING, utc_now() + MINUTE)
    close_batches(zoned.context)
    zoned.work()

    funnel = zoned.funnel(execution_id)
    assert (funnel["sent"], funnel["held"], funnel["notSent"]) == (1, 0, 1)
    assert (receipt.totals.sent, receipt.totals.not_sent) == (1, 1), "who waits is told at once"
    assert len(messages(zoned)) == 1
    assert held_slots(cadence_database) == 0


def test_who_gets_another_push_meanwhile_is_held_back_when_the_turn_comes(zoned: Bench) -> None:
    held = start(zoned, "UTC Asia/Tokyo", QUIET)
    zoned.work()
    zoned.now += HOUR
    meanwhile = start(zoned, "UTC UTC", {}, id="meanwhile")
    zoned.work()
    assert states(zoned, meanwhile) == {1: "held_back", 2: "sent"}

    zoned.now = MORNING
    zoned.work()

    assert states(zoned, held) == {1: "sent", 2: "held_back"}
    assert len(messages(zoned)) == 2, "no cap leaks through a hold"


def test_a_crash_among_those_held_sends_to_nobody_twice(
    zoned: Bench, cadence_database: BulkDatabase
) -> None:
    execution_id = start(zoned, "Asia/Tokyo", QUIET, each=40)
    zoned.work()
    zoned.now = MORNING
    zoned.work_until_sent(7)
    assert len(messages(zoned)) < 40

    zoned.work()
    zoned.now += MINUTE
    execution = zoned.run(execution_id)

    assert sorted(UUID(m["userId"]).int for m in messages(zoned)) == list(range(1, 41))
    assert set(told(cadence_database).values()) == {MORNING}
    assert execution.uncapped_reason is None


def test_quiet_hours_that_begin_in_the_middle_of_a_batch_hold_the_rest_of_it(
    zoned: Bench, cadence_database: BulkDatabase
) -> None:
    zoned.now = NOON - HOUR - MINUTE
    execution_id = start(zoned, "UTC Asia/Tokyo", {**QUIET, "deliverWithinMinutes": 900}, each=10)
    zoned.work_until_sent(3)
    begun = len(messages(zoned))
    assert begun < 20
    zoned.now += 2 * MINUTE
    zoned.work()
    funnel = zoned.funnel(execution_id)
    assert funnel["sent"] >= 10, "the others' quiet hours are their own"
    assert (funnel["held"] > 0, funnel["sent"] + funnel["held"]) == (True, 20)

    zoned.now = MORNING
    zoned.work()
    zoned.now += MINUTE
    execution = zoned.run(execution_id)

    assert execution.phase is Phase.COMPLETED
    assert execution.uncapped_reason is None
    assert zoned.funnel(execution_id)["sent"] == 20
    assert len(told(cadence_database)) == 20


def test_who_was_held_and_is_in_quiet_hours_again_waits_for_their_end(zoned: Bench) -> None:
    settings = {**QUIET, "deliverWithinMinutes": 1_560}
    execution_id = start(zoned, "Asia/Tokyo", {**settings, "quietHours": {**NIGHT, "end": "21:30"}})
    zoned.work()

    zoned.now += 24 * HOUR
    zoned.work()
    assert states(zoned, execution_id) == {1: "deferred"}, "no engine was up all day"
    zoned.now += HOUR / 2
    zoned.work()

    assert states(zoned, execution_id) == {1: "sent"}


def test_a_local_time_comes_in_each_zone_and_has_passed_where_it_is_over(zoned: Bench) -> None:
    settings = {"localTime": True, "deliverWithinMinutes": 720}
    execution_id = start(zoned, "UTC Africa/Lagos America/New_York Asia/Tokyo", settings)

    zoned.work()
    assert states(zoned, execution_id) == {
        1: "sent",
        2: "sent",
        3: "deferred",
        4: "local_time_passed",
    }
    zoned.now = NOON + 5 * HOUR
    zoned.work()

    assert states(zoned, execution_id)[3] == "sent"
    assert zoned.funnel(execution_id)["localTimePassed"] == 1


def test_what_was_held_and_went_out_unchecked_is_accounted_for(
    zoned: Bench, cadence_service: str
) -> None:
    with run_proxy() as proxy:
        proxy.target = cadence_service
        zoned.change(cadence=CadenceClient(proxy.url, CADENCE_TOKEN))
        held = start(zoned, "UTC Asia/Tokyo", QUIET)
        zoned.work()
        zoned.now += HOUR
        start(zoned, "UTC UTC", {}, id="meanwhile")
        zoned.work()

        proxy.mood = Mood.AWAY
        zoned.now = MORNING
        zoned.work()
        assert states(zoned, held)[2] == "sent", "failPolicy is open"
        zoned.now += MINUTE
        zoned.run(held)
        proxy.mood = Mood.WELL
        zoned.now += MINUTE
        assert track_sends(zoned.context) == 1
        assert count_over_cap(zoned.context) == 1

    with zoned.database.transaction() as connection:
        count = select_over_cap_count(connection, held)
    assert count
    assert count.by_rule == {"layer_3_cooldown_hours": 1}


def test_an_execution_whose_users_are_all_held_is_looked_at_seldom(zoned: Bench) -> None:
    execution_id = start(zoned, "UTC Asia/Tokyo", QUIET)
    zoned.work()
    zoned.now += timedelta(seconds=1)
    zoned.work()

    due_at = zoned.execution(execution_id).due_at
    assert due_at
    assert due_at - zoned.now == timedelta(seconds=30)


@pytest.mark.parametrize("mode", [Mode.REAL_DRY_RUN, Mode.TEST_DRY_RUN])
def test_what_sends_nothing_waits_for_nobody(zoned: Bench, mode: Mode) -> None:
    with zoned.database.transaction() as connection:
        upsert_devices(connection, [Device("phone", UUID(int=1))], NOON)
    settings = {**QUIET, "testUserIds": [str(UUID(int=1))]}

    assert zoned.run(start(zoned, "Asia/Tokyo", settings, mode=mode)).phase is Phase.COMPLETED


@pytest.mark.parametrize(
    "wrong",
    [
        {"quietHours": {"start": "22:00", "end": "22:00"}},
        {"quietHours": {"start": "22:00"}},
        {"quietHours": {"start": "ten", "end": "08:00"}},
        {"quietHours": {**NIGHT, "timezone": "Mars/Olympus"}},
        {"quietHours": {**NIGHT, "whenQuiet": "later"}},
        {"deliverWithinMinutes": 1_561},
        {"deliverWithinMinutes": 0},
    ],
)
def test_hours_that_mean_nothing_are_refused(bench: Bench, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        bench.start(settings=wrong)
