"""The process for large audiences: its results, its limits, and its end."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import psutil
import pytest

from push_blaster.adapters.audiences.frozen_audiences import measure_overlap
from push_blaster.adapters.audiences.preparer import (
    ATTEMPTS,
    SMALL_BYTES,
    PreparationLostError,
    PreparationMemoryError,
    PreparationStoppedError,
    Preparer,
)
from push_blaster.adapters.audiences.progress import ignore_progress
from push_blaster.adapters.audiences.script_results import describe_output
from push_blaster.domain.audiences.preparation import Stage
from push_blaster.domain.executions.limits import Limits

LARGE = SMALL_BYTES + 1


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return write_audience(tmp_path / "output", 5_000)


def write_audience(folder: Path, rows: int) -> Path:
    folder.mkdir()
    lines = [f"{UUID(int=n + 1)},Name {n}\n" for n in range(rows)]
    (folder / "everybody.csv").write_text("user_id,first_name\n" + "".join(lines))
    return folder


def find_children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if _prepares(child)]


def _prepares(child: psutil.Process) -> bool:
    try:
        lives = child.status() != psutil.STATUS_ZOMBIE
        return lives and "push_blaster.prepare" in child.cmdline()
    except psutil.NoSuchProcess:
        return False


def wait_for_child() -> psutil.Process:
    give_up_at = time.monotonic() + 30
    while not (found := find_children()):
        assert time.monotonic() < give_up_at
        time.sleep(0.02)
    return found[0]


def is_gone(process: psutil.Process, within_s: float) -> bool:
    give_up_at = time.monotonic() + within_s
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > give_up_at:
            return False
        time.sleep(0.02)
    return True


def a_preparer(
    folder: Path, memory_mb: int = 512, should_stop: Callable[[], bool] = lambda: False
) -> Preparer:
    limits = Limits(preparation_memory_mb=memory_mb, preparation_environment={"NO_PROXY": "here"})
    return Preparer(folder, limits, should_stop, ignore_progress)


def test_small_work_stays_here_and_large_work_has_the_same_result(output: Path) -> None:
    with a_preparer(output) as preparer:
        here = preparer.run(SMALL_BYTES, describe_output, output, {})
        assert not find_children()
        apart = preparer.run(LARGE, describe_output, output, {})
        (process,) = find_children()
        again = preparer.run(LARGE, describe_output, output, {})
        assert find_children() == [process], "one process for one step"

    assert here == apart == again
    assert here[0].rows == 5_000
    assert is_gone(process, 0)


def test_the_process_sees_no_variable_of_the_engine(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CADENCE_API_TOKEN", "secret")
    with a_preparer(output) as preparer:
        preparer.run(LARGE, describe_output, output, {})
        seen = find_children()[0].environ()

    assert seen["OUTPUT_PATH"] == str(output)
    assert "CADENCE_API_TOKEN" not in seen
    assert seen["NO_PROXY"] == "here", "what its settings name"


def test_an_error_of_the_work_is_raised_here(tmp_path: Path) -> None:
    missing = tmp_path / "none.jsonl"
    with a_preparer(tmp_path) as preparer, pytest.raises(FileNotFoundError) as raised:
        preparer.run(LARGE, measure_overlap, missing, missing)

    assert raised.value.filename == str(missing)
    assert not find_children()


def test_progress_is_reported_with_the_stage(tmp_path: Path) -> None:
    output = write_audience(tmp_path / "output", 60_000)
    seen: list[tuple[Stage, int]] = []
    with Preparer(
        output, Limits(), lambda: False, lambda *progress: seen.append(progress)
    ) as preparer:
        preparer.run(LARGE, describe_output, output, {})

    assert {stage for stage, _ in seen} == {Stage.READING}
    assert seen == sorted(seen)
    assert 0 < seen[0][1] <= 60_000


def test_a_stop_ends_it_within_a_second(tmp_path: Path) -> None:
    output = write_audience(tmp_path / "output", 300_000)
    stop = threading.Event()
    with a_preparer(output, should_stop=stop.is_set) as preparer:
        work = threading.Timer(0.5, stop.set)
        work.start()
        with pytest.raises(PreparationStoppedError, match="stopped while reading"):
            preparer.run(LARGE, describe_output, output, {})
        stopped_at = time.monotonic()

    assert time.monotonic() - stopped_at < 1
    assert not find_children()


def test_too_little_memory_is_an_error_that_names_rows_and_setting(tmp_path: Path) -> None:
    frozen = tmp_path / "a.jsonl"
    with frozen.open("w") as file:
        for n in range(150_000):
            file.write(f'{{"userId": "{UUID(int=n)}", "variables": {{}}}}\n')
    with (
        a_preparer(tmp_path, memory_mb=90) as preparer,
        pytest.raises(
            PreparationMemoryError,
            match=r"than the 90 MB allowed \(PUSH_PREPARATION_MEMORY_MB\).* \d+000 rows",
        ),
    ):
        preparer.run(LARGE, measure_overlap, frozen, frozen)


def test_a_killed_process_is_started_again_and_given_up_after_three_attempts(
    tmp_path: Path,
) -> None:
    output = write_audience(tmp_path / "output", 300_000)
    killed: set[int] = set()
    over = threading.Event()

    def kill() -> None:
        while not over.is_set() and len(killed) < ATTEMPTS:
            for child in find_children():
                if child.pid not in killed:
                    child.kill()
                    killed.add(child.pid)
            time.sleep(0.01)

    killer = threading.Thread(target=kill)
    killer.start()
    with a_preparer(output) as preparer, pytest.raises(PreparationLostError) as raised:
        preparer.run(LARGE, describe_output, output, {})
    over.set()
    killer.join()

    assert len(killed) == ATTEMPTS
    assert "SIGKILL" in str(raised.value)
    assert "out of memory" in str(raised.value)


def test_a_process_that_hangs_is_ended_and_given_up_after_three_attempts(tmp_path: Path) -> None:
    output = write_audience(tmp_path / "output", 300_000)
    hung: set[psutil.Process] = set()
    over = threading.Event()

    def hang() -> None:
        while not over.is_set():
            for child in set(find_children()) - hung:
                with suppress(psutil.NoSuchProcess):  # it was ended meanwhile
                    child.suspend()
                    hung.add(child)
            time.sleep(0.01)

    hanger = threading.Thread(target=hang)
    hanger.start()
    try:
        with (
            Preparer(output, Limits(), lambda: False, ignore_progress, silent_s=2) as preparer,
            pytest.raises(PreparationLostError, match=r"no progress for 2 s .*PUSH_DATA_DIR"),
        ):
            preparer.run(LARGE, describe_output, output, {})
    finally:
        over.set()
        hanger.join()

    assert len(hung) == ATTEMPTS
    assert all(is_gone(process, 1) for process in hung)


def test_a_process_that_hangs_is_stopped_within_a_second(tmp_path: Path) -> None:
    output = write_audience(tmp_path / "output", 300_000)
    stop = threading.Event()
    hanger = threading.Thread(target=lambda: wait_for_child().suspend())
    hanger.start()
    with a_preparer(output, should_stop=stop.is_set) as preparer:
        threading.Timer(1, stop.set).start()
        with pytest.raises(PreparationStoppedError):
            preparer.run(LARGE, describe_output, output, {})
        stop.wait()
        stopped_at = time.monotonic()

    hanger.join()
    assert time.monotonic() - stopped_at < 2
    assert not find_children()


def test_one_kill_costs_nothing_but_time(tmp_path: Path) -> None:
    output = write_audience(tmp_path / "output", 100_000)
    killer = threading.Thread(target=lambda: wait_for_child().kill())
    killer.start()
    with a_preparer(output) as preparer:
        found = preparer.run(LARGE, describe_output, output, {})
    killer.join()

    assert found[0].rows == 100_000
