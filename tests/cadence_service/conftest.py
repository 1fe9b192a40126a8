"""The cadence service as its own tests call it."""

import pytest

from chassis.postgres import BulkDatabase


@pytest.fixture
def database(cadence_database: BulkDatabase) -> BulkDatabase:
    return cadence_database
