import os

import pytest


@pytest.fixture
def seed() -> int:
    """What the year's chances are drawn from: CLOCK_SEED=n tries another year."""
    return int(os.environ.get("CLOCK_SEED", "1"))


@pytest.fixture
def automations() -> int:
    """How many automations live through a year; CLOCK_AUTOMATIONS=n tries more."""
    return int(os.environ.get("CLOCK_AUTOMATIONS", "80"))
