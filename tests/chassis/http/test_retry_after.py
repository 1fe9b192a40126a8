"""What a peer writes into `Retry-After` is read as a pause that is in bounds, or not at all."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.http.retry_after import MAX_PAUSE_S, read_retry_after

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "pause"),
    [
        ("7", 7.0),
        (" 120 ", 120.0),
        ("Mon, 30 Nov 2026 12:01:00 GMT", 60.0),
        ("Mon, 30 Nov 2026 11:00:00 GMT", 0.0),
        ("999999999999999", MAX_PAUSE_S),
        ("9" * 400, None),
        ("\N{SUPERSCRIPT TWO}", None),
        ("\N{ARABIC-INDIC DIGIT THREE}", None),
        ("-5", None),
        ("1e400", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_PAUSE_S),
        ("Fri, 31 Dec 9999 23:59:59 -9999", None),
        ("Fri, 31 Dec 1999 23:59:59 +99999999999999999999", None),
        ("Mon, 99 Foo 0000 99:99:99 GMT", None),
        ("", None),
        ("soon", None),
    ],
)
def test_retry_after_is_read_within_bounds(value: str, pause: float | None) -> None:
    assert read_retry_after(value, NOON) == pause


@given(st.text(max_size=60))
def test_nothing_that_stands_in_retry_after_raises(value: str) -> None:
    pause = read_retry_after(value, NOON)

    assert pause is None or 0 <= pause <= MAX_PAUSE_S
