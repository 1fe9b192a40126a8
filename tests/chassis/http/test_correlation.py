"""Ids of requests and executions, in answers, in log lines and on the way to the other service."""

import pytest
import structlog
from flask.testing import FlaskClient

from chassis.http.correlation import correlation_headers, working_on


@pytest.fixture
def stranger(cadence_app: object) -> FlaskClient:
    client: FlaskClient = cadence_app.test_client()  # type: ignore[attr-defined]  # a Flask app
    return client


def test_a_request_without_an_id_gets_a_new_one(stranger: FlaskClient) -> None:
    ids = {stranger.get("/health/live").headers["X-Request-ID"] for _ in range(2)}

    assert len(ids) == 2


def test_an_id_that_is_brought_is_answered(stranger: FlaskClient) -> None:
    answer = stranger.get("/rules", headers={"X-Request-ID": "from-the-proxy-1"})

    assert answer.status_code == 401
    assert answer.headers["X-Request-ID"] == "from-the-proxy-1"


@pytest.mark.parametrize("brought", ["", "two words", "x" * 201, 'a"b'])
def test_an_id_that_would_spoil_a_log_is_replaced(stranger: FlaskClient, brought: str) -> None:
    answer = stranger.get("/health/live", headers={"X-Request-ID": brought})

    assert answer.headers["X-Request-ID"] != brought


def test_a_request_is_logged_with_its_ids(
    stranger: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    headers = {"X-Request-ID": "r-1", "X-Execution-ID": "spring@2026-01-05T12:30:00Z"}

    stranger.get("/rules", headers=headers)
    stranger.get("/health/live", headers=headers)

    told = [r.msg for r in caplog.records if isinstance(r.msg, dict)]
    (line,) = [entry for entry in told if entry["event"] == "request_answered"]
    assert line["path"] == "/rules"
    assert line["status"] == 401
    assert line["request_id"] == "r-1"
    assert line["execution_id"] == "spring@2026-01-05T12:30:00Z"


def test_ids_go_on_to_the_other_service_for_as_long_as_they_hold() -> None:
    structlog.contextvars.clear_contextvars()

    with working_on("spring@2026-01-05T12:30:00Z"):
        within = correlation_headers()

    assert within == {"X-Execution-ID": "spring@2026-01-05T12:30:00Z"}
    assert correlation_headers() == {}


def test_an_id_that_no_header_can_hold_stays_here() -> None:
    structlog.contextvars.clear_contextvars()

    with working_on("line\nbreak"):
        assert correlation_headers() == {}
