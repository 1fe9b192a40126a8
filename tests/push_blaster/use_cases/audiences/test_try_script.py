"""Runs of scripts: trials that send nothing, and the history of every run."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask.testing import FlaskClient

from chassis.clock import utc_now
from chassis.rows import execute
from push_blaster.adapters.audiences.script_run_table import (
    dispatch_trials,
    is_run_stopped,
    select_runs,
)
from push_blaster.adapters.operations.engine_table import beat
from push_blaster.app import create_app
from push_blaster.domain.executions.limits import Limits, ScriptLimits
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.audiences.try_script import run_trial, tidy_runs
from push_blaster.use_cases.executions.advance_execution import advance_execution
from push_blaster.use_cases.executions.stop_execution import stop_execution
from push_blaster.web.audiences import script_runs
from tests.push_blaster.bench import EVER, Bench
from tests.push_blaster.settings import settings_for
from tests.scripts import HANGING, SCRIPT

TEST_ROWS = """
with open(os.path.join(os.environ["OUTPUT_PATH"], "everybody_TEST.csv"), "w") as f:
    f.write("user_id\\nnobody\\n")
"""


@pytest.fixture
def client(bench: Bench, push_url: str, tmp_path: Path) -> FlaskClient:
    """An operator, at the time of the clock, with an engine at work."""
    bench.change(clock=utc_now)
    with bench.database.transaction() as connection:
        beat(connection, "here:1", utc_now(), utc_now())
    client = create_app(settings_for(push_url, tmp_path)).test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = "Bearer operator"
    return client


def ask(client: FlaskClient, status: int = 202, **body: Any) -> dict[str, Any]:
    response = client.post("/api/scripts/users/run", json=body)
    assert response.status_code == status, response.text
    answer: dict[str, Any] = response.get_json()
    return answer


def work(bench: Bench) -> int:
    """Run every trial that waits, as an engine does; return how many there were."""
    with bench.database.transaction() as connection:
        waiting = dispatch_trials(connection, utc_now(), EVER)
    for run_id in waiting:
        run_trial(bench.context, UUID(run_id))
    return len(waiting)


def working(bench: Bench) -> threading.Thread:
    """Let an engine work in a thread for as long as the test looks at it."""

    def look() -> None:
        give_up_at = time.monotonic() + 20
        while not work(bench) and time.monotonic() < give_up_at:
            time.sleep(0.05)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    return thread


def read(client: FlaskClient, run_id: str, path: str = "") -> dict[str, Any]:
    response = client.get(f"/api/scripts/users/runs/{run_id}{path}")
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.get_json()
    return answer


def test_a_trial_tells_the_audiences_that_it_wrote_and_sends_nothing(
    bench: Bench, client: FlaskClient
) -> None:
    bench.write_script(SCRIPT + TEST_ROWS)
    asked = ask(client, parameters={"first": 7, "users": 5, "audiences": "a b"})
    assert (asked["state"], asked["isTrial"], asked["parameters"]["first"]) == (
        "waiting",
        True,
        "7",
    )

    assert work(bench) == 1
    assert work(bench) == 0

    run = read(client, asked["id"])
    assert (run["state"], run["exitCode"], run["signal"]) == ("succeeded", 0, None)
    a, b, test = run["audiences"]
    assert (a["name"], a["rows"], a["valid"]) == ("a", 5, 5)
    assert (b["file"], b["columns"]) == ("b.csv", ["first_name", "device_token"])
    assert a["sample"] == [
        {"userId": str(UUID(int=n)), "first_name": f"Name {n}", "device_token": f"token-{n}"}
        for n in (7, 8, 9)
    ]
    assert (test["isTest"], test["rows"], test["valid"], test["sample"]) == (True, 1, 0, [])
    assert [e["message"] for e in read(client, asked["id"], "/log")["entries"]] == ["wrote 5"]
    assert not (bench.folder / "messages.jsonl").exists()


def test_the_originals_post_waits_for_the_end(bench: Bench, client: FlaskClient) -> None:
    bench.write_script(SCRIPT + TEST_ROWS)
    engine = working(bench)

    body = {"scriptId": "users", "parameters": {"first": 1, "users": 4}, "executionId": "e-1"}
    response = client.post("/api/scripts", json=body)

    engine.join()
    assert response.status_code == 200, response.text
    data = response.get_json()["data"]
    assert data["audienceSize"] == 4
    assert (bench.folder / data["csvPath"]).read_text().count("\n") == 5
    assert data["executionTime"] > 0


def test_the_originals_post_tells_what_a_failed_script_said(
    bench: Bench, client: FlaskClient
) -> None:
    bench.write_script("import sys\nprint('out')\nsys.exit('no database')")
    engine = working(bench)

    response = client.post("/api/scripts", json={"scriptId": "users"})

    engine.join()
    assert response.status_code == 500
    body = response.get_json()
    assert "exit code 1" in body["error"]
    assert (body["data"]["stdout"], body["data"]["stderr"]) == ("out", "no database")
    assert body["data"]["executionTime"] > 0


def test_a_script_that_takes_longer_is_told_where_to_look_for(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script_runs, "WAIT_LIMIT", timedelta(0))

    response = client.post("/api/scripts", json={"scriptId": "users"})

    assert response.status_code == 202
    run_id = response.get_json()["data"]["runId"]
    assert f"/api/scripts/users/runs/{run_id}" in response.get_json()["message"]


def test_a_trial_that_ends_with_its_engine_is_stopped_by_nobody(
    bench: Bench, client: FlaskClient
) -> None:
    bench.write_script(HANGING)
    run_id = ask(client)["id"]
    bench.is_shutting_down = lambda: True

    work(bench)

    run = read(client, run_id)
    assert (run["state"], run["error"]) == (
        "failed",
        "The script was ended because its engine ends.",
    )


@pytest.mark.parametrize(
    ("how", "state", "said"),
    [
        ("UPDATE executions SET fence = fence + 1", "failed", "another engine took over."),
        ("stop", "stopped", "its execution was stopped."),
    ],
)
def test_a_run_says_who_ended_it(bench: Bench, how: str, state: str, said: str) -> None:
    bench.write_script(HANGING)
    execution_id = bench.start()
    is_done = False

    def end_it() -> bool:
        nonlocal is_done
        if not is_done and "begun" in bench.log(execution_id):
            is_done = True
            if how == "stop":
                stop_execution(bench.database, execution_id, "Wrong text", bench.now)
            else:
                with bench.database.transaction() as connection:
                    execute(connection, how)
        return False

    bench.is_shutting_down = end_it
    for _ in range(2):  # the audience is the second step
        advance_execution(bench.context, execution_id)

    with bench.database.transaction() as connection:
        (run,) = select_runs(connection, "users", None, 10)
    assert (run.state, run.error) == (state, f"The script was ended because {said}")


def test_what_it_says_can_be_read_while_it_runs_and_it_can_be_stopped(
    bench: Bench, client: FlaskClient
) -> None:
    bench.write_script(HANGING)
    run_id = ask(client)["id"]
    engine = working(bench)

    until(lambda: read(client, run_id, "/log")["entries"])
    stopped = client.post(f"/api/scripts/users/runs/{run_id}/stop").get_json()
    begun = time.monotonic()
    engine.join()

    assert time.monotonic() - begun < 5
    assert (stopped["state"], stopped["error"]) == ("stopped", "Stopped by an operator.")
    assert read(client, run_id)["state"] == "stopped"
    assert client.post(f"/api/scripts/users/runs/{run_id}/stop").status_code == 409


HELD = {
    "locked": "SELECT id FROM script_runs FOR UPDATE",
    "changed": "UPDATE script_runs SET error = 'by hand'",
}


@contextmanager
def held(bench: Bench, sql: str) -> Iterator[None]:
    """Hold rows, or the table, in a transaction that nobody ends."""
    connection = bench.database.connect()
    try:
        connection.cursor().execute(sql)
        yield
    finally:
        connection.rollback()
        connection.close()


def stop(client: FlaskClient, run_id: str) -> tuple[int, dict[str, Any], float]:
    """Stop a trial; return status, answer and how long the answer took."""
    begun = time.monotonic()
    response = client.post(f"/api/scripts/users/runs/{run_id}/stop")
    return response.status_code, response.get_json(), time.monotonic() - begun


@pytest.mark.parametrize("sql", HELD.values(), ids=HELD)
def test_a_trial_is_stopped_though_its_row_is_held(
    bench: Bench, client: FlaskClient, sql: str
) -> None:
    bench.write_script(HANGING)
    run_id = ask(client)["id"]
    engine = working(bench)
    until(lambda: "begun" in str(read(client, run_id, "/log")))

    with held(bench, sql):
        status, stopped, took_s = stop(client, run_id)
        engine.join(5)

    assert not engine.is_alive(), "the script has ended"
    assert took_s < 1.5
    assert (status, stopped["state"], stopped["error"]) == (
        200,
        "stopped",
        "Stopped by an operator.",
    )
    assert stop(client, run_id)[0] == 409
    tidy_runs(bench.context, {"here:1"})
    assert read(client, run_id) == stopped
    with bench.database.transaction() as connection:
        assert not is_run_stopped(connection, UUID(run_id)), "its own row says so now"


def test_a_trial_that_waits_is_stopped_though_its_row_is_held(
    bench: Bench, client: FlaskClient
) -> None:
    run_id = ask(client)["id"]

    with held(bench, HELD["locked"]):
        assert stop(client, run_id)[1]["state"] == "stopped"
        begun = time.monotonic()
        assert work(bench) == 0, "the tick of an engine does not wait, either"
        tidy_runs(bench.context, set())
        assert time.monotonic() - begun < 1.5

    work(bench)
    tidy_runs(bench.context, {"here:1"})
    assert read(client, run_id)["state"] == "stopped"
    assert read(client, run_id)["startedAt"] is None


def test_the_stop_of_a_trial_is_accepted_while_the_whole_table_is_locked(
    bench: Bench, client: FlaskClient
) -> None:
    bench.write_script(HANGING)
    run_id = ask(client)["id"]
    engine = working(bench)
    until(lambda: "begun" in str(read(client, run_id, "/log")))

    with held(bench, "LOCK TABLE script_runs"):
        status, told, took_s = stop(client, run_id)
        engine.join(5)

    assert (status, engine.is_alive()) == (503, False)
    assert "The stop is accepted." in told["error"]
    assert took_s < 3
    assert read(client, run_id)["state"] == "stopped"


def until(found: Callable[[], object]) -> None:
    give_up_at = time.monotonic() + 15
    while not found():
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("source", "code", "signal_name", "said"),
    [
        ("raise KeyError('no such table')", 1, None, "no such table"),
        ("import os\nos.kill(os.getpid(), 11)", -11, "SIGSEGV", "SIGSEGV"),
        ("import time\ntime.sleep(60)", None, None, "did not end within 1 s"),
    ],
)
def test_how_a_run_failed_is_remembered(
    bench: Bench,
    client: FlaskClient,
    source: str,
    code: int | None,
    signal_name: str | None,
    said: str,
) -> None:
    bench.write_script(source)
    bench.change(limits=Limits(script=ScriptLimits(time=timedelta(seconds=1))))
    run_id = ask(client)["id"]

    work(bench)

    run = read(client, run_id)
    assert (run["state"], run["exitCode"], run["signal"]) == ("failed", code, signal_name)
    assert said in run["error"]


def test_runs_for_executions_are_in_the_history_too(bench: Bench, client: FlaskClient) -> None:
    trial = ask(client, parameters={"first": 1, "users": 2})["id"]
    work(bench)
    bench.change(clock=lambda: bench.now)
    execution_id = bench.start(mode=Mode.TEST_DRY_RUN)
    bench.work()

    first = client.get("/api/scripts/users/runs?limit=1").get_json()
    rest = client.get(
        "/api/scripts/users/runs", query_string={"cursor": first["nextCursor"]}
    ).get_json()

    found = sorted(first["runs"] + rest["runs"], key=lambda run: run["isTrial"])
    assert [run["executionId"] for run in found] == [execution_id, None]
    assert found[0]["audiences"][0]["rows"] == 10
    assert found[1]["id"] == trial
    log = read(client, found[0]["id"], "/log")["entries"]
    assert "wrote 10" in [entry["message"] for entry in log]
    assert client.post(f"/api/scripts/users/runs/{found[0]['id']}/stop").status_code == 409


def test_an_execution_whose_script_fails_leaves_its_run_behind(
    bench: Bench, client: FlaskClient
) -> None:
    bench.write_script("raise SystemExit(3)")
    bench.change(clock=lambda: bench.now)

    assert bench.run(bench.start()).phase is Phase.FAILED

    (run,) = client.get("/api/scripts/users/runs").get_json()["runs"]
    assert (run["state"], run["exitCode"]) == ("failed", 3)


def test_what_cannot_be_asked_for_is_refused(bench: Bench, client: FlaskClient) -> None:
    bench.write_script("# parameter first (integer, required): The first.")

    assert "first: is required" in ask(client, 422)["error"]
    assert client.post("/api/scripts/none/run").status_code == 404
    refused = client.post("/api/scripts", json={"parameters": {}})
    assert (refused.status_code, "scriptId" in refused.get_json()["error"]) == (400, True)
    assert client.get(f"/api/scripts/users/runs/{uuid4()}").status_code == 404
    as_viewer = {"Authorization": "Bearer viewer"}
    assert client.post("/api/scripts/users/run", headers=as_viewer).status_code == 403


def test_without_an_engine_nothing_is_asked_for(bench: Bench, client: FlaskClient) -> None:
    with bench.database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM engines")

    assert "No engine is at work" in ask(client, 503)["error"]


def test_the_same_key_asks_once(bench: Bench, client: FlaskClient) -> None:
    def post(**body: Any) -> Any:
        headers = {"Idempotency-Key": "k"}
        return client.post("/api/scripts/users/run", json=body, headers=headers)

    first, second = (post(parameters={"first": 1, "users": 2}).get_json() for _ in range(2))

    assert first["id"] == second["id"]
    assert work(bench) == 1
    assert post(parameters={"first": 2}).status_code == 422


def test_a_run_whose_engine_died_is_ended_and_old_trials_files_are_deleted(
    bench: Bench, client: FlaskClient
) -> None:
    done, lost = (ask(client, parameters={"first": 1, "users": 2})["id"] for _ in range(2))
    work(bench)
    with bench.database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(
            "UPDATE script_runs SET state = 'running', ended_at = NULL, seen_at = now() -"
            " interval '31 s' WHERE id = %s",
            (lost,),
        )

    tidy_runs(bench.context, [bench.context.engine_id])
    assert read(client, lost)["state"] == "running", "its engine lives"
    tidy_runs(bench.context, [])
    assert read(client, lost)["error"] == "The engine that ran it is gone."
    assert (bench.folder / "trials" / done).exists()

    bench.change(clock=lambda: utc_now() + timedelta(days=1, minutes=1))
    tidy_runs(bench.context, [])
    assert not (bench.folder / "trials" / done).exists()
    assert read(client, done)["audiences"][0]["rows"] == 2


def test_folders_of_scripts_that_no_engine_runs_are_removed(
    bench: Bench, client: FlaskClient
) -> None:
    waiting = ask(client, parameters={"first": 1, "users": 2})["id"]
    running = bench.folder / "running"
    for name in (waiting, str(UUID(int=7)), "notes"):
        (running / name / "inner").mkdir(parents=True)

    tidy_runs(bench.context, [])

    assert sorted(path.name for path in running.iterdir()) == sorted([waiting, "notes"])
