"""Every page, by day, by night and on a phone: nothing that bars anybody, nothing too wide."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, ViewportSize

from push_blaster.app import create_app
from tests.browser.accessibility import COLORS, find_faults, find_small_buttons
from tests.browser.misfortune import ODD_NAMES, save_named
from tests.browser.pages import PAGES, pages_of, sign_in_by_form
from tests.local_stack.stack import LocalStack
from tests.push_blaster.settings import settings_for
from tests.stray_times import CHOICE, find_stray_times

#: They lead to the identity provider and back, and show nothing.
LEAD_AWAY = {"/sign-in/provider", "/sign-in/return"}
DESKTOP: ViewportSize = {"width": 1280, "height": 844}
PHONE: ViewportSize = {"width": 390, "height": 844}
TOO_WIDE = "document.documentElement.scrollWidth > window.innerWidth"

pytestmark = pytest.mark.xdist_group("browser")


@dataclass(frozen=True)
class Look:
    """What is wrong with a page, by rule."""

    faults: list[tuple[str, list[str]]]
    is_too_wide: bool
    stray_times: list[str]
    small_buttons: list[str]


@pytest.fixture(scope="module")
def looks(browser: Browser, stack: LocalStack) -> Iterator[dict[str, Look]]:
    """Every page, opened once, and looked at by day, by night and on a phone."""
    # Without motion, a change of colors is over before the rules look at them.
    context = browser.new_context(base_url=stack.push_url, reduced_motion="reduce")
    name, value = CHOICE
    context.add_cookies([{"name": name, "value": value, "url": stack.push_url}])
    view = context.new_page()
    sign_in_by_form(view, stack)
    yield {
        f"{path}, {look}": found
        for path in pages_of(stack)
        for look, found in _look_at(view, path).items()
    }
    context.close()


def _look_at(view: Page, path: str) -> dict[str, Look]:
    """Open a page and change how it is shown; the night changes nothing except colors."""
    view.emulate_media(color_scheme="light")
    view.set_viewport_size(DESKTOP)
    view.goto(path)
    times = find_stray_times(view.content())
    by_day = Look(find_faults(view), view.evaluate(TOO_WIDE), times, [])
    view.emulate_media(color_scheme="dark")
    by_night = replace(by_day, faults=find_faults(view, COLORS))
    view.emulate_media(color_scheme="light")
    view.set_viewport_size(PHONE)
    faults, is_too_wide = find_faults(view), view.evaluate(TOO_WIDE)
    on_a_phone = Look(faults, is_too_wide, [], find_small_buttons(view))
    return {"by day": by_day, "by night": by_night, "on a phone": on_a_phone}


def test_nothing_bars_anybody_from_any_page(looks: dict[str, Look]) -> None:
    assert {path: look.faults for path, look in looks.items() if look.faults} == {}


def test_no_page_is_wider_than_its_window(looks: dict[str, Look]) -> None:
    assert [path for path, look in looks.items() if look.is_too_wide] == []


def test_every_time_is_shown_as_the_reader_chose(looks: dict[str, Look]) -> None:
    assert {path: look.stray_times for path, look in looks.items() if look.stray_times} == {}


def test_every_button_on_a_phone_is_large_enough_for_a_thumb(looks: dict[str, Look]) -> None:
    assert {path: look.small_buttons for path, look in looks.items() if look.small_buttons} == {}


def test_a_name_without_spaces_pushes_nothing_out_of_the_window(
    page: Page, stack: LocalStack
) -> None:
    save_named(stack, {"odd-long": ODD_NAMES["odd-long"]}, status="draft", isActive=False)
    cut_off = "[...document.querySelectorAll('.panel')].filter(e => e.scrollWidth > e.clientWidth)"
    paths = ["/automations", "/automations/odd-long", "/search?q=WWW", "/audit-log"]
    paths += ["/automations/odd-long/edit", "/automations/odd-long/archive"]

    wide, cut = [], []
    for path in paths:
        page.goto(path)
        wide += [path] * page.evaluate(TOO_WIDE)
        cut += [path] * page.evaluate(f"{cut_off}.length")
    page.goto("/automations/odd-long/delete")
    page.get_by_role("button", name="Delete").click()

    assert (wide, cut) == ([], [])


def test_the_list_of_pages_is_whole(postgres: object, tmp_path: object) -> None:
    app: Flask = create_app(settings_for("postgresql://127.0.0.1:9/none", tmp_path))  # type: ignore[arg-type]  # a path
    ours = [r for r in app.url_map.iter_rules() if r.endpoint.startswith("pages_")]
    shown = {r.rule for r in ours if "GET" in (r.methods or set())}
    unseen = {
        rule
        for rule in shown
        if not rule.startswith("/live/") and not any(_is_of(path, rule) for path in PAGES)
    }

    assert unseen - LEAD_AWAY == set()


def _is_of(path: str, rule: str) -> bool:
    shape = re.sub(r"<any\(([^)]*)\):\w+>", lambda m: f"({m[1].replace(',', '|')})", rule)
    return re.fullmatch(re.sub(r"<[^>]+>", "[^/]+", shape), path.partition("?")[0]) is not None
