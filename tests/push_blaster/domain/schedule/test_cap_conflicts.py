"""Findings about neighbours: whose pushes use up whose caps."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from push_blaster.domain.automations.automation import Automation, Frequency
from push_blaster.domain.cadence.cadence import CadenceRule
from push_blaster.domain.schedule.cap_conflicts import MAX_NAMED, find_cap_conflicts
from push_blaster.domain.schedule.plan import Finding, FindingKind
from push_blaster.domain.schedule.schedule import next_slots
from tests.builders import NOON, a_push, a_schedule, an_automation

COOLDOWN = CadenceRule(
    name="cooldown",
    applies_to_layers=frozenset({3}),
    counted_layers=frozenset({3}),
    window=timedelta(hours=72),
    max_count=1,
)
TOGETHER = CadenceRule(
    name="together",
    applies_to_layers=frozenset({2, 3}),
    counted_layers=frozenset({2, 3}),
    window=timedelta(hours=168),
    max_count=3,
)


def weekly(automation_id: str, *days: int, layer_id: int = 3, **changes: Any) -> Automation:
    schedule = a_schedule(frequency=Frequency.WEEKLY, days_of_week=days)
    pushes = (a_push(layer_id=layer_id),)
    return an_automation(id=automation_id, schedule=schedule, pushes=pushes, **changes)


def findings(
    automation: Automation, *others: Automation, rule: CadenceRule = COOLDOWN
) -> list[Finding]:
    slots = next_slots(automation.schedule, NOON, 2)
    return find_cap_conflicts(automation, slots, [automation, *others], [rule])


def crowding(
    automation: Automation, *others: Automation, rule: CadenceRule = COOLDOWN
) -> list[str]:
    found = findings(automation, *others, rule=rule)
    return [finding.message for finding in found if finding.kind is FindingKind.IS_CAPPED]


def test_a_neighbour_on_the_layer_within_the_cooldown_is_named() -> None:
    (found,) = crowding(weekly("news", 4), weekly("sale", 2))

    assert found == (
        "Push 1 of 2026-11-26 12:30+00:00 (layer 3) comes 48 h after sale's push 1 of "
        "2026-11-24 12:30+00:00 (layer 3). The cadence rule cooldown allows at most 1 per user in "
        "72 h, so users of the earlier push may be capped. Move one of the pushes. "
        "Planned pushes with this conflict: 2."
    )


def test_exactly_the_window_apart_is_no_crowding() -> None:
    assert crowding(weekly("news", 4), weekly("sale", 1)) == []


def test_who_comes_after_or_is_off_or_on_another_layer_takes_nothing() -> None:
    later = an_automation(id="later", schedule=a_schedule(start_date=date(2026, 12, 4)))
    off = weekly("off", 3, is_active=False)
    elsewhere = weekly("elsewhere", 3, layer_id=1)

    assert crowding(weekly("news", 4), later, off, elsewhere) == []


def test_an_automation_may_crowd_itself() -> None:
    (daily,) = crowding(an_automation(pushes=(a_push(),)))
    sequence = (a_push(), a_push(id="push-2", delay=timedelta(hours=2)))
    (within,) = crowding(replace(weekly("news", 4), pushes=sequence))

    assert "24 h after its own push 1 of 2026-11-24 12:30+00:00" in daily
    assert "Push 2 of 2026-11-26 14:30+00:00 (layer 3) comes 2 h after its own push 1" in within


def test_a_cap_of_three_needs_three() -> None:
    news = weekly("news", 5)
    others = [weekly(f"other{day}", day, layer_id=2) for day in (2, 3, 4)]

    assert crowding(news, *others[:2], rule=TOGETHER) == []
    assert len(crowding(news, *others, rule=TOGETHER)) == 3


def test_a_neighbour_that_comes_after_is_told_to_lose_its_users() -> None:
    (found,) = findings(weekly("news", 4), weekly("sale", 6))

    assert found.kind is FindingKind.CAPS_OTHERS
    assert found.message == (
        "sale's push 1 of 2026-11-28 12:30+00:00 (layer 3) comes 48 h after news's push 1 of "
        "2026-11-26 12:30+00:00 (layer 3). The cadence rule cooldown allows at most 1 per user in "
        "72 h, so users of the earlier push may be capped. Move one of the pushes. "
        "Planned pushes with this conflict: 2."
    )


def test_a_late_push_of_a_long_sequence_counts_though_its_slot_was_days_before() -> None:
    late = a_push(id="push-2", delay=timedelta(days=6))
    series = replace(weekly("series", 4), pushes=(a_push(layer_id=1), late))

    (found,) = crowding(weekly("news", 4), series)

    assert "comes 24 h after series's push 2 of 2026-11-25 12:30+00:00" in found


def test_of_very_many_neighbours_only_the_first_are_told_one_by_one() -> None:
    many = [weekly(f"n{number:03}", 3) for number in range(MAX_NAMED + 7)]

    found = crowding(weekly("news", 4), *many)

    assert len(found) == MAX_NAMED + 1
    assert found[-1] == "cooldown: 7 more automations have the same conflict."
