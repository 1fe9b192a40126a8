"""Slots, over clock changes, against an oracle that looks at every minute of the zone."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from croniter import CroniterBadDateError, croniter
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from push_blaster.domain.automations.automation import Frequency, Schedule
from push_blaster.domain.schedule.schedule import first_slots, next_slots, slots_between
from push_blaster.domain.zones import place_in_zone
from tests.builders import a_schedule

MINUTE = timedelta(minutes=1)

#: A few days around a clock change, and what the clock does.
CHANGES = {
    "New York forward": ("America/New_York", date(2026, 3, 6), 5),
    "New York back": ("America/New_York", date(2026, 10, 30), 5),
    "Berlin forward": ("Europe/Berlin", date(2026, 3, 27), 5),
    "Berlin back": ("Europe/Berlin", date(2026, 10, 23), 5),
    "Lord Howe forward, by half an hour": ("Australia/Lord_Howe", date(2026, 10, 2), 5),
    "Lord Howe back, by half an hour": ("Australia/Lord_Howe", date(2026, 4, 3), 5),
    "Apia skips a whole day": ("Pacific/Apia", date(2011, 12, 28), 5),
    "Apia forward": ("Pacific/Apia", date(2011, 9, 22), 5),
}
EXPRESSIONS = [
    "30 2 * * *",
    "0 2 * * *",
    "30 1 * * *",
    "15 0 * * *",
    "*/30 * * * *",
    "7 1-3 * * *",
    "0 12 * * 1-5",
    "45 1 * * SUN",
    "0 */6 * * *",
    "59 23 * * *",
]


def oracle(expression: str, zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    """Return the slots in (start, end]: the first minute whose wall clock shows, or has passed,
    each wall time that cronsim (an independent implementation) gives; once an instant."""
    minutes = list(every_minute(start - timedelta(days=2), end + timedelta(days=2)))
    walls = [at.astimezone(zone).replace(tzinfo=None) for at in minutes]
    slots = set()
    index = 0
    latest = walls[0]
    for wanted in CronSim(expression, walls[0]):
        while index < len(walls) and max(latest, walls[index]) < wanted:
            latest = max(latest, walls[index])
            index += 1
        if index == len(walls):
            break
        slots.add(minutes[index])
    return sorted(at for at in slots if start < at <= end)


def every_minute(start: datetime, end: datetime) -> Iterator[datetime]:
    at = start
    while at <= end:
        yield at
        at += MINUTE


def custom(expression: str, zone: str) -> Schedule:
    return a_schedule(
        timezone=zone,
        frequency=Frequency.CUSTOM,
        execution_time=None,
        cron_expression=expression,
    )


@pytest.mark.slow
@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize("change", CHANGES)
def test_slots_over_a_clock_change_are_the_oracles(change: str, expression: str) -> None:
    name, first_day, days = CHANGES[change]
    start = datetime.combine(first_day, time(), UTC)
    end = start + timedelta(days=days)

    slots = [slot.at for slot in slots_between(custom(expression, name), start, end)]

    assert slots == oracle(expression, ZoneInfo(name), start, end)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("at", [time(0, 0), time(1, 30), time(2, 15), time(12, 30)])
def test_a_daily_automation_is_its_cron_twin(change: str, at: time) -> None:
    name, first_day, days = CHANGES[change]
    start = datetime.combine(first_day, time(), UTC)
    daily = a_schedule(timezone=name, execution_time=at)

    slots = slots_between(daily, start, start + timedelta(days=days))

    twin = f"{at.minute} {at.hour} * * *"
    assert [s.at for s in slots] == oracle(
        twin, ZoneInfo(name), start, start + timedelta(days=days)
    )


def test_a_wall_time_that_does_not_exist_runs_after_the_gap_and_says_so() -> None:
    schedule = a_schedule(timezone="America/New_York", execution_time=time(2, 30))

    (slot,) = next_slots(schedule, datetime(2026, 3, 8, 0, 0, tzinfo=UTC), 2)[:1]
    (gap,) = next_slots(schedule, datetime(2026, 3, 7, 12, 0, tzinfo=UTC), 1)

    assert slot.at == gap.at == datetime(2026, 3, 8, 7, 0, tzinfo=UTC)
    assert gap.remark
    assert "does not exist" in gap.remark


def test_a_wall_time_that_comes_twice_runs_once_and_says_so() -> None:
    schedule = a_schedule(timezone="Europe/Berlin", execution_time=time(2, 30))

    first, second = next_slots(schedule, datetime(2026, 10, 24, 12, tzinfo=UTC), 2)

    assert first.at == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert first.remark
    assert "comes twice" in first.remark
    assert second.at == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


def test_two_wall_times_on_one_instant_are_one_slot() -> None:
    schedule = custom("0 0 * * *", "Pacific/Apia")

    slots = slots_between(
        schedule,
        datetime(2011, 12, 29, 9, tzinfo=UTC),
        datetime(2012, 1, 1, 0, tzinfo=UTC),
    )

    local = [s.at.astimezone(ZoneInfo("Pacific/Apia")) for s in slots]
    assert [at.date() for at in local] == [date(2011, 12, 29), date(2011, 12, 31), date(2012, 1, 1)]


def dates(schedule: Schedule, count: int) -> list[date]:
    return [s.at.date() for s in next_slots(schedule, datetime(2026, 1, 30, tzinfo=UTC), count)]


def test_weekly_runs_on_the_days_given_or_on_the_start_dates_weekday() -> None:
    given_days = a_schedule(frequency=Frequency.WEEKLY, days_of_week=(0, 3))
    by_start = a_schedule(frequency=Frequency.WEEKLY, start_date=date(2026, 2, 6))

    assert dates(given_days, 3) == [date(2026, 2, 1), date(2026, 2, 4), date(2026, 2, 8)]
    assert dates(by_start, 2) == [date(2026, 2, 6), date(2026, 2, 13)]


def test_monthly_runs_on_the_last_day_of_a_month_that_is_too_short() -> None:
    schedule = a_schedule(frequency=Frequency.MONTHLY, day_of_month=31)

    assert dates(schedule, 4) == [
        date(2026, 1, 31),
        date(2026, 2, 28),
        date(2026, 3, 31),
        date(2026, 4, 30),
    ]


def test_once_runs_once_and_not_again_a_year_later() -> None:
    schedule = a_schedule(frequency=Frequency.ONCE, start_date=date(2026, 2, 1))

    assert dates(schedule, 5) == [date(2026, 2, 1)]
    assert next_slots(schedule, datetime(2026, 2, 1, 12, 30, tzinfo=UTC), 1) == []


def test_start_and_end_date_hold_and_both_days_are_in() -> None:
    schedule = a_schedule(start_date=date(2026, 2, 3), end_date=date(2026, 2, 5))

    assert dates(schedule, 9) == [date(2026, 2, 3), date(2026, 2, 4), date(2026, 2, 5)]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 9 L * *", [date(2026, 1, 31), date(2026, 2, 28)]),
        ("0 9 * * FRI#2", [date(2026, 2, 13), date(2026, 3, 13)]),
        ("0 9 1 JAN,JUL *", [date(2026, 7, 1), date(2027, 1, 1)]),
    ],
)
def test_cron_knows_names_last_days_and_nth_weekdays(expression: str, expected: list[date]) -> None:
    assert dates(custom(expression, "UTC"), 2) == expected


def test_six_fields_end_with_seconds() -> None:
    slots = next_slots(custom("30 9 * * * 15", "UTC"), datetime(2026, 2, 1, tzinfo=UTC), 1)

    assert slots[0].at == datetime(2026, 2, 1, 9, 30, 15, tzinfo=UTC)


ZONES = st.sampled_from(
    ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kolkata"]
)
TIMES = st.times().map(lambda t: t.replace(second=0, microsecond=0))
INSTANTS = st.datetimes(datetime(2010, 1, 1), datetime(2030, 1, 1)).map(  # noqa: DTZ001
    lambda t: t.replace(tzinfo=UTC)
)


@given(zone=ZONES, at=TIMES, after=INSTANTS)
def test_daily_slots_rise_and_paging_does_not_matter(zone: str, at: time, after: datetime) -> None:
    schedule = a_schedule(timezone=zone, execution_time=at)

    slots = next_slots(schedule, after, 6)

    assert slots[0].at > after
    assert all(a.at < b.at for a, b in pairwise(slots))
    assert next_slots(schedule, slots[2].at, 3) == slots[3:]
    assert slots_between(schedule, after, slots[-1].at) == slots


def test_the_last_days_of_the_calendar_end_a_schedule() -> None:
    schedule = a_schedule(start_date=date(9999, 12, 30))

    assert len(next_slots(schedule, datetime(2026, 1, 1, tzinfo=UTC), 5)) == 1


ODD_CRONS = (
    "*/7 6-22/4 * * *",
    "0,30 9 1,15 * *",
    "59 23 L * *",
    "0 12 29 2 *",
    "5 0 * * MON-FRI",
    "0 8 13 * 5",
    "15 3 * 1-6 sun#2",
    "0 0 31 4 *",
)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu"])
@pytest.mark.parametrize("expression", ODD_CRONS)
def test_a_cron_expression_has_the_times_that_croniter_finds(expression: str, zone: str) -> None:
    after = datetime(2026, 10, 3, 13, 7, 30, tzinfo=UTC)
    schedule = a_schedule(frequency=Frequency.CUSTOM, cron_expression=expression, timezone=zone)

    found = next_slots(schedule, after, 60)

    wall = after.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    times = croniter(expression, wall, ret_type=datetime)
    expected: list[datetime] = []
    with suppress(CroniterBadDateError):
        while len(expected) < 60:
            at = place_in_zone(times.get_next(), ZoneInfo(zone)).at
            if at > max([after, *expected[-1:]]):
                expected.append(at)
    assert [slot.at for slot in found] == expected


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/Havana", "Africa/Casablanca"])
@pytest.mark.parametrize("month", range(1, 13))
def test_the_first_slots_of_some_days_are_those_of_the_whole_schedule(
    zone: str, month: int
) -> None:
    after = datetime(2026, month, 20, 22, 30, tzinfo=UTC)
    until = after + timedelta(days=16)
    schedule = a_schedule(frequency=Frequency.CUSTOM, cron_expression="*/30 * * * *", timezone=zone)

    assert first_slots(schedule, after, until, 10_000) == slots_between(schedule, after, until)
    assert first_slots(schedule, after, until, 3) == next_slots(schedule, after, 3)
