"""A person signs in through an identity provider, in a real browser: redirects, cookies, policy."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page

from chassis.postgres import Database
from push_blaster.app import create_app
from push_blaster.wiring import connect_adapters
from tests.browser.accessibility import find_faults
from tests.fakes.identity_provider import FakeProvider, anna, run_identity_provider
from tests.push_blaster.settings import settings_for
from tests.push_blaster.web.access.people_support import identity_settings
from tests.serving import serving

pytestmark = pytest.mark.xdist_group("browser")


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with run_identity_provider() as provider:
        yield provider


@pytest.fixture
def page(
    browser: Browser, provider: FakeProvider, push_url: str, database: Database, tmp_path: Path
) -> Iterator[Page]:
    """A page of an app that lies beside the identity provider."""
    apps: list[Flask] = []

    def serve(*call: Any) -> Any:
        return apps[0](*call)

    with serving(serve) as url:
        identity = identity_settings(provider.url)
        client = replace(identity.client, redirect_uri=f"{url}/sign-in/return")
        settings = replace(
            settings_for(push_url, tmp_path), identity=replace(identity, client=client)
        )
        apps.append(create_app(settings, replace(connect_adapters(settings), database=database)))
        context = browser.new_context(base_url=url)
        yield context.new_page()
        context.close()


def test_a_browser_signs_in_and_nothing_bars_anybody(page: Page, provider: FakeProvider) -> None:
    faults = {}
    provider.who = anna(roles=[])
    page.goto("/people")
    faults["sign-in"] = find_faults(page)
    page.get_by_role("link", name="Sign in with Example Ltd").click()
    page.get_by_role("heading", name="You have no role here").wait_for()
    faults["no role"] = find_faults(page)
    provider.who = anna(roles=["admins"])
    page.goto("/people")
    page.get_by_role("link", name="Sign in with Example Ltd").click()
    page.get_by_role("heading", name="People").wait_for()
    faults["people"] = find_faults(page)
    page.get_by_role("button", name="End the sessions of Anna Bauer").click()
    page.get_by_label("Token").wait_for()

    assert {name: found for name, found in faults.items() if found} == {}
