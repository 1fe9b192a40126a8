"""The cadence service as its own tests call it."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from chassis.postgres import BulkDatabase
from tests.cadence_service.settings import CADENCE_TOKEN


@pytest.fixture
def database(cadence_database: BulkDatabase) -> BulkDatabase:
    return cadence_database


@pytest.fixture
def cadence(cadence_app: Flask, database: BulkDatabase) -> FlaskClient:
    client = cadence_app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {CADENCE_TOKEN}"
    return client
