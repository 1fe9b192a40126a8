"""The same seed does the same; and the clocks of our own zone change as it says."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from push_blaster.domain.zones import place_in_zone
from tests.torture.changing_clock import (
    SHIFT,
    ZONE,
    find_repeated,
    find_skipped,
    plan_changes,
    write_zone,
)
from tests.torture.schedule import KILLS, Blow, plan_events, plan_run


def test_a_seed_gives_the_same_events_and_the_same_runs() -> None:
    assert list(plan_events(7, 100)) == list(plan_events(7, 100))
    assert [plan_run(7, n) for n in range(50)] == [plan_run(7, n) for n in range(50)]


def test_another_seed_gives_others() -> None:
    assert list(plan_events(7, 100)) != list(plan_events(8, 100))
    assert [plan_run(7, n) for n in range(50)] != [plan_run(8, n) for n in range(50)]


def test_the_last_event_is_the_last_kill() -> None:
    events = list(plan_events(7, 100))

    assert sum(event.blow in KILLS for event in events) == 100
    assert events[-1].blow in KILLS


def test_the_clock_of_the_host_jumps_once_in_a_hundred_kills_and_never_in_a_short_torture() -> None:
    jumps = [sum(e.blow is Blow.HOST for e in plan_events(7, kills)) for kills in (25, 100, 1_000)]

    assert jumps == [0, 1, 5]


def test_our_zone_skips_a_minute_and_brings_one_twice(tmp_path: Path) -> None:
    noon = datetime(2026, 11, 24, 12, tzinfo=UTC)
    forward, back = plan_changes(noon, timedelta(minutes=3), 2)
    write_zone(tmp_path, [forward, back])
    with (tmp_path / ZONE).open("rb") as file:
        zone = ZoneInfo.from_file(file, ZONE)

    skipped = find_skipped(forward).replace(tzinfo=zone)
    repeated, first = find_repeated(back)

    assert skipped.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != find_skipped(forward)
    assert repeated.replace(tzinfo=zone).astimezone(UTC) == first
    assert repeated.replace(tzinfo=zone, fold=1).astimezone(UTC) == first + SHIFT


def test_the_clock_places_wall_times_however_soon_the_zone_changes_back(tmp_path: Path) -> None:
    noon = datetime(2026, 11, 24, 12, 20, tzinfo=UTC)
    forward, back = plan_changes(noon, timedelta(minutes=3), 2)
    write_zone(tmp_path, [forward, back])
    with (tmp_path / ZONE).open("rb") as file:
        zone = ZoneInfo.from_file(file, ZONE)

    skipped = place_in_zone(find_skipped(forward), zone)
    repeated, first = find_repeated(back)

    assert (skipped.at, "does not exist" in str(skipped.remark)) == (forward.at, True)
    assert place_in_zone(repeated, zone).at == first
