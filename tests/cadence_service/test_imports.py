"""Imports that are undone, killed or kept waiting, on two replicas."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import requests

from cadence_service.adapters.import_table import may_import
from chassis.clock import utc_now
from chassis.postgres import BulkDatabase
from chassis.rows import execute, fetch_value
from tests.cadence_service.replicas import call, running_replicas, spread_users

HEADER = "user_id,layer_id,push_title,sent_at"
SENT_AT = (utc_now() - timedelta(days=1)).isoformat()
#: What another process does that is killed in the middle of an import.
DIES = """
import sys
from chassis.clock import utc_now
from chassis.postgres import BulkDatabase
from cadence_service.adapters.import_table import (
    ImportSource,
    insert_import,
    save_progress,
    take_import_id,
)

database = BulkDatabase(sys.argv[1])
with database.transaction() as connection:
    import_id = take_import_id(connection)
    with database.transaction() as another:
        source = ImportSource(kind="restore", file_name="killed.csv")
        insert_import(another, import_id, source, utc_now())
        save_progress(another, import_id, 5_000)
    print("runs", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def replicas(cadence_database: BulkDatabase) -> Iterator[list[str]]:
    with running_replicas(cadence_database.url, 2) as urls:
        yield urls


def restore(url: str, rows: int, sent_at: str = SENT_AT) -> requests.Response:
    lines = [HEADER, *(f"{user},3,T,{sent_at}" for user in spread_users(rows))]
    file = ("history.csv", "\n".join(lines).encode())
    return call("POST", f"{url}/restore-historical-data", files={"file": file})


def newest(url: str) -> dict[str, Any]:
    imports: list[dict[str, Any]] = call("GET", f"{url}/imports").json()["imports"]
    return imports[0] if imports else {"state": "none", "totalRows": 0}


def wait_until(is_so: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < give_up_at
        time.sleep(0.02)


def count(database: BulkDatabase) -> int:
    with database.transaction() as connection:
        rows: int = fetch_value(connection, "SELECT count(*) FROM user_notifications")
        return rows


def test_an_import_that_is_undone_while_it_runs_keeps_nothing(
    replicas: list[str], cadence_database: BulkDatabase
) -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(restore, replicas[0], 40_000)
        wait_until(lambda: newest(replicas[1])["totalRows"] > 0)

        undone = call("DELETE", f"{replicas[1]}/imports/{newest(replicas[1])['id']}")
        refused = running.result()

    assert (undone.status_code, undone.json()) == (200, {"removed": 0})
    assert (refused.status_code, refused.json()["title"]) == (409, "Import undone")
    assert newest(replicas[1])["state"] == "undone"
    assert count(cadence_database) == 0


def test_an_import_whose_process_was_killed_has_failed(
    replicas: list[str], cadence_database: BulkDatabase
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", DIES, cadence_database.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"runs\n"
    assert newest(replicas[0])["state"] == "running"

    process.kill()
    process.communicate()

    wait_until(lambda: newest(replicas[0])["state"] == "failed")
    assert "nothing of it was kept" in newest(replicas[1])["reason"]
    assert restore(replicas[0], 10).status_code == 200


def test_an_import_waits_for_another_one_and_the_next_are_sent_away(
    replicas: list[str], cadence_database: BulkDatabase
) -> None:
    with ThreadPoolExecutor(3) as pool:
        with cadence_database.transaction() as connection:
            assert may_import(connection)
            waiting = [pool.submit(restore, replicas[0], 10 + number) for number in range(2)]
            wait_until(lambda: newest(replicas[1])["state"] == "queued")
            time.sleep(0.5)
            away = restore(replicas[0], 10)
            assert not any(future.done() for future in waiting)
        answers = [future.result() for future in waiting]

    assert (away.status_code, away.headers["Retry-After"]) == (503, "60")
    assert [answer.status_code for answer in answers] == [200, 200]
    assert count(cadence_database) == 20, "the first user is in both"


def test_one_that_waits_can_be_undone(replicas: list[str], cadence_database: BulkDatabase) -> None:
    with ThreadPoolExecutor(1) as pool, cadence_database.transaction() as connection:
        assert may_import(connection)
        waiting = pool.submit(restore, replicas[0], 10)
        wait_until(lambda: newest(replicas[1])["state"] == "queued")
        call("DELETE", f"{replicas[1]}/imports/{newest(replicas[1])['id']}")

        assert waiting.result().status_code == 409
    assert count(cadence_database) == 0


def test_an_import_of_an_older_version_that_was_killed_has_failed(
    replicas: list[str], cadence_database: BulkDatabase
) -> None:
    with cadence_database.transaction() as connection:
        execute(
            connection,
            "INSERT INTO imports (kind, file_name, state, started_at)"
            " VALUES ('restore', 'old.csv', 'running', now())",
        )

    assert newest(replicas[0])["state"] == "failed"


def test_a_send_in_the_future_is_no_history(replicas: list[str]) -> None:
    later = (utc_now() + timedelta(minutes=5)).isoformat()

    details = restore(replicas[0], 2, later).json()["details"]
    form = {
        "layerId": "3",
        "pushTitle": "T",
        "audienceDescription": "A",
        "sentAt": "2200-01-01T00:00:00Z",
    }
    file = {"audienceFile": ("a.csv", b"user_id\n")}
    converted = call("POST", f"{replicas[0]}/convert-audience-to-history", data=form, files=file)

    assert details["insertedRows"] == 0
    assert "is not between 1970 and now" in details["errors"][0]
    assert converted.status_code == 400
    assert "sentAt: Lies in the future" in converted.json()["error"]
