"""People at the pages."""

import pytest
from flask import Flask

from tests.push_blaster.web.page_support import Visitor


@pytest.fixture
def viewer(app: Flask) -> Visitor:
    return Visitor(app, "viewer")


@pytest.fixture
def operator(app: Flask) -> Visitor:
    return Visitor(app, "operator")


@pytest.fixture
def admin(app: Flask) -> Visitor:
    return Visitor(app, "admin")
