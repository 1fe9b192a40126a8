"""The cadence service as tests of push_blaster see it: away, or with a history."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from flask.testing import FlaskClient

from chassis.postgres import BulkDatabase, Database
from push_blaster.adapters.cadence.cadence_client import CadenceClient
from push_blaster.app import create_app
from tests.builders import NOON
from tests.cadence_service.settings import CADENCE_TOKEN
from tests.push_blaster.settings import settings_for

AWAY = CadenceClient("http://127.0.0.1:9", "t", timeout=timedelta(seconds=1))


def history(database: Database) -> list[tuple[Any, ...]]:
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT layer_id, sent_at, count(*) FROM user_notifications GROUP BY 1, 2 ORDER BY 1, 2"
        )
        return cursor.fetchall()


HOUR = timedelta(hours=1)


def sent_before(database: Database | BulkDatabase, users: range, layer: int, hours: int) -> None:
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO user_notifications (user_id, layer_id, sent_at) VALUES (%s, %s, %s)",
            [(str(UUID(int=n)), layer, NOON - hours * HOUR) for n in users],
        )


def beside_cadence(push_url: str, folder: Path, cadence_service: str) -> FlaskClient:
    settings = settings_for(push_url, folder)
    near = replace(settings, cadence_url=cadence_service, cadence_token=CADENCE_TOKEN)
    client = create_app(near).test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = "Bearer admin"
    return client
