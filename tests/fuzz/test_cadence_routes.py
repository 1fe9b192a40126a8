"""Every route of the cadence service, with what nobody thought of."""

import pytest
from flask import Flask

from chassis.postgres import BulkDatabase
from tests.conftest import CADENCE_TOKEN
from tests.fuzz.throwing import CADENCE_ROUTES, operations, throw_at

DOCUMENT = "/openapi.json"


def test_every_route_is_thrown_at(cadence_app: Flask) -> None:
    assert len(operations(cadence_app, DOCUMENT)) == CADENCE_ROUTES


@pytest.mark.parametrize("number", range(CADENCE_ROUTES))
def test_whatever_comes_is_answered_as_the_document_tells(
    cadence_app: Flask,
    cadence_database: BulkDatabase,
    number: int,
    request: pytest.FixtureRequest,
) -> None:
    throw_at(operations(cadence_app, DOCUMENT)[number], CADENCE_TOKEN, {}, request)
