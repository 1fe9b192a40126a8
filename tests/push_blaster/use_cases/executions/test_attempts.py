"""A step that begins again: it is told and counted, and nothing of the first attempt is left."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from chassis.clock import utc_now
from push_blaster.adapters.audiences.script_run_table import insert_run, select_runs
from push_blaster.adapters.executions.execution_table import begin_attempt, take_execution
from push_blaster.adapters.operations.engine_table import beat
from push_blaster.adapters.operations.operation_view import count_repeated_steps
from push_blaster.domain.audiences.script_run import RunRecord, RunState
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.executions.advance_execution import advance_execution
from tests.builders import NOON
from tests.push_blaster.bench import Bench, messages
from tests.scripts import SCRIPT


@pytest.fixture(autouse=True)
def script(bench: Bench) -> None:
    bench.write_script(SCRIPT)


def start(bench: Bench) -> str:
    """Return an execution whose next step generates its audience."""
    execution_id = bench.start()
    assert advance_execution(bench.context, execution_id)
    assert bench.execution(execution_id).phase is Phase.AUDIENCE_GENERATION
    return execution_id


def lose_an_attempt(bench: Bench, execution_id: str, engine_id: str) -> Path:
    """Begin a step as an engine that is killed then; return the folder of its attempt."""
    with bench.database.transaction() as connection:
        execution = take_execution(connection, execution_id)
        assert execution
        begin_attempt(connection, execution, engine_id)
    return bench.folder / "executions" / execution_id / f"attempt-{execution.fence}"


def repeated(bench: Bench) -> int:
    with bench.database.transaction() as connection:
        return count_repeated_steps(connection, NOON)


@contextmanager
def an_orphan(output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process in a session of its own that works for the folder, and ignores SIGTERM."""
    ignore = "import signal, time; signal.signal(15, signal.SIG_IGN); print('on'); time.sleep(60)"
    process = subprocess.Popen(
        [sys.executable, "-uc", ignore],
        env={"OUTPUT_PATH": str(output)},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout
    process.stdout.readline()
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_first_attempt_is_told_to_nobody(bench: Bench) -> None:
    execution = bench.run(start(bench))

    assert (execution.attempt, execution.repeated_steps) == (0, 0)
    assert "Attempt" not in bench.log(execution.id)
    assert repeated(bench) == 0


def test_an_attempt_whose_engine_is_gone_is_told_and_counted(bench: Bench) -> None:
    execution_id = start(bench)
    lose_an_attempt(bench, execution_id, "gone:1")
    lose_an_attempt(bench, execution_id, "gone:2")

    execution = bench.run(execution_id)

    assert execution.phase is Phase.COMPLETED
    assert (execution.attempt, execution.repeated_steps) == (0, 2)
    told = "Attempt 3 of the step generate_audience: the engine that ran attempt 2 is gone (gone:2)"
    assert told in bench.log(execution_id)
    assert repeated(bench) == 2
    assert len(messages(bench)) == 10


def test_an_attempt_that_its_living_engine_gave_up_is_told_as_interrupted(bench: Bench) -> None:
    execution_id = start(bench)
    lose_an_attempt(bench, execution_id, "here:1")
    with bench.database.transaction() as connection:
        beat(connection, "here:1", utc_now(), utc_now())

    advance_execution(bench.context, execution_id)

    assert "attempt 1 was interrupted (here:1)." in bench.log(execution_id)


def test_a_look_that_finds_no_step_is_no_attempt(bench: Bench) -> None:
    execution_id = bench.start(settings={"cancellationWindowMinutes": 30})
    bench.work()
    assert bench.execution(execution_id).phase is Phase.CANCELLATION_WINDOW

    for _ in range(3):
        assert not advance_execution(bench.context, execution_id)

    assert bench.execution(execution_id).attempt == 0


def test_a_crash_that_is_tried_again_is_told_with_its_error(bench: Bench) -> None:
    execution_id = start(bench)
    (bench.folder / "executions" / execution_id).mkdir(parents=True)
    (bench.folder / "executions" / execution_id).chmod(0o700)
    fence = bench.execution(execution_id).fence + 1
    (bench.folder / "executions" / execution_id / f"attempt-{fence}").write_text("in the way")

    advance_execution(bench.context, execution_id)

    assert "The step generate_audience failed, and begins again: " in bench.log(execution_id)
    assert bench.run(execution_id).phase is Phase.COMPLETED


def test_processes_and_files_of_the_first_attempt_are_gone_before_the_second_begins(
    bench: Bench,
) -> None:
    execution_id = start(bench)
    attempt = lose_an_attempt(bench, execution_id, "gone:1")
    (attempt / "output").mkdir(parents=True)
    (attempt / "output" / "half.csv").write_text("user_id\n")
    run = a_run(bench, execution_id)
    workplace = bench.folder / "running" / str(run)
    workplace.mkdir(parents=True)
    bench.write_script(f"assert not __import__('os').path.exists('{attempt}')\n{SCRIPT}")

    with (
        an_orphan(attempt / "output") as preparing,
        an_orphan(workplace) as script,
        an_orphan(bench.folder / "running" / str(uuid4())) as another,
    ):
        advance_execution(bench.context, execution_id)
        assert [process.poll() for process in (preparing, script)] == [-9, -9]
        assert another.poll() is None

    assert not attempt.exists()
    assert not workplace.exists()
    assert state_of(bench, run) is RunState.FAILED
    assert "2 processes of an earlier attempt still ran here; they were ended." in bench.log(
        execution_id
    )
    assert bench.execution(execution_id).phase is not Phase.FAILED


def a_run(bench: Bench, execution_id: str) -> UUID:
    run = RunRecord(
        id=uuid4(),
        script_id="users",
        execution_id=execution_id,
        is_trial=False,
        parameters={},
        folder="",
        state=RunState.RUNNING,
        asked_at=utc_now(),
        started_at=utc_now(),
        engine_id="gone:1",
    )
    with bench.database.transaction() as connection:
        insert_run(connection, run)
    return run.id


def state_of(bench: Bench, run_id: UUID) -> RunState:
    with bench.database.transaction() as connection:
        found = {run.id: run.state for run in select_runs(connection, "users", None, 10)}
    return found[run_id]


def test_nothing_is_ended_of_an_execution_that_has_one_attempt(bench: Bench) -> None:
    begun_at = time.monotonic()
    with an_orphan(bench.folder / "running" / str(uuid4())) as another:
        bench.run(start(bench))
        assert another.poll() is None

    assert time.monotonic() - begun_at < 60
    assert not list((bench.folder / "running").iterdir())
