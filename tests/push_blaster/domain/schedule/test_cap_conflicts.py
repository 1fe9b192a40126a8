"""Findings about neighbours: whose pushes use up whose caps."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from push_blaster.domain.automations.automation import Automation, Frequency
from push_blaster.domain.cadence.cadence import CadenceRule
from push_blaster.domain.schedule.cap_conflicts import MAX_NAMED, find_cap_conflicts
from push_blaster.domain.schedule.finding import Finding, FindingKind
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
    name = automation_id.capitalize()
    return an_automation(id=automation_id, name=name, schedule=schedule, pushes=pushes, **changes)


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
        "People who get “Sale” of Tue 24 Nov 2026, 12:30 UTC will not get your push of "
        "Thu 26 Nov 2026, 12:30 UTC, 48 h later: the 72-hour rule allows one. The same happens 2 "
        "times in this plan. Move one of the two."
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

    assert daily.startswith("People who get your push of Tue 24 Nov 2026, 12:30 UTC will not get")
    assert daily.endswith("24 h later: the 72-hour rule allows one. Send less often.")
    assert within == (
        "Most people will get only one of your two pushes: the 72-hour rule allows one. Leave "
        "72 h between them, or send fewer."
    )


def in_a_row(*layers: int, hours: int = 1, **own: Any) -> Automation:
    pushes = [
        a_push(id=f"p{n}", layer_id=layer, delay=timedelta(hours=hours if n else 0), **own)
        for n, layer in enumerate(layers)
    ]
    return replace(weekly("news", 4), pushes=tuple(pushes))


@pytest.mark.parametrize(
    ("layers", "rule", "said"),
    [
        ((3, 3, 3), COOLDOWN, "only one of your three pushes: the 72-hour rule allows one"),
        ((3, 3, 3, 3), TOGETHER, "only three of your four pushes: the 7-day rule allows three"),
        ((1, 3, 3), COOLDOWN, "only one of your two pushes on layer 3: the 72-hour rule"),
        ((2, 3, 3, 3, 1), TOGETHER, "only three of your four pushes on layers 2 and 3: the 7-day"),
        (
            (3,),
            replace(COOLDOWN, max_count=0),
            "only none of your push: the 72-hour rule allows none",
        ),
    ],
)
def test_a_sequence_says_how_many_of_its_pushes_most_people_get(
    layers: tuple[int, ...], rule: CadenceRule, said: str
) -> None:
    (found, *_) = findings(in_a_row(*layers), rule=rule)

    assert found.message.startswith("Most people will get ")
    assert said in found.message
    assert found.rule == rule.name
    assert (found.field == "pushSequence[1].timing.delayAfterPrevious") is (len(layers) > 1)


def test_a_sequence_that_keeps_its_distance_loses_nobody() -> None:
    assert findings(in_a_row(3, 3, hours=72)) == []
    assert findings(in_a_row(3, 1, 1)) == []


def test_of_two_rules_the_one_that_takes_more_is_named_for_a_sequence() -> None:
    news = in_a_row(3, 3, 3, 3)
    slots = next_slots(news.schedule, NOON, 1)

    (found,) = find_cap_conflicts(news, slots, [news], [TOGETHER, COOLDOWN])

    assert "only one of your four pushes: the 72-hour rule allows one" in found.message


def test_pushes_to_different_audiences_are_lost_by_those_who_are_in_all() -> None:
    pushes = (a_push(audience_name="a"), a_push(id="b", audience_name="b"))
    news = replace(weekly("news", 4), pushes=pushes)

    (found,) = findings(news)

    assert found.message.startswith("People who are in all of its audiences will get only one of")


def test_a_cap_of_three_needs_three() -> None:
    news = weekly("news", 5)
    others = [weekly(f"other{day}", day, layer_id=2) for day in (2, 3, 4)]

    assert crowding(news, *others[:2], rule=TOGETHER) == []
    found = crowding(news, *others, rule=TOGETHER)
    assert len(found) == 3
    assert "People who got three pushes by then, one of them “Other2” of Tue 24 Nov" in found[0]
    assert "the 7-day rule allows three" in found[0]


def test_a_neighbour_that_comes_after_is_told_to_lose_its_users() -> None:
    (found,) = findings(weekly("news", 4), weekly("sale", 6))

    assert found.kind is FindingKind.CAPS_OTHERS
    assert (found.rule, found.automation_id) == ("cooldown", "sale")
    assert found.message == (
        "People who get your push of Thu 26 Nov 2026, 12:30 UTC will not get “Sale” of "
        "Sat 28 Nov 2026, 12:30 UTC, 48 h later: the 72-hour rule allows one. The same happens 2 "
        "times in this plan. Move one of the two."
    )


def test_a_late_push_of_a_long_sequence_counts_though_its_slot_was_days_before() -> None:
    late = a_push(id="push-2", delay=timedelta(days=6))
    series = replace(weekly("series", 4), pushes=(a_push(layer_id=1), late))

    (found,) = crowding(weekly("news", 4), series)

    assert found.startswith("People who get push 2 of “Series” of Wed 25 Nov 2026, 12:30 UTC will")
    assert "24 h later" in found


def test_of_very_many_neighbours_only_the_first_are_told_one_by_one() -> None:
    many = [weekly(f"n{number:03}", 3) for number in range(MAX_NAMED + 7)]

    found = crowding(weekly("news", 4), *many)

    assert len(found) == MAX_NAMED + 1
    assert found[-1] == "7 more automations are as close to yours: the 72-hour rule allows one."
