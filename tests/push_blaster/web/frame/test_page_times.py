"""Times as a reader sees them: one zone, 24 or 12 hours, and no doubt where clocks change."""

import re
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from push_blaster.web.frame.page_times import PageTimes, find_zone_name, write_sortable

VIENNA = PageTimes(ZoneInfo("Europe/Vienna"))
VIENNA_12 = PageTimes(ZoneInfo("Europe/Vienna"), 12)
NOON = datetime(2026, 11, 24, 12, 0, 5, tzinfo=UTC)
#: The hour that Vienna has twice: 02:30 CEST, and an hour later 02:30 CET.
FIRST, SECOND = (datetime(2026, 10, 25, hour, 30, tzinfo=UTC) for hour in (0, 1))


def seen(markup: object) -> str:
    """Return a text as it is seen."""
    return re.sub(r"<[^>]+>", "", str(markup))


@pytest.mark.parametrize(
    ("hour", "expected"),
    [(23, "12:00 am"), (0, "1:00 am"), (10, "11:00 am"), (11, "12:00 pm"), (12, "1:00 pm")],
)
def test_twelve_hours_begin_with_twelve(hour: int, expected: str) -> None:
    at = NOON.replace(hour=hour, second=0)

    assert f", {expected} CET" in seen(VIENNA_12.show_instant(at))


def test_an_instant_names_its_day_and_its_zone() -> None:
    shown = VIENNA.show_instant(NOON)

    assert seen(shown) == "Tue 24 Nov 2026, 13:00 CET"
    assert 'datetime="2026-11-24T12:00:05.000Z"' in shown
    assert 'title="Tue 24 Nov 2026, 13:00:05 CET, Europe/Vienna"' in shown


def test_a_zone_without_a_name_is_told_by_its_offset() -> None:
    shown = PageTimes(ZoneInfo("Asia/Kathmandu")).show_instant(NOON)

    assert seen(shown) == "Tue 24 Nov 2026, 17:45 UTC+05:45"


def test_both_times_of_the_hour_that_comes_twice_are_told_apart() -> None:
    instants = [seen(VIENNA.show_instant(at)) for at in (FIRST, SECOND)]
    clocks = [seen(VIENNA.show_clock_time(at)) for at in (FIRST, SECOND)]

    assert instants == ["Sun 25 Oct 2026, 02:30 CEST", "Sun 25 Oct 2026, 02:30 CET"]
    assert clocks == ["02:30:00 CEST", "02:30:00 CET"]
    assert seen(VIENNA.show_clock_time(NOON)) == "13:00:05"


def test_the_zone_of_an_automation_stands_beside_where_it_differs() -> None:
    beside = [seen(VIENNA.show_instant(NOON, own)) for own in ("Asia/Tokyo", "Pacific/Kiritimati")]

    assert beside[0].endswith("13:00 CET 21:00 in Asia/Tokyo")
    assert beside[1].endswith("13:00 CET Wed 02:00 in Pacific/Kiritimati")
    assert seen(VIENNA.show_instant(NOON, "Europe/Paris")).endswith("13:00 CET")
    assert seen(VIENNA.show_instant(NOON, "No/Zone")).endswith("13:00 CET")


def test_the_texts_of_instants_are_in_the_order_of_the_instants() -> None:
    near = [NOON, NOON + timedelta(milliseconds=1), NOON + timedelta(seconds=1)]
    zoned = [at.astimezone(ZoneInfo("Asia/Tokyo")) for at in near]

    assert sorted(map(write_sortable, zoned[::-1])) == [write_sortable(at) for at in near]
    assert write_sortable(FIRST) < write_sortable(SECOND)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Due 2026-11-24T12:00:05+00:00.", "Due Tue 24 Nov 2026, 1:00 pm CET."),
        ("until 2026-11-24 12:00:05 UTC, at most", "until Tue 24 Nov 2026, 1:00 pm CET, at most"),
        ("at 2026-11-24 21:00+09:00 (layer 3)", "at Tue 24 Nov 2026, 1:00 pm CET (layer 3)"),
        ("at 2026-11-24T12:00:05.123456Z", "at Tue 24 Nov 2026, 1:00 pm CET"),
        ("of 2026-11-24T12:00:05+00:00: 9", "of Tue 24 Nov 2026, 1:00 pm CET: 9"),
        ("at 12:30: nine", "at 12:30 pm: nine"),
        ("on Tue 24 Nov 2026, 21:00 JST and", "on Tue 24 Nov 2026, 1:00 pm CET and"),
        ("Tue 24 Nov 2026, 17:45 +0545", "Tue 24 Nov 2026, 1:00 pm CET"),
        ("Sun 25 Oct 2026, 02:30 CEST", "Sun 25 Oct 2026, 2:30 am CEST"),
        ("Sun 25 Oct 2026, 01:30 UTC", "Sun 25 Oct 2026, 2:30 am CET"),
        ("Tue 24 Nov 2026, 12:30 CST", "Tue 24 Nov 2026, 12:30 pm CST"),
        ("Tue 31 Feb 2026, 12:30 UTC", "Tue 31 Feb 2026, 12:30 UTC"),
        ("2026-03-29 02:30 does not exist", "Sun 29 Mar 2026, 2:30 am does not exist"),
        ("quiet from 22:00 to 08:00", "quiet from 10:00 pm to 8:00 am"),
        ("22:00-08:00", "10:00 pm-8:00 am"),
        ("Every day at 00:00, UTC", "Every day at 12:00 am, UTC"),
        ("2026-13-45T10:00:00Z", "2026-13-45T10:00:00Z"),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+14:00"),
        ("fe80::12:30 and 10.0.0.1:1230", "fe80::12:30 and 10.0.0.1:1230"),
        ("mac 12:30:45:67:89:ab", "mac 12:30:45:67:89:ab"),
        ("garden@20261124T120000Z", "garden@20261124T120000Z"),
        ("ratio 3:45, 99:59", "ratio 3:45, 99:59"),
    ],
)
def test_the_times_within_a_text_are_the_readers(text: str, expected: str) -> None:
    assert seen(VIENNA_12.format_text(text)) == expected


def test_a_text_stays_escaped_and_is_told_once() -> None:
    told = VIENNA.format_text("<b>12:30</b> & 'x'")

    assert "<b>" not in told
    assert "12:30" in told
    assert VIENNA.format_text(told) == told


def test_a_planned_time_without_a_day_names_its_zone() -> None:
    assert seen(VIENNA_12.show_planned(time(18), "Asia/Tokyo")) == "6:00 pm in Asia/Tokyo"
    assert "21:00 in Asia/Tokyo" in seen(VIENNA.show_planned(NOON, "Asia/Tokyo"))


def test_nothing_is_shown_for_what_has_no_time() -> None:
    assert (VIENNA.show_instant(None), VIENNA.show_instant(None, empty="never")) == ("—", "never")


def test_a_zone_is_found_as_people_type_it() -> None:
    assert find_zone_name(" europe/vienna ") == "Europe/Vienna"
    assert find_zone_name("america/new york") == "America/New_York"
    assert find_zone_name("Vienna/Europe") is None
