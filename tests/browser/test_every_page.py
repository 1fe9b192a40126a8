"""Every page, by day, by night and on a phone: nothing that bars anybody, nothing too wide."""

import re
from collections.abc import Iterator

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page

from push_blaster.app import create_app
from tests.browser.accessibility import find_faults
from tests.browser.pages import PAGES, pages_of, sign_in
from tests.local_stack.stack import LocalStack
from tests.push_blaster.settings import settings_for

pytestmark = pytest.mark.xdist_group("browser")


@pytest.fixture(params=["light", "dark", "phone"])
def view(request: pytest.FixtureRequest, browser: Browser, stack: LocalStack) -> Iterator[Page]:
    is_phone = request.param == "phone"
    context = browser.new_context(
        base_url=stack.push_url,
        color_scheme="dark" if request.param == "dark" else "light",
        viewport={"width": 390 if is_phone else 1280, "height": 844},
    )
    yield context.new_page()
    context.close()


def test_nothing_bars_anybody_from_any_page(view: Page, stack: LocalStack) -> None:
    faults = {}
    sign_in(view, stack)
    for path in pages_of(stack):
        view.goto(path)
        faults[path] = find_faults(view)

    assert {path: found for path, found in faults.items() if found} == {}


def test_no_page_is_wider_than_its_window(view: Page, stack: LocalStack) -> None:
    sign_in(view, stack)
    wide = []
    for path in pages_of(stack):
        view.goto(path)
        if view.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
            wide.append(path)

    assert wide == []


def test_the_list_of_pages_is_whole(postgres: object, tmp_path: object) -> None:
    app: Flask = create_app(settings_for("postgresql://127.0.0.1:9/none", tmp_path))  # type: ignore[arg-type]  # a path
    ours = [r for r in app.url_map.iter_rules() if r.endpoint.startswith("pages_")]
    shown = {r.rule for r in ours if "GET" in (r.methods or set())}
    unseen = {
        rule
        for rule in shown
        if not rule.startswith("/live/") and not any(_is_of(path, rule) for path in PAGES)
    }

    assert unseen == set()


def _is_of(path: str, rule: str) -> bool:
    shape = re.sub(r"<any\(([^)]*)\):\w+>", lambda m: f"({m[1].replace(',', '|')})", rule)
    return re.fullmatch(re.sub(r"<[^>]+>", "[^/]+", shape), path.partition("?")[0]) is not None
