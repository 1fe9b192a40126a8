"""The time of a process that serves requests: the database's, from the first request on."""

import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from chassis.postgres import Database, database_now
from local_stack.embedded_postgres import EmbeddedPostgres
from tests.fakes.set_clock import make_clock

#: What a worker does before its first request, and what its clock says then.
WORKER = """
import sys
from flask import Flask
from chassis.clock import utc_now
from chassis.http.shared_time import keep_time, take_time_from
from chassis.postgres import Database

app = Flask("worker")
take_time_from(app, Database(sys.argv[1]))
keep_time(app)
print(utc_now().isoformat())
"""


def time_of_a_worker(url: str, folder: Path, ahead: timedelta) -> datetime:
    environment = make_clock(folder, "clock", ahead).environment
    started = [sys.executable, "-c", WORKER, url]
    said = subprocess.run(started, env=environment, capture_output=True, check=True, timeout=30)
    return datetime.fromisoformat(said.stdout.decode().splitlines()[-1])


@pytest.mark.parametrize("ahead", [timedelta(hours=2), timedelta(minutes=-5)])
def test_a_worker_goes_by_the_database_before_its_first_request(
    postgres: EmbeddedPostgres, tmp_path: Path, ahead: timedelta
) -> None:
    database = Database(postgres.url("postgres"))

    now = time_of_a_worker(database.url, tmp_path, ahead)

    with database.transaction() as connection:
        assert abs(database_now(connection) - now) < timedelta(seconds=30)


def test_a_database_that_is_away_stops_no_worker(tmp_path: Path) -> None:
    away = "postgresql://nobody@127.0.0.1:1/none"

    time_of_a_worker(away, tmp_path, timedelta(0))
