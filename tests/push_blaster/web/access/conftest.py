"""Apps beside an identity provider."""

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import pytest
from flask import Flask

from chassis.postgres import Database
from push_blaster.app import create_app
from push_blaster.wiring import connect_adapters
from tests.fakes.identity_provider import FakeProvider, run_identity_provider
from tests.push_blaster.settings import settings_for
from tests.push_blaster.web.access.people_support import identity_settings


@pytest.fixture(scope="session")
def shared_provider() -> Iterator[FakeProvider]:
    with run_identity_provider() as provider:
        yield provider


@pytest.fixture
def provider(shared_provider: FakeProvider) -> FakeProvider:
    """An identity provider that has signed in nobody yet."""
    fresh = FakeProvider(shared_provider.url)
    for field in fields(fresh):
        setattr(shared_provider, field.name, getattr(fresh, field.name))
    return shared_provider


def _make_app(provider: FakeProvider, push_url: str, database: Database, folder: Path) -> Flask:
    settings = replace(settings_for(push_url, folder), identity=identity_settings(provider.url))
    return create_app(settings, replace(connect_adapters(settings), database=database))


@pytest.fixture(scope="session")
def shared_people_app(
    shared_provider: FakeProvider,
    push_url: str,
    push_pool: Database,
    tmp_path_factory: pytest.TempPathFactory,
) -> Flask:
    """The app of all tests of people; it takes long to make."""
    return _make_app(shared_provider, push_url, push_pool, tmp_path_factory.mktemp("people"))


@pytest.fixture
def people_app(shared_people_app: Flask, provider: FakeProvider, database: Database) -> Flask:
    """The app, over an empty database, beside the identity provider."""
    return shared_people_app


@pytest.fixture
def own_people_app(
    provider: FakeProvider, push_url: str, database: Database, tmp_path: Path
) -> Flask:
    """An app that knows nothing yet of the identity provider except its address."""
    return _make_app(provider, push_url, database, tmp_path)
