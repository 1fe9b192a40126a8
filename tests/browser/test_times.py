"""Lengths of time read the same from the server and from the countdowns in the browser."""

from datetime import timedelta

import pytest
from playwright.sync_api import Page

from push_blaster.web.frame.template_filters import span

pytestmark = pytest.mark.xdist_group("browser")

MINUTE, HOUR, DAY = 60, 3_600, 86_400
LENGTHS = (
    0,
    59,
    MINUTE,
    MINUTE + 1,
    HOUR - 1,
    HOUR,
    HOUR + 5 * MINUTE,
    DAY - 1,
    DAY,
    3 * DAY + HOUR,
)


def test_a_countdown_is_written_as_the_server_writes_it(page: Page) -> None:
    counted = page.evaluate(
        "async (lengths) => { const { span } = await import('/static/js/times.js');"
        " return lengths.map(span); }",
        list(LENGTHS),
    )

    assert counted == [span(timedelta(seconds=length)) for length in LENGTHS]
