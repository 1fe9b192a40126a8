"""A database that takes no writes, as a standby does: it is away, until it takes them again."""

import time
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from cadence_service.app import create_app
from local_stack.embedded_postgres import EmbeddedPostgres
from tests.cadence_service.settings import CADENCE_TOKEN, cadence_settings
from tests.databases import copy_database
from tests.people import ALICE

NAME = f"cadence_standby_{time.monotonic_ns()}"
TEXTS = {"pushTitle": "T", "pushBody": "B", "audienceDescription": "A"}
NOTIFICATION = {"userId": str(ALICE), "layerId": 3, **TEXTS}
RULE = {
    "name": "r",
    "appliesToLayers": [3],
    "countedLayers": [3],
    "windowHours": 1,
    "maxCount": 1,
}
HISTORY = f"user_id,layer_id,push_title,sent_at\n{ALICE},3,T,2026-01-01T00:00:00Z\n"


@pytest.fixture
def client(postgres: EmbeddedPostgres, cadence_template: str) -> Iterator[FlaskClient]:
    url = copy_database(postgres, cadence_template, NAME)
    client = create_app(cadence_settings(url)).test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {CADENCE_TOKEN}"
    reservation = {"key": "k", "ttlSeconds": 600}
    body = {"userIds": [str(ALICE)], "layerId": 3, "reservation": reservation}
    assert client.post("/filter-audience", json=body).status_code == 200
    yield client
    _administer(postgres, f"DROP DATABASE {NAME} WITH (FORCE)")


def _administer(postgres: EmbeddedPostgres, statement: str) -> None:
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(statement)


def _refuse_writes(postgres: EmbeddedPostgres) -> None:
    """Let connections fail as a failover does, and new ones take no writes."""
    _administer(postgres, f"ALTER DATABASE {NAME} SET default_transaction_read_only = on")
    cut_off = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
    _administer(postgres, f"{cut_off}'{NAME}'")


WRITES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "track": ("POST", "/track-notification", {"json": NOTIFICATION}),
    "settle": (
        "POST",
        "/track-notification",
        {"json": {"reservationKey": "k", "sentUserIds": [str(ALICE)], **TEXTS}},
    ),
    "extend": ("POST", "/extend-reservation", {"json": {"key": "k", "ttlSeconds": 3_600}}),
    "release": ("DELETE", "/reservations/k", {}),
    "rules": ("PUT", "/rules", {"json": {"rules": [RULE]}}),
    "layers": ("PUT", "/layers/3", {"json": {"description": "D"}}),
    "import": ("POST", "/restore-historical-data", {}),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_write_is_unavailable_and_comes_back_by_itself(
    client: FlaskClient, postgres: EmbeddedPostgres, write: str
) -> None:
    method, path, options = WRITES[write]

    def attempt() -> Any:
        if write == "import":  # a file can be sent once
            options["data"] = {"file": (BytesIO(HISTORY.encode()), "h.csv")}
        return client.open(path, method=method, **options)

    _refuse_writes(postgres)
    client.get("/health/ready")  # replaces the connections that were cut off
    refused = attempt()
    _administer(postgres, f"ALTER DATABASE {NAME} RESET default_transaction_read_only")
    restored = attempt()

    assert refused.status_code == 503, refused.get_json()
    assert refused.get_json()["title"] == "Database away"
    assert "takes no writes" in refused.get_json()["detail"]
    assert restored.status_code == 200, restored.get_json()


def test_health_and_readiness_say_no_until_it_takes_writes(
    client: FlaskClient, postgres: EmbeddedPostgres
) -> None:
    _refuse_writes(postgres)
    client.get("/health/ready")

    before = [client.get(path).status_code for path in ("/health", "/health/ready")]
    said = client.get("/health").get_json()["error"]
    _administer(postgres, f"ALTER DATABASE {NAME} RESET default_transaction_read_only")
    client.post("/track-notification", json=NOTIFICATION)  # finds the old connection out
    after = [client.get(path).status_code for path in ("/health", "/health/ready")]

    assert before == [503, 503]
    assert "takes no writes" in said
    assert after == [200, 200]


def test_reading_goes_on(client: FlaskClient, postgres: EmbeddedPostgres) -> None:
    _refuse_writes(postgres)
    client.get("/health/ready")

    asked = {"userIds": [str(ALICE)], "layerId": 3}
    plain = client.post("/filter-audience", json=asked).get_json()
    reserving = client.post("/filter-audience", json={**asked, "reservation": {"key": "n"}})

    assert plain["failedOpen"] is False
    assert reserving.get_json()["failedOpen"] is True
    assert client.get("/rules").status_code == 200
