"""A stopped live send is resumed only on request, and skips users who got the message."""

from datetime import timedelta

import pytest

from push_blaster.adapters.engagement.receipt_keys import select_receipt_keys
from push_blaster.domain.automations.experiment import Variant, choose_variant
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.executions.resume_execution import CannotResumeError
from push_blaster.use_cases.executions.start_execution import AlreadyRunningError
from push_blaster.use_cases.executions.stop_execution import stop_execution
from tests.push_blaster.bench import Bench, messages
from tests.push_blaster.use_cases.executions.resuming import (
    note_restore,
    resume,
    sent,
    stop,
    stopped_half_way,
)


def test_whoever_was_not_sent_to_is_reached_and_nobody_twice(bench: Bench) -> None:
    first = stopped_half_way(bench)
    before = sum(sent(bench).values())

    second = bench.run(resume(bench, first))

    assert 0 < before < 100
    assert second.phase is Phase.COMPLETED
    assert set(sent(bench).values()) == {1}
    assert len(sent(bench)) == 100
    funnel = bench.funnel(second.id)
    assert (funnel["sentBefore"], funnel["sent"]) == (before, 100 - before)


def test_a_resumed_send_keeps_the_variants_and_has_a_number_of_its_own(bench: Bench) -> None:
    variants = [{"id": "a", "title": "A"}, {"id": "b", "title": "B"}]
    first = bench.start(parameters={"users": 100}, pushes=[{"variants": variants}])
    bench.work_until_sent(33)
    stop(bench, first)

    second = bench.run(resume(bench, first))

    with bench.database.transaction() as connection:
        keys = select_receipt_keys(connection, bench.now)
    receipts = [keys.read(message["data"]["receipt"]) for message in messages(bench)]
    of_first, of_second = (
        {r.user_id for r in receipts if r.execution_number == number}
        for number in (bench.execution(first).number, second.number)
    )
    assert (len(of_first) + len(of_second), of_first & of_second) == (100, set())
    drawn = (Variant(id="a"), Variant(id="b"))
    push_id, automation_id = second.automation.pushes[0].id, second.automation.id
    assert all(
        choose_variant(drawn, automation_id, push_id, r.user_id) is drawn[r.variant - 1]
        for r in receipts
    )


def test_it_sends_what_was_to_be_sent_then_without_asking_the_script_again(bench: Bench) -> None:
    first = stopped_half_way(bench)
    bench.write_script("raise SystemExit('the warehouse is away')")

    second = bench.run(resume(bench, first))

    assert second.phase is Phase.COMPLETED
    assert second.automation == bench.execution(first).automation
    hashes = [e.pushes[0].audience.sha256 for e in (bench.execution(first), second)]  # type: ignore[union-attr]  # both have one
    assert hashes[0] == hashes[1]


def test_a_second_stop_is_gone_on_with_as_well(bench: Bench) -> None:
    first = stopped_half_way(bench)
    second = resume(bench, first)
    bench.work_until_sent(sum(sent(bench).values()) + 30)
    stop(bench, second)

    third = bench.run(resume(bench, second))

    assert third.phase is Phase.COMPLETED
    assert set(sent(bench).values()) == {1}
    assert len(sent(bench)) == 100


def test_nothing_resumes_by_itself_and_a_key_resumes_once(bench: Bench) -> None:
    first = stopped_half_way(bench)
    before = sum(sent(bench).values())
    bench.work()
    assert sum(sent(bench).values()) == before

    once = resume(bench, first, "again")

    assert resume(bench, first, "again") == once
    with pytest.raises(AlreadyRunningError):
        resume(bench, first, "another")


def test_what_is_still_being_wound_up_is_waited_for(bench: Bench) -> None:
    execution_id = bench.start(parameters={"users": 100})
    bench.work_until_sent(30)
    stop_execution(bench.database, execution_id, "Wrong hour", bench.now)

    with pytest.raises(CannotResumeError, match="try again in a moment"):
        resume(bench, execution_id)


def test_what_has_completed_or_never_began_is_not_resumed(bench: Bench) -> None:
    completed = bench.run(bench.start()).id
    waiting = bench.start(settings={"cancellationWindowMinutes": 30})
    bench.work()
    stop(bench, waiting)

    for execution_id in (completed, waiting):
        with pytest.raises(CannotResumeError, match="Start the automation again"):
            resume(bench, execution_id)


def test_an_execution_from_a_backup_is_resumed_only_by_an_explicit_yes(bench: Bench) -> None:
    first = stopped_half_way(bench)
    note_restore(bench)

    with pytest.raises(CannotResumeError, match="send evenIfRestored: true"):
        resume(bench, first)
    second = resume(bench, first, even_if_restored=True)
    bench.work_until_sent(sum(sent(bench).values()) + 30)
    stop(bench, second)
    third = bench.run(resume(bench, second))

    assert bench.execution(first).restored_at
    assert third.restored_at is None
    assert third.phase is Phase.COMPLETED
    assert set(sent(bench).values()) == {1}


def test_what_came_back_with_two_backups_was_restored_by_the_first(bench: Bench) -> None:
    first = stopped_half_way(bench)
    note_restore(bench)
    restored_at = bench.execution(first).restored_at
    bench.now += timedelta(days=1)
    note_restore(bench)

    assert bench.execution(first).restored_at == restored_at


def test_an_audience_that_is_gone_ends_in_a_clear_message(bench: Bench) -> None:
    first = stopped_half_way(bench)
    audience = bench.execution(first).pushes[0].audience
    assert audience
    (bench.folder / audience.file).unlink()

    second = bench.run(resume(bench, first))

    assert second.phase is Phase.FAILED
    assert "is gone; the execution cannot be resumed" in (second.reason or "")
