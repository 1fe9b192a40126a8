"""After the clock of the database was set back, nothing waits until it has caught up."""

from datetime import timedelta

from push_blaster.adapters.executions.execution_table import dispatch_executions
from push_blaster.adapters.executions.future_stamps import forget_future
from push_blaster.domain.executions.phase import Phase
from tests.builders import NOON
from tests.push_blaster.bench import Bench, daily

BACK = timedelta(hours=2)
AGAIN = timedelta(seconds=5)


def dispatch(bench: Bench) -> list[str]:
    with bench.database.transaction() as connection:
        forget_future(connection, bench.now)
        return dispatch_executions(connection, bench.now, bench.now - AGAIN)


def test_a_step_in_work_is_dispatched_again(bench: Bench) -> None:
    execution_id = bench.start()
    bench.work_until_sent(3)
    assert bench.execution(execution_id).phase is Phase.LIVE_EXECUTION
    bench.now -= BACK

    assert dispatch(bench) == [execution_id]
    assert bench.run(execution_id).phase is Phase.COMPLETED


def test_a_planned_instant_stays(bench: Bench) -> None:
    (execution_id,) = bench.tick(daily(schedule={"executionTime": "12:05"}))
    bench.work()
    assert bench.execution(execution_id).phase is Phase.CANCELLATION_WINDOW
    bench.now -= BACK

    assert dispatch(bench) == []
    assert bench.execution(execution_id).due_at == NOON + timedelta(minutes=5)


def test_without_a_jump_nothing_is_forgotten(bench: Bench) -> None:
    bench.start()
    with bench.database.transaction() as connection:
        dispatch_executions(connection, bench.now, bench.now - AGAIN)

    assert dispatch(bench) == []
