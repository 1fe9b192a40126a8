"""Metrics for Prometheus: figures from the database, the same from every process."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from chassis.clock import Comparison, utc_now
from chassis.metrics import REQUESTS
from chassis.postgres import Database
from chassis.rows import execute
from push_blaster.adapters.delivery.batch_table import dispatch_batches
from push_blaster.adapters.executions.execution_table import dispatch_executions
from push_blaster.adapters.operations.engine_table import beat
from push_blaster.app import create_app
from push_blaster.engine_probes import make_engine_probes
from tests.push_blaster.bench import Bench
from tests.push_blaster.settings import settings_for


@pytest.fixture(autouse=True)
def few_requests() -> None:
    """Forget the requests of other tests: thousands of lines, which each test here would read."""
    REQUESTS.clear()


def read(client: FlaskClient) -> dict[tuple[str, str], float]:
    """Return every figure by its name and the value of its label."""
    answer = client.get("/metrics", headers={"Authorization": "Bearer viewer"})
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, [*sample.labels.values(), ""][0]): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_metrics_ask_for_a_token_unless_they_are_set_open(push_url: str, tmp_path: Path) -> None:
    settings = settings_for(push_url, tmp_path)
    closed, opened = (
        create_app(replace(settings, metrics_open=flag)).test_client() for flag in (False, True)
    )

    assert closed.get("/metrics").status_code in {303, 401}
    assert opened.get("/metrics").status_code == 200


def test_an_execution_is_counted_and_its_funnel_added_up(client: FlaskClient, bench: Bench) -> None:
    bench.now = utc_now() - timedelta(minutes=1)
    bench.run(bench.start())
    bench.run(bench.start(parameters={"first": 11}, id="other"))
    bench.start()

    found = read(client)

    assert found["push_executions_ended", "completed"] == 2
    assert found["push_executions_running", "waiting"] == 1
    assert found["push_funnel_users", "generated"] == 20
    assert found["push_funnel_users", "sent"] == 20
    assert found["push_queue_depth", "steps"] == 1
    assert 30 < found["push_queue_oldest_seconds", ""] < 90
    assert found["push_executions_uncapped", ""] == 0
    assert found["push_batches_untracked", ""] == 0


def test_what_nobody_works_on_gets_older_however_often_it_is_dispatched(
    client: FlaskClient, bench: Bench
) -> None:
    begun = bench.now = utc_now() - timedelta(minutes=10)
    bench.start(parameters={"users": 60})
    bench.work_until_sent(20)

    for second in range(60, 600, 60):
        again = begun + timedelta(seconds=second)
        with bench.database.transaction() as connection:
            assert dispatch_batches(connection, again, again, 1_000)
            dispatch_executions(connection, again, again)
            execute(connection, "UPDATE executions SET due_at = %s", (utc_now(),))  # it is watched
    stalled = read(client)["push_queue_oldest_seconds", ""]
    bench.now = utc_now()
    bench.work()
    sent = read(client)["push_queue_oldest_seconds", ""]

    assert stalled > 590
    assert sent < 30


def test_what_went_out_unchecked_is_counted(client: FlaskClient, bench: Bench) -> None:
    bench.now = utc_now()
    bench.run(bench.start())
    with bench.database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE executions SET uncapped_reason = 'away'")

    found = read(client)

    assert found["push_executions_uncapped", ""] == 1
    assert found["push_sends_uncapped", ""] == 10


def test_engines_that_live_are_counted(client: FlaskClient, database: Database) -> None:
    assert read(client)["push_engines_alive", ""] == 0

    with database.transaction() as connection:
        beat(connection, "here:1", utc_now(), utc_now(), {})

    assert read(client)["push_engines_alive", ""] == 1
    assert read(client)["push_cadence_up", ""] == 0


def test_engines_whose_clocks_are_wrong_are_counted(
    client: FlaskClient, database: Database
) -> None:
    ahead, close = timedelta(minutes=5), timedelta(milliseconds=1)
    with database.transaction() as connection:
        beat(connection, "a:1", utc_now(), utc_now(), clocks=Comparison(ahead, close))
        beat(connection, "b:1", utc_now(), utc_now(), clocks=Comparison(close, close, ahead))

    found = read(client)

    assert found["push_engine_clock_ahead_seconds", "a:1"] == 300
    assert found["push_engines_holding", ""] == 1


def test_without_its_database_the_web_says_so(tmp_path: Path) -> None:
    client = create_app(settings_for("postgresql://127.0.0.1:9/none", tmp_path)).test_client()

    found = read(client)

    assert found["push_database_up", ""] == 0
    assert ("push_engines_alive", "") not in found


def test_requests_are_timed_by_their_route(client: FlaskClient) -> None:
    client.get("/api/scripts")

    text = client.get("/metrics").text

    assert 'http_request_seconds_count{method="GET",route="/api/scripts",status="200"}' in text


def test_strangers_make_no_labels_in_any_process(
    app: Flask, cadence_app: Flask, push_url: str, tmp_path: Path
) -> None:
    database = Database(push_url, max_connections=1)
    tokens = settings_for(push_url, tmp_path).tokens
    probes = make_engine_probes(tokens, database, metrics_open=True)
    for one in (app, cadence_app, probes):
        stranger = one.test_client()
        for number in range(50):
            stranger.open("/health/live", method=f"INVENTED{number}")
            stranger.get(f"/invented/{number}")

    text = probes.test_client().get("/metrics").text

    assert "invented" not in text.lower()
    assert 'method="other"' in text
    assert 'method="GET",route="other",status="404"' in text
    database.close()


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_an_engine_answers_on_its_own_port(path: str, push_url: str, tmp_path: Path) -> None:
    database = Database(push_url, max_connections=1)
    tokens = settings_for(push_url, tmp_path).tokens
    client = make_engine_probes(tokens, database, metrics_open=False).test_client()

    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.get_json().keys() == {"status"}
    assert answer.headers["Cache-Control"] == "no-store"
    assert client.get("/metrics").status_code == 401
    assert ("push_cap_check_seconds_count", "") in read(client)
    database.close()


def test_a_web_without_its_database_lives_and_is_not_ready(tmp_path: Path) -> None:
    client = create_app(settings_for("postgresql://127.0.0.1:9/none", tmp_path)).test_client()

    assert client.get("/health/live").status_code == 200
    answer = client.get("/health/ready", headers={"Authorization": "Bearer viewer"})

    assert answer.status_code == 503
    assert "away" in answer.get_json()["parts"]["database"]


def test_how_many_should_run_is_told_only_if_a_setting_says_so(
    push_url: str, database: Database, tmp_path: Path
) -> None:
    settings = settings_for(push_url, tmp_path)
    named = replace(settings, expected_engines=3, expected_webs=2)

    found, unset = (read(create_app(one).test_client()) for one in (named, settings))

    assert (found["push_engines_expected", ""], found["push_webs_expected", ""]) == (3, 2)
    assert not unset.keys() & {("push_engines_expected", ""), ("push_webs_expected", "")}


def test_the_age_of_backup_and_pruning_is_told(client: FlaskClient, database: Database) -> None:
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE upkeep SET good_at = now() - interval '2 hours'")

    found = read(client)

    for task in ("backup", "prune"):
        assert 7_100 < found[f"push_{task}_age_seconds", ""] < 7_500
