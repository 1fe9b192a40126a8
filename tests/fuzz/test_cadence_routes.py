"""Every route of the cadence service with generated requests."""

import pytest
from flask import Flask

from chassis.postgres import BulkDatabase
from tests.cadence_service.settings import CADENCE_TOKEN
from tests.fuzz.throwing import CASES, Thrown, operations, throw_at

#: A test each, so that several processes share them.
PARTS = 4


@pytest.mark.parametrize("part", range(PARTS))
def test_whatever_comes_is_answered_as_the_document_tells(
    cadence_app: Flask, cadence_database: BulkDatabase, part: int, request: pytest.FixtureRequest
) -> None:
    routes = operations(cadence_app, "/openapi.json")
    thrown = Thrown(CASES // 4 // len(routes), CADENCE_TOKEN, {})

    for route in routes[part::PARTS]:
        throw_at(route, thrown, request)
