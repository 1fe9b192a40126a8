"""Every route with bodies that nobody thought of: refused or answered, but never a server error.

`make fuzz CASES=1000` tries so many for each route.
"""

from os import getenv
from typing import Any, Final

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok

from chassis.postgres import BulkDatabase
from tests.conftest import CADENCE_TOKEN

CASES: Final = int(getenv("FUZZ_CASES", "25"))
ROUTES: Final = 30


def operations(app: Flask) -> list[Any]:
    description = schemathesis.openapi.from_wsgi("/openapi.json", app)
    found = description.get_all_operations()
    return [operation.ok() for operation in found if isinstance(operation, Ok)]


def test_every_route_is_thrown_at(cadence_app: Flask) -> None:
    assert len(operations(cadence_app)) == ROUTES


@pytest.mark.parametrize("number", range(ROUTES))
def test_no_body_makes_the_service_fail(
    cadence_app: Flask, cadence_service: str, database: BulkDatabase, number: int
) -> None:
    operation = operations(cadence_app)[number]

    @settings(
        max_examples=CASES,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(case=operation.as_strategy())
    def throw(case: Any) -> None:
        headers = {"Authorization": f"Bearer {CADENCE_TOKEN}"}
        response = case.call(base_url=cadence_service, headers=headers, timeout=30)
        case.validate_response(response, checks=[not_a_server_error])

    throw()
