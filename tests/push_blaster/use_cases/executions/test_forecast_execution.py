"""The forecast of an execution: what cadence says beforehand is what it does."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from chassis.postgres import BulkDatabase
from chassis.rows import execute
from push_blaster.adapters.cadence.cadence_client import CadenceClient
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.audiences.forecast_audience import SLICE
from tests.builders import NOON
from tests.cadence_service.settings import CADENCE_TOKEN
from tests.fakes.fickle_proxy import FickleProxy, Mood, run_proxy
from tests.journeys.stack import user
from tests.push_blaster.bench import Bench
from tests.push_blaster.cadence_support import HOUR, sent_before


@pytest.fixture
def proxy(bench: Bench, cadence_service: str) -> Iterator[FickleProxy]:
    with run_proxy() as proxy:
        proxy.target = cadence_service
        bench.change(cadence=CadenceClient(proxy.url, CADENCE_TOKEN, timeout=timedelta(seconds=2)))
        yield proxy


def forecasts(bench: Bench, execution_id: str) -> list[dict[str, Any]]:
    return [dict(push.forecast or {}) for push in bench.execution(execution_id).pushes]


def test_what_is_forecast_is_what_is_held_back(
    bench: Bench, cadence_database: BulkDatabase
) -> None:
    sent_before(cadence_database, range(1, 4), 3, hours=10)
    sent_before(cadence_database, range(1, 6), 2, hours=20)
    pushes: list[dict[str, Any]] = [
        {},
        {"layerId": 1, "timing": {"delayAfterPrevious": 30}},
        {"layerId": 2, "timing": {"delayAfterPrevious": 60}},
        {"timing": {"delayAfterPrevious": 60}},
    ]
    execution_id = bench.start(pushes=pushes)

    bench.run(execution_id)

    told = forecasts(bench, execution_id)
    assert [push["eligible"] for push in told] == [7, 10, 10, 0]
    assert told[0]["exclusionBreakdown"] == {"layer_3_cooldown_hours": 3}
    assert [push["at"] for push in told] == [
        (NOON + minutes * HOUR / 60).isoformat() for minutes in (0, 30, 90, 150)
    ]
    for position, push in enumerate(told, start=1):
        funnel = bench.funnel(execution_id, position)
        happened = funnel["eligible"], funnel["excluded"], funnel["exclusionBreakdown"]
        assert happened == (push["eligible"], push["excluded"], push["exclusionBreakdown"])
    assert "Forecast of push 1, at" in bench.log(execution_id)
    assert "capped by cadence (Pause between behaviour-responsive pushes: 3)" in bench.log(
        execution_id
    )


def test_a_window_that_makes_the_push_late_moves_its_forecast(bench: Bench) -> None:
    execution_id = bench.start(settings={"cancellationWindowMinutes": 20})

    bench.work()

    assert forecasts(bench, execution_id)[0]["at"] == (NOON + HOUR / 3).isoformat()


def test_a_forecast_takes_no_slots(bench: Bench, cadence_database: BulkDatabase) -> None:
    bench.start(settings={"cancellationWindowMinutes": 20})

    bench.work()

    with cadence_database.transaction() as connection:
        assert connection.execute("SELECT count(*) FROM reservations").fetchone() == (0,)


@pytest.mark.parametrize("mood", [Mood.AWAY, Mood.SLOW, Mood.FAILING, Mood.NONSENSE])
def test_without_cadence_there_is_no_forecast_but_its_reason_and_the_execution_goes_on(
    bench: Bench, proxy: FickleProxy, mood: Mood
) -> None:
    proxy.mood = mood
    execution_id = bench.start(settings={"cancellationWindowMinutes": 20})

    bench.work()

    assert bench.execution(execution_id).phase is Phase.CANCELLATION_WINDOW
    (told,) = forecasts(bench, execution_id)
    assert (told["eligible"], told["excluded"], told["exclusionBreakdown"]) == (None, None, None)
    assert "cadence service" in told["reason"]
    assert "No forecast of push 1" in bench.log(execution_id)


def test_rules_that_are_gone_are_forecast_as_open(
    bench: Bench, cadence_database: BulkDatabase
) -> None:
    with cadence_database.transaction() as connection:
        connection.execute("UPDATE cadence_rules SET is_active = false")
    execution_id = bench.start(settings={"cancellationWindowMinutes": 20})

    bench.work()

    (told,) = forecasts(bench, execution_id)
    assert (told["eligible"], told["failedOpen"]) == (10, True)
    assert "no active cadence rule" in told["reason"]


def test_a_large_audience_is_asked_about_in_slices_that_add_up(
    bench: Bench, cadence_database: BulkDatabase
) -> None:
    users = 2 * SLICE + 7
    sent_before(cadence_database, range(9_990, 20_004), 3, hours=1)
    window = {"cancellationWindowMinutes": 20}
    execution_id = bench.start(parameters={"users": users}, settings=window)

    bench.work()

    (told,) = forecasts(bench, execution_id)
    assert (told["eligible"], told["excluded"]) == (users - 10_014, 10_014)


def opt_out(bench: Bench, *numbers: int, **columns: str) -> None:
    """Let users not want some pushes: all, unless the columns say otherwise."""
    values = {"scope": "all", "target": "", "until": "infinity", **columns}
    with bench.database.transaction() as connection:
        for number in numbers:
            execute(connection, OPT_OUT, {**values, "user": user(number), "now": bench.now})


OPT_OUT = """
    INSERT INTO opt_outs (user_id, scope, target, until, source, set_at)
    VALUES (%(user)s, %(scope)s, %(target)s, nullif(%(until)s, 'infinity')::timestamptz, 'api',
            %(now)s)
"""


def test_who_opted_out_is_forecast_as_the_send_counts_them(bench: Bench) -> None:
    opt_out(bench, 1, 2)
    opt_out(bench, 3, scope="layer", target="3")
    opt_out(bench, 4, scope="automation", target="news")
    opt_out(bench, 5, scope="automation", target="other")
    opt_out(bench, 6, until=(NOON + HOUR / 2).isoformat())
    pushes: list[dict[str, Any]] = [{}, {"layerId": 1, "timing": {"delayAfterPrevious": 60}}]
    execution_id = bench.start(pushes=pushes)

    bench.run(execution_id)

    told = forecasts(bench, execution_id)
    assert [push["optedOut"] for push in told] == [5, 3]
    assert [push["eligible"] for push in told] == [5, 7]
    for position, push in enumerate(told, start=1):
        funnel = bench.funnel(execution_id, position)
        assert (funnel["eligible"], funnel["optedOut"]) == (push["eligible"], push["optedOut"])
    assert "5 eligible, 5 opted out." in bench.log(execution_id)


def test_if_nobody_wants_a_push_cadence_is_not_asked(bench: Bench, proxy: FickleProxy) -> None:
    opt_out(bench, *range(1, 11))
    proxy.mood = Mood.AWAY
    execution_id = bench.start()

    bench.run(execution_id)

    (told,) = forecasts(bench, execution_id)
    assert (told["eligible"], told["optedOut"], told["reason"]) == (0, 10, None)


def test_of_a_large_audience_a_process_of_its_own_counts_who_opted_out(bench: Bench) -> None:
    opt_out(bench, 1, 5_999)
    execution_id = bench.start(parameters={"users": 6_000})

    bench.work()

    (told,) = forecasts(bench, execution_id)
    assert (told["eligible"], told["optedOut"]) == (5_998, 2)
