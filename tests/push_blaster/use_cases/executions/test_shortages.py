"""An engine that is short of room, descriptors or processes waits, says so, and loses nothing."""

import errno
import os
import resource
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from chassis.rows import fetch_values
from push_blaster.adapters.operations.shortages import check_room, find_shortage, free_bytes
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.context import StepFailedError
from tests.programs import or_not_run
from tests.push_blaster.bench import Bench, daily, messages, violations
from tests.push_blaster.descriptors import few_descriptors

MB = 1024 * 1024
LATER = timedelta(minutes=1)
#: Writes more than the small disk has room for.
GREEDY = """
import os
with open(os.path.join(os.environ["OUTPUT_PATH"], "all.csv"), "w") as f:
    f.write("user_id,device_token\\n")
    f.write("00000000-0000-0000-0000-000000000001,t\\n" * 300_000)
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB of its own."""
    folder = tmp_path / "small disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m,mode=755", "tmpfs", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(command, check=False).returncode == 0
    or_not_run("mounted" if mounted else None, "a small file system", "REQUIRE_TMPFS")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def small(bench: Bench, disk: Path) -> Bench:
    """The bench with its data folder on the small disk."""
    bench.change(data_folder=disk, limits=replace(bench.context.limits, min_free_mb=1))
    return bench


def fill(disk: Path, but_for: int = 0) -> Path:
    """Fill the disk but for so many bytes; return the file that does it."""
    path = disk / "filling"
    path.write_bytes(b"x" * max(0, free_bytes(disk) - but_for))
    return path


def test_an_execution_waits_for_room_and_begins_nothing(small: Bench, client: FlaskClient) -> None:
    filling = fill(small.context.data_folder, but_for=MB // 2)
    execution_id = small.start()
    small.work()

    waiting = small.execution(execution_id)
    assert waiting.phase is Phase.WAITING
    assert waiting.waits_for
    assert "PUSH_MIN_FREE_MB" in waiting.waits_for
    assert violations(small) == [("out_of_resources", "warning")]
    assert "Waits." in client.get(f"/executions/{execution_id}").text
    problems = " ".join(client.get("/api/health").get_json()["problems"])
    assert f"waiting: {execution_id}: The disk of the data folder" in problems
    assert "push_executions_waiting 1.0" in client.get("/metrics").text

    filling.unlink()
    small.now += LATER
    assert small.run(execution_id).phase is Phase.COMPLETED
    assert small.execution(execution_id).waits_for is None
    assert _messages_of_users(small) == [1] * 10


def test_a_script_that_fills_the_disk_is_not_blamed(small: Bench) -> None:
    small.write_script(GREEDY)
    execution_id = small.start()
    small.work()

    waiting = small.execution(execution_id)
    assert waiting.phase is Phase.AUDIENCE_GENERATION
    assert waiting.waits_for == "The disk of the data folder (PUSH_DATA_DIR) is full; make room."


@pytest.mark.parametrize("last_words", ["kaput", "Kein Speicherplatz mehr", ""])
def test_a_full_disk_is_known_whatever_the_script_says(small: Bench, last_words: str) -> None:
    ending = f"sys.exit({last_words!r} or 3)"
    small.write_script(f"import sys\ntry:\n    exec({GREEDY!r})\nexcept OSError:\n    {ending}")
    execution_id = small.start()
    small.work()

    assert "is full" in (small.execution(execution_id).waits_for or "")


@pytest.mark.parametrize(
    "last_words",
    [
        os.strerror(errno.ENOSPC),
        f"OSError: [Errno 28] {os.strerror(errno.ENOSPC)}: '/mnt/warehouse/cache'",
        f"[Errno 24] {os.strerror(errno.EMFILE)}",
        f"[Errno 12] {os.strerror(errno.ENOMEM)}",
    ],
)
def test_the_words_of_a_script_are_no_shortage_of_its_engine(bench: Bench, last_words: str) -> None:
    bench.write_script(f"import sys\nsys.exit({last_words!r})")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 1_000), hard))
    try:
        ended = bench.run(bench.start())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert ended.phase is Phase.FAILED
    assert last_words in (ended.reason or "")
    assert violations(bench) == []


@pytest.mark.parametrize(
    ("schedule", "limit"),
    [
        ({}, timedelta(minutes=30)),
        ({"graceMinutes": 5}, timedelta(minutes=5)),
        ({"graceMinutes": 0}, timedelta(seconds=30)),
        ({"missedRunPolicy": "skip"}, timedelta(seconds=30)),
    ],
    ids=["as usual", "five minutes", "no grace", "never late"],
)
def test_a_wait_ends_when_a_slot_that_no_engine_opened_would_be_missed(
    bench: Bench, client: FlaskClient, schedule: dict[str, Any], limit: timedelta
) -> None:
    document = daily(schedule=schedule)
    bench.tick(document)
    bench.now += timedelta(minutes=21)
    (execution_id,) = bench.tick(document)
    until = bench.execution(execution_id).slot + limit

    with few_descriptors(10):
        bench.work()
        bench.now = until
        bench.work()
        assert bench.execution(execution_id).waits_for
        bench.now = until + timedelta(seconds=16)
        bench.work()
    ended = bench.run(execution_id)

    assert ended.phase is Phase.FAILED
    assert ended.waits_for is None
    assert f"waited until {until:%Y-%m-%d %H:%M:%S} UTC" in (ended.reason or "")
    assert "graceMinutes" in (ended.reason or "")
    assert "LimitNOFILE" in (ended.reason or "")
    assert "LimitNOFILE" in client.get(f"/executions/{execution_id}").text
    assert _alerts(bench) == ["failure"]
    assert messages(bench) == []


def test_what_waits_in_time_still_goes_out(bench: Bench) -> None:
    document = daily()
    bench.tick(document)
    bench.now += timedelta(minutes=21)
    (execution_id,) = bench.tick(document)

    with few_descriptors(10):
        bench.work()
        bench.now = bench.execution(execution_id).slot + timedelta(minutes=29)
        bench.work()
    bench.now += timedelta(seconds=16)

    assert bench.run(execution_id).phase is Phase.COMPLETED
    assert _alerts(bench) == ["completion"]


def test_a_later_push_that_waits_too_long_is_not_sent(bench: Bench) -> None:
    pushes = [{}, {"timing": {"delayAfterPrevious": 60}}]
    execution_id = bench.start(pushes=pushes, schedule={**daily()["schedule"], "graceMinutes": 10})
    bench.work()
    due_at = bench.execution(execution_id).pushes[1].due_at
    while due_at is None or bench.execution(execution_id).pushes[0].ended_at is None:
        bench.now += timedelta(seconds=1)
        bench.work()
        due_at = bench.execution(execution_id).pushes[1].due_at

    with few_descriptors(0):
        for bench.now in (due_at, due_at + timedelta(minutes=10, seconds=1)):
            bench.work()
    ended = bench.execution(execution_id)

    assert ended.phase is Phase.FAILED
    assert "graceMinutes" in (ended.reason or "")
    assert _messages_of_users(bench) == [1] * 10


def test_a_disk_that_is_full_in_preparation_makes_it_wait(small: Bench) -> None:
    small.change(limits=replace(small.context.limits, min_free_mb=0))
    execution_id = small.start()
    filling = fill(small.context.data_folder)
    small.work()
    assert small.execution(execution_id).waits_for

    filling.unlink()
    small.now += LATER
    assert small.run(execution_id).phase is Phase.COMPLETED
    assert _messages_of_users(small) == [1] * 10


def test_a_disk_that_is_full_in_mid_send_costs_and_doubles_no_message(small: Bench) -> None:
    execution_id = small.start(parameters={"users": 60})
    small.work_until_sent(25)
    fill(small.context.data_folder)

    assert small.run(execution_id).phase is Phase.COMPLETED
    assert _messages_of_users(small) == [1] * 60
    assert small.funnel(execution_id)["inDoubt"] == 0


def test_an_engine_with_few_descriptors_blames_no_script(bench: Bench) -> None:
    execution_id = bench.start()

    with few_descriptors(10):
        bench.work()
    waiting = bench.execution(execution_id)
    bench.now += LATER

    assert waiting.waits_for
    assert "LimitNOFILE" in waiting.waits_for
    assert bench.run(execution_id).phase is Phase.COMPLETED


@pytest.mark.parametrize(
    ("number", "fix"),
    [
        (errno.ENOSPC, "make room"),
        (errno.EDQUOT, "quota"),
        (errno.EMFILE, "LimitNOFILE"),
        (errno.ENFILE, "fs.file-max"),
        (errno.EAGAIN, "TasksMax"),
        (errno.ENOMEM, "memory"),
    ],
)
def test_each_shortage_names_its_fix_wherever_it_came_from(number: int, fix: str) -> None:
    failure = StepFailedError("It failed.")
    failure.__cause__ = RuntimeError("deeper")
    failure.__cause__.__cause__ = OSError(number, os.strerror(number))

    assert fix in (find_shortage(failure) or "")
    assert find_shortage(FileNotFoundError(errno.ENOENT, "gone")) is None


def test_room_is_measured_where_the_data_lies(disk: Path) -> None:
    check_room(disk, 4)
    fill(disk, but_for=2 * MB)

    with pytest.raises(Exception, match="has 2 MB left, less than the 4 MB that it needs"):
        check_room(disk, 4)


def _alerts(bench: Bench) -> list[str]:
    with bench.database.transaction() as connection:
        return fetch_values(connection, "SELECT event FROM alerts WHERE event <> 'start'", {})


def _messages_of_users(bench: Bench) -> list[int]:
    return list(Counter(message["userId"] for message in messages(bench)).values())
