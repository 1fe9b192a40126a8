"""Quiet hours and local times, beside a clock that is looked at minute by minute."""

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from push_blaster.domain.automations.automation import AutomationSettings, QuietHours, WhenQuiet
from push_blaster.domain.delivery.ledger import LedgerState
from push_blaster.domain.delivery.user_time import (
    DeliveryPreferences,
    find_end_of_quiet,
    find_send_window,
    stop_limit,
    window_limit,
)
from push_blaster.domain.zones import find_zone

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = QuietHours(start=time(22), end=time(8))
#: Zones and days on which their clocks jump: by an hour, by half of one, at midnight, by a day.
JUMPS = [
    ("Europe/Berlin", date(2025, 3, 30)),
    ("Europe/Berlin", date(2025, 10, 26)),
    ("America/New_York", date(2025, 3, 9)),
    ("America/New_York", date(2025, 11, 2)),
    ("Australia/Lord_Howe", date(2025, 4, 6)),
    ("Australia/Lord_Howe", date(2025, 10, 5)),
    ("America/Havana", date(2025, 3, 9)),
    ("America/Havana", date(2025, 11, 2)),
    ("Africa/Cairo", date(2025, 4, 25)),
    ("Africa/Cairo", date(2025, 10, 31)),
    ("America/St_Johns", date(2006, 10, 29)),
    ("Pacific/Apia", date(2011, 12, 30)),
    ("Asia/Kathmandu", date(2025, 6, 1)),
]


def berlin(text: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold).astimezone(UTC)


def minutes_around(zone: ZoneInfo, day: date) -> list[datetime]:
    begin = datetime.combine(day, time(12), UTC) - 2 * 24 * HOUR
    return [begin + n * MINUTE for n in range(4 * 24 * 60)]


def is_quiet_by_the_clock(quiet: QuietHours, zone: ZoneInfo, at: datetime) -> bool:
    clock = at.astimezone(zone).time()
    if quiet.start < quiet.end:
        return quiet.start <= clock < quiet.end
    return clock >= quiet.start or clock < quiet.end


def some_quiet_hours(dice: random.Random) -> Iterator[QuietHours]:
    """Yield the usual hours, and some that begin or end in the very hours that jump."""
    yield NIGHT
    for _ in range(6):
        start = time(dice.choice([0, 1, 2, 3, 21, 22, 23]), dice.choice([0, 10, 30, 59]))
        end = time(dice.choice([0, 1, 2, 3, 4, 8]), dice.choice([0, 10, 30, 59]))
        if start != end:
            yield QuietHours(start=start, end=end)


@pytest.mark.slow
@pytest.mark.parametrize(("zone_name", "day"), JUMPS)
def test_the_end_of_quiet_is_what_a_look_at_every_minute_finds(zone_name: str, day: date) -> None:
    zone, dice = ZoneInfo(zone_name), random.Random(f"{zone_name} {day}")  # noqa: S311 - repeatable
    minutes = minutes_around(zone, day)
    for quiet in some_quiet_hours(dice):
        by_clock = [is_quiet_by_the_clock(quiet, zone, at) for at in minutes]
        for index in dice.sample(range(len(minutes) // 2), 100):
            at = minutes[index]
            ends_at = find_end_of_quiet(quiet, zone, at)

            loud = next(n for n in range(index, len(minutes)) if not by_clock[n])
            assert ends_at >= minutes[loud], (quiet, at, "it is quiet by the clock until later")
            assert not is_quiet_by_the_clock(quiet, zone, ends_at), (quiet, at)
            if not jumps_between(zone, at - 24 * HOUR, ends_at + 24 * HOUR):
                assert ends_at == minutes[loud], (quiet, at)
            assert ends_at <= minutes[loud] or is_between_two_quiets(by_clock, minutes, ends_at), (
                quiet,
                at,
            )


def jumps_between(zone: ZoneInfo, begin: datetime, end: datetime) -> bool:
    return begin.astimezone(zone).utcoffset() != end.astimezone(zone).utcoffset()


def is_between_two_quiets(by_clock: list[bool], minutes: list[datetime], ends_at: datetime) -> bool:
    """Whether the minute before the end is quiet: what comes before it was a gap in the quiet."""
    return by_clock[minutes.index(ends_at) - 1]


@pytest.mark.parametrize(
    ("at", "until"),
    [
        ("2025-06-01T21:59", "2025-06-01T21:59"),
        ("2025-06-01T22:00", "2025-06-02T08:00"),
        ("2025-06-02T07:59", "2025-06-02T08:00"),
        ("2025-06-02T08:00", "2025-06-02T08:00"),
        ("2025-03-29T23:00", "2025-03-30T08:00"),
        ("2025-10-25T23:00", "2025-10-26T08:00"),
    ],
)
def test_a_night_ends_at_eight_by_the_users_clock_whatever_the_clocks_do(
    at: str, until: str
) -> None:
    assert find_end_of_quiet(NIGHT, BERLIN, berlin(at)) == berlin(until)


def test_the_nights_on_which_clocks_jump_are_as_the_table_says() -> None:
    early = QuietHours(start=time(1), end=time(2, 30))
    second = berlin("2025-10-26T02:30", fold=1)

    assert find_end_of_quiet(early, BERLIN, berlin("2025-03-30T01:30")) == berlin(
        "2025-03-30T03:00"
    )
    assert find_end_of_quiet(early, BERLIN, berlin("2025-10-26T02:15")) == second
    assert find_end_of_quiet(early, BERLIN, berlin("2025-10-26T02:45")) == second
    after = berlin("2025-10-26T02:45", fold=1)
    assert find_end_of_quiet(early, BERLIN, after) == after


def test_a_message_is_held_dropped_or_too_late() -> None:
    now = berlin("2025-06-01T23:00")
    dropping = QuietHours(start=time(22), end=time(8), when_quiet=WhenQuiet.DROP)
    defer = DeliveryPreferences(quiet_hours=NIGHT, wall_time=None, closes_at=now + 9 * HOUR)
    drop = replace(defer, quiet_hours=dropping)
    short = replace(defer, closes_at=now + 9 * HOUR - MINUTE)

    assert find_send_window(defer, BERLIN, now) == berlin("2025-06-02T08:00")
    assert find_send_window(drop, BERLIN, now) is LedgerState.QUIET_HOURS
    assert find_send_window(short, BERLIN, now) is LedgerState.NOT_IN_TIME
    assert find_send_window(drop, ZoneInfo("America/Denver"), now) == now


def test_a_local_time_comes_in_each_zone_and_has_passed_after_an_hour() -> None:
    now = berlin("2025-06-01T18:00")
    wishes = DeliveryPreferences(
        quiet_hours=None,
        wall_time=datetime.fromisoformat("2025-06-01T18:00"),
        closes_at=now + 24 * HOUR,
    )

    def turn(zone: str) -> datetime | LedgerState:
        return find_send_window(wishes, ZoneInfo(zone), now)

    assert turn("Europe/Berlin") == now
    assert turn("Europe/London") == now + HOUR
    assert turn("America/New_York") == now + 6 * HOUR
    assert turn("Europe/Helsinki") == now, "an hour ago: still sent"
    assert turn("Europe/Moscow") == now
    assert turn("Asia/Dubai") is LedgerState.LOCAL_TIME_PASSED


def test_a_local_time_within_quiet_hours_is_held_until_they_end() -> None:
    now = berlin("2025-06-01T12:00")
    wishes = DeliveryPreferences(
        quiet_hours=NIGHT,
        wall_time=datetime.fromisoformat("2025-06-01T23:00"),
        closes_at=now + 24 * HOUR,
    )

    assert find_send_window(wishes, BERLIN, now) == berlin("2025-06-02T08:00")


def test_whoever_is_late_is_still_sent_to_after_the_time_has_closed() -> None:
    now = berlin("2025-06-01T12:00")
    wishes = DeliveryPreferences(quiet_hours=NIGHT, wall_time=None, closes_at=now - HOUR)

    assert find_send_window(wishes, BERLIN, now) == now


def test_a_push_with_little_time_holds_nobody_and_has_no_more_time_for_it() -> None:
    assert window_limit(AutomationSettings(), 10 * MINUTE) == 0 * MINUTE
    assert stop_limit(AutomationSettings(), 10 * MINUTE) == 10 * MINUTE


@pytest.mark.parametrize(
    ("within", "held", "stopped"), [(None, 225, 240), (60, 60, 240), (600, 600, 615)]
)
def test_users_are_held_within_the_time_that_a_push_has(
    within: int | None, held: int, stopped: int
) -> None:
    settings = AutomationSettings(deliver_within=None if within is None else within * MINUTE)

    assert window_limit(settings, 240 * MINUTE) == held * MINUTE
    assert stop_limit(settings, 240 * MINUTE) == stopped * MINUTE


@pytest.mark.parametrize(
    "name", ["Mars/Olympus", "", "America", "../etc/passwd", "/etc/localtime", "a\0b", "x" * 5_000]
)
def test_what_is_no_zone_is_none(name: str) -> None:
    assert find_zone(name) is None
