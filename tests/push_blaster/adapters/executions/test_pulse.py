"""The pulse of an engine: it beats whatever the engine does, and not when the engine is gone."""

import ctypes
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import psutil
import pytest

from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.adapters.executions.pulse import Pulse
from push_blaster.adapters.operations.engine_table import beat

#: An engine that does nothing but answer.
ENGINE = """
import sys, time
from push_blaster.adapters.executions.pulse import Pulse
pulse = Pulse(sys.argv[1], "here:1")
while True:
    pulse.answer([int(sys.argv[2])])
    time.sleep(0.2)
"""


def alive_at(database: Database) -> datetime:
    return ask(database, "SELECT alive_at FROM engines WHERE id = 'here:1'")


def heartbeat(database: Database, worker: int) -> datetime:
    return ask(database, "SELECT last_heartbeat FROM procrastinate_workers WHERE id = %s", worker)


def ask(database: Database, sql: str, *values: object) -> datetime:
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(sql, values)
        row = cursor.fetchone()
    assert row
    found: datetime = row[0]
    return found


def moves(look: Callable[[], datetime], within_s: float = 10) -> bool:
    first, give_up_at = look(), time.monotonic() + within_s
    while look() == first:
        if time.monotonic() > give_up_at:
            return False
        time.sleep(0.1)
    return True


@pytest.fixture
def worker(database: Database) -> int:
    """A worker of the queue, and the row of its engine."""
    with database.transaction() as connection, connection.cursor() as cursor:
        beat(connection, "here:1", utc_now(), utc_now())
        cursor.execute("INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id")
        row = cursor.fetchone()
    assert row
    return int(row[0])


@contextmanager
def running_engine(database: Database, worker: int) -> Iterator[psutil.Process]:
    command = [sys.executable, "-c", ENGINE, database.url, str(worker)]
    process = subprocess.Popen(command)
    try:
        yield psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait()


def test_engine_and_workers_show_life_while_the_interpreter_is_held(
    database: Database, worker: int
) -> None:
    pulse = Pulse(database.url, "here:1")
    pulse.answer([worker])
    assert moves(lambda: heartbeat(database, worker))
    before = alive_at(database), heartbeat(database, worker)

    ctypes.PyDLL(None).sleep(4)  # no other thread of this process runs Python meanwhile
    held_until = utc_now()

    after = alive_at(database), heartbeat(database, worker)
    pulse.end()
    assert all((held_until - sign).total_seconds() < 3 for sign in after)
    assert all(new > old for old, new in zip(before, after, strict=True))


def test_an_engine_that_stands_still_shows_no_life_until_it_goes_on(
    database: Database, worker: int
) -> None:
    with running_engine(database, worker) as engine:
        assert moves(lambda: heartbeat(database, worker))

        engine.send_signal(signal.SIGSTOP)
        time.sleep(1.5)  # for a beat that had begun
        assert not moves(lambda: alive_at(database), within_s=3)
        assert not moves(lambda: heartbeat(database, worker), within_s=0)

        engine.send_signal(signal.SIGCONT)
        assert moves(lambda: alive_at(database))


def test_the_pulse_ends_with_its_engine(database: Database, worker: int) -> None:
    with running_engine(database, worker) as engine:
        assert moves(lambda: alive_at(database))
        (pulse,) = engine.children()

        engine.kill()

        _, alive = psutil.wait_procs([pulse], timeout=5)
        assert not alive


def test_signals_that_are_meant_for_the_engine_leave_the_pulse_alone(
    database: Database, worker: int
) -> None:
    with running_engine(database, worker) as engine:
        assert moves(lambda: alive_at(database))
        (pulse,) = engine.children()

        pulse.send_signal(signal.SIGTERM)
        pulse.send_signal(signal.SIGINT)

        assert moves(lambda: alive_at(database))
        assert engine.children() == [pulse]


def test_a_pulse_that_somebody_ends_is_started_again(database: Database, worker: int) -> None:
    with running_engine(database, worker) as engine:
        assert moves(lambda: alive_at(database))
        engine.children()[0].kill()

        assert moves(lambda: alive_at(database))
        assert moves(lambda: heartbeat(database, worker))


def test_a_pulse_beats_again_when_the_database_is_back(database: Database, worker: int) -> None:
    with running_engine(database, worker):
        assert moves(lambda: alive_at(database))
        with database.transaction() as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'push-pulse' AND datname = current_database()"
            )
            assert cursor.rowcount == 1

        assert moves(lambda: alive_at(database))


def test_a_lock_on_the_row_of_the_engine_does_not_silence_its_workers(
    database: Database, worker: int
) -> None:
    with running_engine(database, worker), database.transaction() as forgotten:
        with forgotten.cursor() as cursor:
            cursor.execute("SELECT FROM engines WHERE id = 'here:1' FOR UPDATE")

        assert moves(lambda: heartbeat(database, worker))
        assert moves(lambda: heartbeat(database, worker))
