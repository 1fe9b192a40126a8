"""While the cadence service does not accept our token, everybody is told which setting is wrong."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import responses
from flask import Flask

from cadence_contract import OVER_CAP_PATH
from cadence_service.app import create_app as create_cadence
from chassis.clock import utc_now
from chassis.http.guesses import GUESSES
from chassis.postgres import BulkDatabase, Database
from local_stack.embedded_postgres import EmbeddedPostgres
from push_blaster.adapters.cadence.cadence_client import ATTEMPTS, CadenceClient
from push_blaster.adapters.cadence.cadence_http import (
    CadenceUnauthorizedError,
    CadenceUnavailableError,
)
from push_blaster.app import create_app
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.cadence.track_sends import track_sends
from tests.cadence_service.settings import CADENCE_TOKEN, cadence_settings
from tests.journeys.stack import wait_until
from tests.people import ALICE
from tests.push_blaster.bench import Bench
from tests.push_blaster.cadence_support import history
from tests.push_blaster.settings import settings_for
from tests.serving import serving

WRONG = "a-token-that-nobody-made"
NAMED = "Give us its token"
ENGINE = Path(sys.executable).with_name("push-blaster")
ELSEWHERE = "http://cadence.test"


def ask(cadence_url: str, push_url: str, folder: Path, token: str) -> tuple[dict[str, Any], str]:
    """Return the health and the metrics of a web with this token."""
    settings = settings_for(push_url, folder)
    app = create_app(replace(settings, cadence_url=cadence_url, cadence_token=token))
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = "Bearer viewer"
    return client.get("/api/health").get_json(), client.get("/metrics").text


@pytest.mark.parametrize("token", [WRONG, CADENCE_TOKEN[:-1], "admin"])
def test_health_and_metrics_tell_that_the_token_is_wrong(
    cadence_service: str, push_url: str, database: Database, tmp_path: Path, token: str
) -> None:
    health, metrics = ask(cadence_service, push_url, tmp_path, token)

    assert health["status"] != "healthy"
    assert health["dependencies"]["cadence"] == "unauthorized"
    assert any(p.startswith("cadence: ") and NAMED in p for p in health["problems"])
    assert "push_cadence_up 0.0" in metrics
    assert "push_cadence_authorized 0.0" in metrics


@pytest.mark.parametrize("token", [CADENCE_TOKEN, "narrow"])
def test_a_token_that_may_ask_and_record_is_enough(
    cadence_service: str, push_url: str, database: Database, tmp_path: Path, token: str
) -> None:
    health, metrics = ask(cadence_service, push_url, tmp_path, token)

    assert health["dependencies"]["cadence"] == "healthy"
    assert "push_cadence_up 1.0" in metrics
    assert "push_cadence_authorized 1.0" in metrics


def test_of_a_service_that_is_away_nobody_knows_whether_it_accepts_the_token(
    push_url: str, database: Database, tmp_path: Path
) -> None:
    _, metrics = ask("http://127.0.0.1:9", push_url, tmp_path, WRONG)

    assert "push_cadence_up 0.0" in metrics
    assert "\npush_cadence_authorized " not in metrics


@pytest.mark.parametrize(
    ("policy", "phase", "sent"), [("open", Phase.COMPLETED, 10), ("closed", Phase.FAILED, 0)]
)
def test_a_send_follows_its_policy_and_names_the_setting(
    bench: Bench, cadence_service: str, policy: str, phase: Phase, sent: int
) -> None:
    bench.change(cadence=CadenceClient(cadence_service, WRONG))

    execution = bench.run(bench.start(settings={"failPolicy": policy}))

    assert (execution.phase, bench.funnel(execution.id)["sent"]) == (phase, sent)
    assert NAMED in (execution.uncapped_reason or execution.reason or "")


def test_the_sends_are_recorded_once_the_token_is_right(
    bench: Bench, cadence_service: str, cadence_database: BulkDatabase
) -> None:
    bench.change(cadence=CadenceClient(cadence_service, WRONG))
    bench.run(bench.start())
    assert history(cadence_database) == []  # type: ignore[arg-type]  # of either driver

    bench.change(cadence=CadenceClient(cadence_service, CADENCE_TOKEN))
    bench.now += timedelta(minutes=1)
    track_sends(bench.context)

    assert [row[2] for row in history(cadence_database)] == [10]  # type: ignore[arg-type]  # likewise


def read_refusal(log: Path) -> dict[str, Any]:
    """Return the line of the log that tells of the token; nothing before it is written."""
    whole = [line for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]
    lines = map(json.loads, whole)
    return next((line for line in lines if line["event"] == "cadence_refuses_token"), {})


@pytest.mark.processes
def test_an_engine_that_starts_names_the_setting_in_its_log(
    cadence_service: str,
    push_url: str,
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = {
        "PUSH_BLASTER_DATABASE_URL": push_url,
        "PUSH_DATA_DIR": str(tmp_path),
        "PUSH_ADMIN_TOKEN": "token-of-the-tests",
        "CADENCE_SERVICE_URL": cadence_service,
        "CADENCE_API_TOKEN": WRONG,
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with (tmp_path / "engine.log").open("wb") as log:
        engine = subprocess.Popen([ENGINE, "engine"], stderr=log)
    try:
        refused = wait_until(lambda: read_refusal(tmp_path / "engine.log"), bool, 60)
    finally:
        engine.terminate()
        engine.wait(30)

    assert refused["level"] == "error"
    assert NAMED in refused["reason"]


@responses.activate
def test_an_older_service_that_tells_everybody_everything_is_well() -> None:
    responses.get(f"{ELSEWHERE}/health", json={"status": "healthy", "service": "push-cadence"})

    CadenceClient(ELSEWHERE, "t").ping()


@responses.activate
@pytest.mark.parametrize(
    "body", ['{"status": "healthy", "service": "push-blaster"}', "<html>Welcome</html>", "[]", "{}"]
)
def test_another_service_at_the_address_is_no_cadence_service(body: str) -> None:
    responses.get(f"{ELSEWHERE}/health", body=body)

    with pytest.raises(CadenceUnavailableError, match="correct the address"):
        CadenceClient(ELSEWHERE, "t").ping()


@responses.activate
def test_a_refused_token_is_not_tried_again() -> None:
    responses.post(f"{ELSEWHERE}{OVER_CAP_PATH}", status=401)

    with pytest.raises(CadenceUnauthorizedError, match=f"answered 401: .*{NAMED}"):
        CadenceClient(ELSEWHERE, "t").find_over_cap([ALICE], 3, utc_now())

    assert len(responses.calls) == 1


def test_a_token_that_was_refused_often_is_still_called_wrong(
    cadence_app: Flask, postgres: EmbeddedPostgres
) -> None:
    apart = create_cadence(cadence_settings(postgres.url("cadence_tests")))  # counts for itself
    with serving(apart) as url:
        client = CadenceClient(url, WRONG)
        told = set()
        for _ in range(GUESSES.requests + 1):
            with pytest.raises(CadenceUnauthorizedError, match=NAMED) as refused:
                client.read_rules()
            told.add(str(refused.value).split(":")[0])

    assert told == {f"the cadence service answered {status}" for status in (401, 429)}


#: How others than the cadence service refuse too many requests.
LIMITS = {
    "nginx": "<html><h1>429 Too Many Requests</h1></html>",
    "a gateway": '{"message": "API rate limit exceeded"}',
    "health of a gateway": '{"status": "too many requests"}',
    "another problem": '{"title": "Too Many Requests", "detail": "Slow down.", "status": 429}',
    "nothing": "",
    "no object": "[429]",
}


@responses.activate
@pytest.mark.parametrize("body", LIMITS.values(), ids=LIMITS)
def test_a_proxy_that_limits_requests_says_nothing_about_the_token(body: str) -> None:
    responses.get(f"{ELSEWHERE}/health", body=body, status=429)
    responses.post(f"{ELSEWHERE}{OVER_CAP_PATH}", body=body, status=429)
    client = CadenceClient(ELSEWHERE, "t")

    for ask_it in (client.ping, lambda: client.find_over_cap([ALICE], 3, utc_now())):
        with pytest.raises(CadenceUnavailableError, match="answered 429") as limited:
            ask_it()
        assert NAMED not in str(limited.value)

    assert len(responses.calls) == 1 + ATTEMPTS  # health is asked once, everything else again


@responses.activate
def test_a_repeated_request_passes_the_limit_of_a_proxy() -> None:
    responses.post(f"{ELSEWHERE}{OVER_CAP_PATH}", body=LIMITS["nginx"], status=429)
    responses.post(f"{ELSEWHERE}{OVER_CAP_PATH}", json={"users": 0, "byRule": {}})

    assert CadenceClient(ELSEWHERE, "t").find_over_cap([ALICE], 3, utc_now()) == []
