"""People at the pages, and the bench for what an engine would have done."""

import pytest
from flask import Flask

from tests.push_blaster.use_cases.conftest import Bench, bench
from tests.push_blaster.web.page_support import Visitor

__all__ = ["Bench", "bench"]


@pytest.fixture
def viewer(app: Flask) -> Visitor:
    return Visitor(app, "viewer")


@pytest.fixture
def operator(app: Flask) -> Visitor:
    return Visitor(app, "operator")


@pytest.fixture
def admin(app: Flask) -> Visitor:
    return Visitor(app, "admin")
