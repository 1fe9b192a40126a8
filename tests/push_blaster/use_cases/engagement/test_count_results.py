"""The counters of results follow real executions: while they run, at their end, and after it."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from chassis.postgres import Connection, Database
from chassis.rows import execute, fetch_all, fetch_value
from push_blaster.adapters.engagement import result_counting
from push_blaster.adapters.engagement.result_counting import (
    UncountedPush,
    count_batches,
    keep_sent,
    take_uncounted,
)
from push_blaster.adapters.engagement.result_table import ResultFilter
from push_blaster.adapters.executions.execution_removal import delete_execution
from push_blaster.domain.engagement.comparison import ComparisonVerdict
from push_blaster.domain.engagement.results import Grouping, Result
from push_blaster.domain.executions.modes import Mode
from push_blaster.use_cases.delivery.close_batches import close_batches
from push_blaster.use_cases.engagement.count_results import count_results
from push_blaster.use_cases.engagement.read_results import (
    ResultQuery,
    read_automation_results,
    read_results,
)
from tests.push_blaster.bench import Bench
from tests.push_blaster.use_cases.executions.resuming import resume, sent, stop

VARIANTS = [{"id": "A", "weight": 1}, {"id": "B", "weight": 2, "title": "Hello"}]


def count(bench: Bench) -> None:
    """Do what the engine does from time to time, a minute later."""
    bench.now += timedelta(minutes=1)
    close_batches(bench.context)
    count_results(bench.database)


def read(bench: Bench, grouping: Grouping = Grouping.AUTOMATION) -> list[Result]:
    query = ResultQuery(grouping=grouping, asked=ResultFilter())
    return read_results(bench.database, query, bench.now)


def sent_by_variant(bench: Bench) -> dict[str | None, int]:
    return {one.key.variant: one.counts.sent for one in read(bench, Grouping.VARIANT)}


def test_a_running_send_shows_and_its_end_changes_nothing(bench: Bench) -> None:
    execution_id = bench.start(parameters={"users": 100}, pushes=[{"variants": VARIANTS}])
    bench.work_until_sent(40)
    running, is_open = sent_by_variant(bench), read(bench)[0].is_open
    bench.run(execution_id)
    before = sent_by_variant(bench)

    count(bench)

    assert 40 <= sum(running.values()) < 100
    assert is_open
    assert before == sent_by_variant(bench)
    assert sum(before.values()) == len(sent(bench)) == 100
    variants = bench.funnel(execution_id)["variants"]
    assert {name: one["sent"] for name, one in variants.items()} == {
        name: users for name, users in before.items() if name
    }


def test_variants_of_a_running_send_are_compared_so_far(bench: Bench) -> None:
    bench.start(parameters={"users": 100}, pushes=[{"variants": VARIANTS}])
    bench.work_until_sent(40)

    asked = ResultFilter(automation_id="news")
    results = read_automation_results(bench.database, asked, "UTC", bench.now)

    (pair,) = results.pushes[0].pairs
    assert (pair.first, pair.second) == ("A", "B")
    assert pair.comparison.verdict is ComparisonVerdict.TOO_EARLY


def test_both_holdouts_are_assigned_and_told_apart(bench: Bench) -> None:
    bench.change(limits=replace(bench.context.limits, holdout_percent=20))
    bench.run(bench.start(parameters={"users": 200}, settings={"holdoutPercent": 25}))

    count(bench)

    (result,) = read(bench)
    assert result.counts.assigned == result.counts.sent == len(sent(bench))
    assert result.holdout.assigned > 10
    assert result.global_holdout.assigned > 10
    everybody = (result.counts, result.holdout, result.global_holdout)
    assert sum(one.assigned for one in everybody) == 200


def test_everybody_in_the_holdout_is_no_division_by_zero(bench: Bench) -> None:
    bench.run(bench.start(parameters={"users": 30}, settings={"holdoutPercent": 90}))
    bench.run(bench.start(parameters={"users": 0}, settings={"holdoutPercent": 90}))

    count(bench)

    (result,) = read(bench)
    assert result.holdout.assigned + result.counts.assigned == 30
    assert result.delivery_rate in (0.0, None)


def test_a_user_is_assigned_once_in_a_sequence_and_sent_to_twice(bench: Bench) -> None:
    bench.run(bench.start(parameters={"users": 50}, pushes=[{"layerId": 1}, {"layerId": 2}]))

    count(bench)

    first, second = read(bench, Grouping.PUSH)
    assert (first.counts.sent, second.counts.sent) == (50, 50)
    assert (first.counts.assigned, second.counts.assigned) == (50, 0)
    assert (first.counts.first_at_risk, second.counts.first_at_risk) == (50, 50)


@pytest.mark.parametrize("stops", [1, 2])
def test_a_resumed_send_adds_to_the_stopped_one_and_assigns_nobody_twice(
    bench: Bench, stops: int
) -> None:
    execution_id = bench.start(parameters={"users": 200}, settings={"holdoutPercent": 30})
    for n in range(stops):
        bench.work_until_sent(40 * (n + 1))
        stop(bench, execution_id)
        execution_id = resume(bench, execution_id)
    bench.run(execution_id)

    count(bench)

    (result,) = read(bench)
    assert result.executions == stops + 1
    assert result.counts.sent == len(sent(bench)) == result.counts.assigned
    assert result.counts.sent + result.holdout.assigned == 200
    with bench.database.transaction() as connection:
        roots = fetch_all(connection, "SELECT DISTINCT first_number FROM result_pushes")
        first = fetch_value(connection, "SELECT min(number) FROM executions")
    assert roots == [(first,)]


@pytest.mark.parametrize("mode", [Mode.REAL_DRY_RUN, Mode.SIMULATION, Mode.TEST_LIVE_SEND])
def test_dry_runs_and_tests_have_no_results(bench: Bench, mode: Mode) -> None:
    bench.run(bench.start(mode, settings={"testUserIds": [str(bench_user(1))]}))

    count(bench)

    assert read(bench) == []


def bench_user(number: int) -> str:
    """Return the id of a user of the script."""
    return f"00000000-0000-0000-0000-{number:012x}"


def test_results_outlive_their_execution(bench: Bench) -> None:
    execution_id = bench.start(parameters={"users": 60}, pushes=[{"variants": VARIANTS}])
    bench.run(execution_id)
    count(bench)
    before = read(bench, Grouping.EXECUTION), sent_by_variant(bench)

    with bench.database.transaction() as connection:
        delete_execution(connection, execution_id, tuple(Mode))
    count(bench)

    assert (read(bench, Grouping.EXECUTION), sent_by_variant(bench)) == before


def test_an_execution_that_was_removed_before_its_count_is_let_go(bench: Bench) -> None:
    execution_id = bench.start(parameters={"users": 20})
    bench.run(execution_id)
    with bench.database.transaction() as connection:
        delete_execution(connection, execution_id, tuple(Mode))

    count(bench)

    assert uncounted(bench.database) == 0


def test_a_count_that_is_killed_goes_on_where_it_was(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result_counting, "BATCHES_AT_ONCE", 2)
    bench.run(bench.start(parameters={"users": 100}))
    bench.now += timedelta(minutes=1)
    close_batches(bench.context)
    for step in (keep_sent, count_batches, count_batches):
        with pytest.raises(KeyboardInterrupt):
            do_step(bench.database, step, is_killed=True)
        do_step(bench.database, step)

    count_results(bench.database)

    (result,) = read(bench)
    assert (result.counts.sent, result.counts.assigned, result.counts.first_at_risk) == (100,) * 3
    assert uncounted(bench.database) == 0


def do_step(
    database: Database,
    step: Callable[[Connection, UncountedPush], None],
    *,
    is_killed: bool = False,
) -> None:
    """Take a push and do one step of its count; a kill comes before the step is committed."""
    with database.transaction() as connection:
        push = take_uncounted(connection)
        assert push is not None
        step(connection, push)
        if is_killed:
            raise KeyboardInterrupt


def test_a_push_that_cannot_be_counted_keeps_no_other_waiting(bench: Bench) -> None:
    for _ in range(2):
        bench.run(bench.start(parameters={"users": 5}))
    bench.now += timedelta(minutes=1)
    close_batches(bench.context)
    with bench.database.transaction() as connection:
        sql = """
            UPDATE execution_pushes SET funnel = '{"sent": "many"}'
             WHERE execution_id = (SELECT min(id) FROM executions)
        """
        execute(connection, sql)

    for _ in range(100):
        with suppress(TypeError):
            count_results(bench.database)
        if uncounted(bench.database) == 1:
            break

    assert uncounted(bench.database) == 1


def test_two_engines_count_a_push_once(bench: Bench) -> None:
    bench.run(bench.start(parameters={"users": 40}))
    bench.now += timedelta(minutes=1)
    close_batches(bench.context)
    with bench.database.transaction() as connection:
        taken = take_uncounted(connection)

        count_results(bench.database)

        assert taken is not None
    assert uncounted(bench.database) == 1
    count_results(bench.database)
    assert [one.counts.assigned for one in read(bench)] == [40]


def uncounted(database: Database) -> int:
    with database.transaction() as connection:
        sql = "SELECT count(*) FROM result_pushes WHERE counted_at IS NULL"
        return int(fetch_value(connection, sql))
