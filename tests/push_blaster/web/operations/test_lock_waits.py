"""A table that somebody has locked: health and metrics say that statements stand still."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from chassis import schema_changes
from chassis.postgres import BulkDatabase, Database
from chassis.rows import execute, fetch_value
from tests.cadence_service.settings import CADENCE_TOKEN


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema_changes, "STANDS_STILL", timedelta(milliseconds=200))


@contextmanager
def standing_still(database: Database | BulkDatabase, table: str) -> Iterator[int]:
    """Let a statement wait for whoever has locked `table`; yield the process that has."""
    holder, waiter = database.connect(), database.connect()
    execute(holder, f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
    waiting = threading.Thread(target=fetch_value, args=(waiter, f"SELECT count(*) FROM {table}"))  # noqa: S608
    waiting.start()
    try:
        time.sleep(0.5)  # longer than a statement may wait here before it is told of
        yield fetch_value(holder, "SELECT pg_backend_pid()")
    finally:
        holder.close()
        waiting.join(20)
        waiter.close()


def figure(client: FlaskClient) -> float:
    found = re.search(
        r"^push_lock_wait_seconds ([\d.]+)", client.get("/metrics").text, re.MULTILINE
    )
    assert found
    return float(found[1])


@pytest.mark.parametrize("table", ["deliveries", "send_batches", "executions"])
def test_health_names_the_process_behind_which_sends_stand_still(
    client: FlaskClient, database: Database, table: str
) -> None:
    with standing_still(database, table) as process:
        body: dict[str, Any] = client.get("/api/health").get_json()
        longest = figure(client)
    after: dict[str, Any] = client.get("/api/health").get_json()

    (said,) = [problem for problem in body["problems"] if problem.startswith("locks: ")]
    assert "statements that wait for a lock: 1, " in said
    assert f"process {process} of the database holds the lock" in said
    assert longest > 0.2
    assert "locks" not in " ".join(after["problems"])
    assert figure(client) == 0


def test_cadence_says_it_too_and_stays_in_service(
    cadence: FlaskClient, cadence_database: BulkDatabase
) -> None:
    cadence.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {CADENCE_TOKEN}"

    with standing_still(cadence_database, "user_notifications") as process:
        answer = cadence.get("/health")

    assert answer.status_code == 200
    assert f"process {process} of the database" in answer.get_json()["remarks"][0]
    assert cadence.get("/health").get_json()["remarks"] == []


def test_a_transaction_that_nobody_waits_for_is_no_problem(
    client: FlaskClient, database: Database
) -> None:
    holder = database.connect()
    execute(holder, "LOCK TABLE violations IN ACCESS EXCLUSIVE MODE")

    longest = figure(client)

    holder.close()
    assert longest == 0
