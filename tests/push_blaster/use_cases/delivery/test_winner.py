"""Experiments with a winner, on the path that sends: a test, a wait, a decision, the rest."""

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from psycopg2.extras import Json

from chassis.postgres import BulkDatabase
from chassis.rows import array_of, execute
from push_blaster.adapters.delivery.batch_table import dispatch_batches
from push_blaster.adapters.executions.execution_table import save_execution
from push_blaster.domain.automations.experiment import is_in_test
from push_blaster.domain.delivery.ledger import BatchKey
from push_blaster.domain.executions.execution import Execution
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.delivery.close_batches import close_batches
from push_blaster.use_cases.delivery.send_batch import send_batch
from push_blaster.use_cases.executions.resume_execution import resume_execution
from push_blaster.use_cases.executions.run_live import start_push
from push_blaster.use_cases.executions.stop_execution import (
    stop_every_execution,
    stop_execution,
)
from tests.builders import NOON
from tests.push_blaster.bench import EVER, Bench, daily, messages
from tests.scripts import ZONES

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
VARIANTS = [{"id": "plain"}, {"id": "warm", "title": "Dear [[var:first_name]]"}]
USERS = 60


def push(**experiment: Any) -> dict[str, Any]:
    return {"variants": VARIANTS, "experiment": {"testPercent": 50, **experiment}}


def start(bench: Bench, *, users: int = USERS, **changes: Any) -> str:
    given = {"pushes": [push()], **changes}
    return bench.start(parameters={"users": users}, **given)


def find_testers(execution: Execution, users: Iterable[UUID]) -> set[UUID]:
    definition, progress = execution.automation.pushes[0], execution.pushes[0]
    assert definition.experiment
    assert progress.decision
    name, draw = execution.automation.id, progress.decision.draw
    return {u for u in users if is_in_test(definition.experiment, name, definition.id, draw, u)}


def everybody(users: int = USERS) -> set[UUID]:
    return {UUID(int=n) for n in range(1, users + 1)}


def sent(bench: Bench) -> dict[UUID, str]:
    """Return the first word that each user got; each user got one message."""
    got = [(UUID(m["userId"]), m["title"].split()[0]) for m in messages(bench)]
    assert len(got) == len(dict(got)), "nobody gets it twice"
    return dict(got)


def report_earlier(
    bench: Bench, execution_id: str, plain: int, warm: int, *, is_counted: bool = True
) -> None:
    """Count an earlier execution of the same texts: 10,000 users of each variant."""
    pushes = """
        INSERT INTO result_pushes
        SELECT (jsonb_populate_record(r, %(other)s)).*
          FROM result_pushes r WHERE r.execution_id = %(id)s AND r.position = 1
    """
    counts = """
        INSERT INTO result_counts (execution_number, position, variant, first_at_risk, first_opened)
        VALUES (0, 1, 1, 10000, %(plain)s), (0, 1, 2, 10000, %(warm)s)
    """
    other = {"execution_number": 0, "counted_at": bench.now.isoformat() if is_counted else None}
    with bench.database.transaction() as connection:
        assert execute(connection, pushes, {"id": execution_id, "other": Json(other)}) == 1
        execute(connection, counts, {"plain": plain, "warm": warm})


def test_a_part_tests_and_the_rest_waits_for_the_first_variant_if_nobody_reports(
    bench: Bench,
) -> None:
    execution_id = start(bench)

    bench.work()
    execution = bench.execution(execution_id)
    testing = find_testers(execution, everybody())
    assert set(sent(bench)) == testing
    assert len(testing) in range(15, 46)
    assert bench.funnel(execution_id)["held"] == USERS - len(testing)
    bench.now = NOON + HOUR - MINUTE
    bench.work()
    assert set(sent(bench)) == testing, "nobody is early"
    bench.now = NOON + HOUR
    bench.work()
    bench.now += MINUTE
    execution = bench.run(execution_id)

    assert execution.phase is Phase.COMPLETED
    got = sent(bench)
    assert set(got) == everybody()
    assert {got[u] for u in everybody() - testing} == {"Hi"}
    assert {got[u] for u in testing} == {"Hi", "Dear"}
    decision = execution.pushes[0].decision
    assert decision
    assert (decision.variant, decision.is_sure, decision.decided_at) == (
        "plain",
        False,
        NOON + HOUR,
    )
    none = f"None of {len(testing)} users is known to have opened it"
    assert none in bench.log(execution_id)


def test_the_winner_goes_to_the_rest_with_figures_of_all_executions_of_these_texts(
    bench: Bench,
) -> None:
    execution_id = start(bench)
    bench.work()
    report_earlier(bench, execution_id, plain=1_000, warm=1_400)
    testing = find_testers(bench.execution(execution_id), everybody())
    bench.now = NOON + HOUR

    execution = bench.run(execution_id)

    got = sent(bench)
    assert {got[u] for u in everybody() - testing} == {"Dear"}
    decision = execution.pushes[0].decision
    assert decision
    assert (decision.variant, decision.is_sure) == ("warm", True)
    assert list(decision.figures) == ["plain", "warm"], "in the order of the automation"
    assert sum(arm["users"] for arm in decision.figures.values()) == 20_000 + len(testing)
    assert sum(arm["events"] for arm in decision.figures.values()) == 2_400
    assert decision.reason
    assert decision.reason in bench.log(execution_id)
    assert bench.log(execution_id).count(decision.reason) == 1
    variants = Counter(d["variant"] for d in bench.deliveries(execution_id))
    assert variants[None] == USERS - len(testing), "only testers count as users of a variant"


def test_whoever_opened_earlier_is_no_user_of_the_decision(bench: Bench) -> None:
    execution_id = start(bench)
    bench.work()
    report_earlier(bench, execution_id, plain=1_000, warm=1_400)
    testing = find_testers(bench.execution(execution_id), everybody())
    insert = """
        INSERT INTO first_events (user_id, texts, metric, execution_number, position, variant)
        SELECT unnest(%s::uuid[]),
               md5(concat_ws(E'\\n', automation_id, push_id, texts_digest))::uuid, 'opened', 0, 1, 1
          FROM result_pushes WHERE execution_number = 0
    """
    opened = [*sorted(testing)[:7], *sorted(everybody() - testing)[:5], UUID(int=4_711)]
    with bench.database.transaction() as connection:
        execute(connection, insert, (array_of(opened),))
    bench.now = NOON + HOUR

    decision = bench.run(execution_id).pushes[0].decision

    assert decision
    assert sum(arm["users"] for arm in decision.figures.values()) == 20_000 + len(testing) - 7


def test_the_decision_counts_by_the_batches_and_not_by_the_whole_ledger(bench: Bench) -> None:
    bench.change(limits=replace(bench.context.limits, batch_size=5))
    execution_id = start(bench)
    bench.work()
    testing = find_testers(bench.execution(execution_id), everybody())
    forget = "UPDATE deliveries SET variant = NULL WHERE batch > 2 AND variant IS NOT NULL"
    with bench.database.transaction() as connection:
        assert execute(connection, forget)
    bench.now = NOON + HOUR

    decision = bench.run(execution_id).pushes[0].decision

    assert decision
    counted = sum(arm["users"] for arm in decision.figures.values())
    assert counted in range(len(testing) - 5, len(testing) + 1), "but for the batch in hand"


def test_an_execution_whose_users_are_not_counted_yet_decides_nothing(bench: Bench) -> None:
    """Its events are counted at once, and its users when its push has ended."""
    execution_id = start(bench)
    bench.work()
    report_earlier(bench, execution_id, plain=1_000, warm=1_400, is_counted=False)
    testing = find_testers(bench.execution(execution_id), everybody())
    bench.now = NOON + HOUR

    decision = bench.run(execution_id).pushes[0].decision

    assert decision
    assert not decision.is_sure
    assert sum(arm["users"] for arm in decision.figures.values()) == len(testing)
    assert sum(arm["events"] for arm in decision.figures.values()) == 0


@pytest.mark.parametrize("is_killed", [False, True])
def test_batches_wait_until_it_is_written_that_their_push_has_begun(
    bench: Bench, *, is_killed: bool
) -> None:
    """Between the two writes of an engine, another engine finds the batches."""
    later = {**push(), "timing": {"delayAfterPrevious": 5}, "layerId": 1}
    execution_id = start(bench, pushes=[{}, later])
    bench.work()
    bench.now += SECOND
    bench.work()
    bench.now = NOON + 10 * MINUTE
    execution = bench.execution(execution_id)
    assert [p.started_at is None for p in execution.pushes] == [False, True]
    begun = start_push(bench.context, execution)

    send_batch(bench.context, BatchKey(execution_id, 2, 0))
    with bench.database.transaction() as connection:
        assert not dispatch_batches(connection, bench.now, EVER, 100)
        if not is_killed:
            save_execution(connection, execution, begun, bench.now)
    assert len(messages(bench)) == USERS, "nobody has the second push yet"
    bench.work()

    second = bench.execution(execution_id).pushes[1]
    assert second.decision
    assert second.started_at
    assert bench.funnel(execution_id, 2)["held"] in range(15, 46), "the rest waits for a winner"


def test_the_rest_gets_nothing_without_a_winner_if_it_is_asked_for(bench: Bench) -> None:
    after = {"layerId": 1, "timing": {"delayAfterPrevious": 5}}
    execution_id = start(bench, pushes=[push(whenUnsure="nobody"), after])
    bench.work()
    testing = find_testers(bench.execution(execution_id), everybody())
    bench.now = NOON + HOUR
    bench.work()

    assert {UUID(m["userId"]) for m in messages(bench)} == testing
    states = {d["user_id"]: d["state"] for d in first_deliveries(bench, execution_id)}
    assert {u for u, state in states.items() if state == "no_winner"} == everybody() - testing
    assert bench.funnel(execution_id)["noWinner"] == USERS - len(testing)
    assert bench.run(execution_id).phase is Phase.COMPLETED
    assert bench.funnel(execution_id, 2)["sent"] == USERS, "the next push goes to all"


def first_deliveries(bench: Bench, execution_id: str) -> list[dict[str, Any]]:
    return [d for d in bench.deliveries(execution_id) if d["position"] == 1]


def test_the_next_push_waits_for_the_decision(bench: Bench) -> None:
    after = {"layerId": 1, "timing": {"delayAfterPrevious": 5}}
    execution_id = start(bench, pushes=[push(), after])
    bench.work()
    due_at = bench.execution(execution_id).pushes[1].due_at
    assert due_at == NOON + HOUR + 5 * MINUTE

    bench.now = due_at - MINUTE
    bench.work()

    first, second = bench.execution(execution_id).pushes
    assert first.decision
    assert first.decision.decided_at
    assert second.started_at is None


@pytest.mark.parametrize("mode", [Mode.REAL_DRY_RUN, Mode.SIMULATION])
def test_a_run_that_delivers_nothing_waits_for_no_winner_and_says_so(
    bench: Bench, mode: Mode
) -> None:
    execution = bench.run(start(bench, mode=mode))

    assert execution.phase is Phase.COMPLETED
    assert bench.now < NOON + 10 * MINUTE
    funnel = bench.funnel(execution.id)
    assert funnel["wouldSend"] + funnel["sent"] == USERS
    assert set(funnel["variants"]) == {"plain", "warm"} or mode is Mode.REAL_DRY_RUN
    assert "Only a live send tests the variants first" in bench.log(execution.id)


def test_the_rest_waits_for_the_later_of_the_winner_and_the_own_morning(bench: Bench) -> None:
    """Noon in UTC is 21:00 in Tokyo; it is quiet there for eleven hours more."""
    bench.write_script(ZONES)
    quiet = {"start": "20:00", "end": "08:00"}
    execution_id = bench.start(
        parameters={"zones": "UTC Asia/Tokyo", "each": 30},
        settings={"quietHours": quiet, "deliverWithinMinutes": 720},
        pushes=[push()],
    )
    bench.work()
    execution = bench.execution(execution_id)
    testing = find_testers(execution, everybody())
    here = {u for u in everybody() if u.int % 2}
    assert set(sent(bench)) == testing & here
    bench.now = NOON + HOUR
    bench.work()
    assert set(sent(bench)) == here
    bench.now = NOON + 11 * HOUR

    execution = bench.run(execution_id)

    assert set(sent(bench)) == everybody()
    assert execution.phase is Phase.COMPLETED


def test_a_decision_after_the_usual_time_for_deferring_still_reaches_the_rest(bench: Bench) -> None:
    quiet = {"quietHours": {"start": "01:00", "end": "02:00"}}
    execution_id = start(bench, settings=quiet, pushes=[push(decideAfterMinutes=600)])
    bench.work()
    bench.now = NOON + 10 * HOUR

    execution = bench.run(execution_id)

    assert execution.phase is Phase.COMPLETED
    assert set(sent(bench)) == everybody()


def test_local_time_is_judged_at_the_start_and_not_at_the_decision(bench: Bench) -> None:
    """At noon in UTC the push's time is three hours ago in Moscow, and comes in New York."""
    bench.write_script(ZONES)
    execution_id = bench.start(
        parameters={"zones": "UTC Europe/Moscow America/New_York", "each": 20},
        settings={"localTime": True, "deliverWithinMinutes": 600},
        pushes=[push(decideAfterMinutes=120)],
    )
    bench.work()
    testing = find_testers(bench.execution(execution_id), everybody())
    utc, moscow, york = ({u for u in everybody() if u.int % 3 == n} for n in (1, 2, 0))
    assert set(sent(bench)) == testing & utc
    bench.now = NOON + 2 * HOUR
    bench.work()
    assert set(sent(bench)) == utc
    bench.now = NOON + 5 * HOUR

    bench.run(execution_id)

    assert set(sent(bench)) == utc | york
    states = {d["user_id"]: d["state"] for d in bench.deliveries(execution_id)}
    assert {u for u, state in states.items() if state == "local_time_passed"} == moscow


def test_whoever_got_another_push_meanwhile_is_capped_at_the_decision(bench: Bench) -> None:
    execution_id = start(bench)
    bench.work()
    testing = find_testers(bench.execution(execution_id), everybody())
    bench.now = NOON + 30 * MINUTE
    bench.run(bench.start(id="other", parameters={"users": 20}))
    bench.now = NOON + HOUR

    bench.run(execution_id)

    funnel = bench.funnel(execution_id)
    rest = {u for u in everybody() - testing if u.int <= 20}
    assert rest
    assert funnel["excluded"] == len(rest)
    assert funnel["sent"] == USERS - len(rest)


def test_a_jump_of_the_clock_decides_neither_early_nor_never(bench: Bench) -> None:
    execution_id = start(bench)
    bench.work()
    testing = find_testers(bench.execution(execution_id), everybody())
    jump = timedelta(hours=5)
    bench.now += jump
    bench.change(shift=lambda at: at + jump)

    bench.work()
    assert set(sent(bench)) == testing
    bench.now += HOUR
    bench.run(execution_id)

    assert set(sent(bench)) == everybody()


def test_two_engines_that_decide_at_once_decide_the_same_once(bench: Bench) -> None:
    bench.change(limits=replace(bench.context.limits, batch_size=10))
    execution_id = start(bench)
    bench.work()
    bench.now = NOON + HOUR
    with bench.database.transaction() as connection:
        keys = dispatch_batches(connection, bench.now, EVER, 100)
    assert len(keys) == 6

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda key: send_batch(bench.context, key), keys))
    bench.run(execution_id)

    assert set(sent(bench)) == everybody()
    assert bench.log(execution_id).count("no variant surely wins") == 1


def test_a_stop_in_the_wait_ends_it_and_a_resumed_send_keeps_its_testers(bench: Bench) -> None:
    execution_id = start(bench)
    bench.work()
    testing = find_testers(bench.execution(execution_id), everybody())
    bench.now = NOON + 30 * MINUTE
    stop_execution(bench.database, execution_id, "enough", bench.now)
    bench.now = NOON + 2 * HOUR
    bench.work()
    close_batches(bench.context)
    assert set(sent(bench)) == testing, "a stop ends the wait"

    resumed = resume_execution(bench.web, execution_id, bench.now, window=timedelta(0)).id
    bench.work()
    begun = bench.execution(resumed).pushes[0]
    assert begun.started_at
    assert begun.decision
    assert begun.decision.decides_at == begun.started_at + HOUR
    assert find_testers(bench.execution(resumed), everybody()) == testing
    assert set(sent(bench)) == testing, "none of the rest tests, and nobody gets it twice"
    bench.now = begun.decision.decides_at
    bench.run(resumed)

    assert set(sent(bench)) == everybody()


def test_a_resumed_send_keeps_the_decision_that_was_made(bench: Bench) -> None:
    bench.change(limits=replace(bench.context.limits, batch_size=10))
    execution_id = start(bench)
    bench.work()
    report_earlier(bench, execution_id, plain=1_000, warm=1_400)
    testing = find_testers(bench.execution(execution_id), everybody())
    bench.now = NOON + HOUR
    bench.work_until_sent(len(testing) + 1)
    decided = bench.execution(execution_id).pushes[0].decision
    assert decided
    assert decided.variant == "warm"
    stop_execution(bench.database, execution_id, "enough", bench.now)
    bench.now += MINUTE
    close_batches(bench.context)

    resumed = resume_execution(bench.web, execution_id, bench.now, window=timedelta(0)).id
    bench.run(resumed)

    got = sent(bench)
    assert set(got) == everybody()
    assert {got[u] for u in everybody() - testing} == {"Dear"}
    assert bench.execution(resumed).pushes[0].decision == decided


def test_an_attempt_that_ends_in_the_middle_of_the_test_keeps_testers_and_wait(
    bench: Bench,
) -> None:
    execution_id = start(bench)
    bench.work_until_sent(1)
    bench.work()
    execution = bench.execution(execution_id)

    assert set(sent(bench)) == find_testers(execution, everybody())
    bench.now = NOON + HOUR
    bench.run(execution_id)
    assert set(sent(bench)) == everybody()


def test_cadence_counts_the_rest_at_the_planned_decision_although_the_push_began_late(
    bench: Bench, cadence_database: BulkDatabase
) -> None:
    planned = NOON + 30 * MINUTE
    bench.now = planned - 10 * MINUTE
    (execution_id,) = bench.tick(daily(pushes=[push()], parameters={"users": USERS}))
    bench.work()
    bench.now = planned + 2 * MINUTE
    bench.work()
    testing = find_testers(bench.execution(execution_id), everybody())
    bench.now = planned + HOUR
    bench.work()
    assert set(sent(bench)) == testing, "the wait is a whole hour"
    bench.now = planned + HOUR + 2 * MINUTE
    bench.run(execution_id)

    with cadence_database.transaction() as connection:
        rows = connection.execute("SELECT user_id, sent_at FROM user_notifications").fetchall()
    counted = {UUID(str(user_id)): at for user_id, at in rows}
    assert counted == {u: planned if u in testing else planned + HOUR for u in everybody()}


def test_an_own_rate_holds_for_the_test_and_for_the_rest(bench: Bench) -> None:
    execution_id = start(bench, settings={"ratePerMinute": 600})
    bench.work()
    for _ in range(20):
        bench.now += 3 * SECOND
        bench.work()
    testing = find_testers(bench.execution(execution_id), everybody())
    assert set(sent(bench)) == testing
    bench.now = NOON + HOUR

    bench.work()
    assert testing < set(sent(bench)) < everybody(), "the rest goes out in turns"
    execution = bench.run(execution_id)

    assert execution.phase is Phase.COMPLETED
    assert set(sent(bench)) == everybody()
    assert execution.uncapped_reason is None


def test_an_emergency_stop_in_the_wait_ends_it(bench: Bench) -> None:
    execution_id = start(bench)
    bench.work()
    testing = find_testers(bench.execution(execution_id), everybody())

    stop_every_execution(bench.database, "enough", bench.now)
    bench.now = NOON + HOUR
    bench.work()

    assert bench.execution(execution_id).phase is Phase.CANCELLED
    assert set(sent(bench)) == testing
