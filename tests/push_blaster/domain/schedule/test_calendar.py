"""The calendar: what is planned on which day, and in words what collides."""

from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from push_blaster.domain.automations.automation import Frequency
from push_blaster.domain.cadence.cadence import CadenceRule
from push_blaster.domain.schedule.calendar import (
    MAX_A_DAY,
    CalendarPush,
    Collision,
    find_collisions,
    plan_calendar,
)
from tests.builders import NOON, a_push, a_schedule, an_automation

UTC_ZONE = ZoneInfo("UTC")
DAY = NOON.date()


def a_rule(name: str = "cooldown", **changes: Any) -> CadenceRule:
    values = {
        "applies_to_layers": frozenset({3}),
        "counted_layers": frozenset({3}),
        "window": timedelta(hours=72),
        "max_count": 1,
        **changes,
    }
    return CadenceRule(name=name, **values)


def planned(name: str, hour: int, layer: int = 3, days: int = 0) -> CalendarPush:
    at = datetime.combine(DAY + timedelta(days=days), time(hour), NOON.tzinfo)
    return CalendarPush(
        automation_id=name.lower(),
        automation_name=name,
        position=1,
        layer_id=layer,
        at=at,
        slot=at,
        is_paused=False,
        remark=None,
    )


def collide(*pushes: CalendarPush, rules: list[CadenceRule]) -> list[Collision]:
    ordered = sorted(pushes, key=lambda push: push.at)
    today = [push for push in ordered if push.at.date() == DAY]
    before = [push for push in ordered if push.at.date() < DAY]
    return find_collisions(DAY, today, before, rules, UTC_ZONE)


def test_two_of_one_layer_under_a_rule_say_who_wins_and_which_rule_caps() -> None:
    (found,) = collide(planned("News", 9), planned("Sale", 14), rules=[a_rule()])

    assert (found.day, found.layer_ids, found.automations) == (DAY, (3,), 2)
    assert found.automation_ids == ("news", "sale")
    assert found.messages == (
        "A person who is in all of these audiences gets News (09:00). The person does not get "
        "Sale (14:00): capped by the rule “Cooldown” (at most 1 in 72 h).",
    )


def test_two_of_one_layer_without_a_rule_both_go_out() -> None:
    (found,) = collide(planned("News", 9, 1), planned("Sale", 14, 1), rules=[a_rule()])

    assert "No cadence rule stands between these 2 pushes" in found.messages[0]
    assert "gets each of them: News (09:00), Sale (14:00)." in found.messages[0]


def test_a_rule_over_two_layers_joins_them_and_a_short_window_does_not() -> None:
    both = frozenset({2, 3})
    pushes = (planned("News", 9, 2), planned("Sale", 14, 3))

    def layers(hours: int) -> list[tuple[int, ...]]:
        rule = a_rule(applies_to_layers=both, counted_layers=both, window=timedelta(hours=hours))
        return [one.layer_ids for one in collide(*pushes, rules=[rule])]

    assert layers(24) == [(2, 3)]
    assert layers(5) == []
    assert collide(*pushes, rules=[]) == []


def test_one_automation_alone_collides_with_nobody_even_with_itself() -> None:
    twice = (planned("News", 9), planned("News", 14), planned("News", 9, days=-1))

    assert collide(*twice, rules=[a_rule()]) == []


def test_a_push_of_the_days_before_counts_within_the_window_of_its_rule() -> None:
    (found,) = collide(planned("News", 9), planned("Sale", 18, days=-2), rules=[a_rule()])

    assert found.messages == (
        "Pushes of the days before count, too: Sale (Sun 22 Nov, 18:00). A person who got one of "
        "them is capped by the rule “Cooldown” (at most 1 in 72 h).",
    )
    assert collide(planned("News", 9), planned("Sale", 8, days=-3), rules=[a_rule()]) == []


def test_a_rule_that_allows_two_caps_the_third() -> None:
    pushes = [planned(name, hour) for hour, name in enumerate("ABCDEFG", 8)]

    (found,) = collide(*pushes, rules=[a_rule(max_count=2)])

    assert (
        "gets A (08:00), B (09:00). The person does not get C (10:00), D (11:00)"
        in found.messages[0]
    )
    assert "and 1 more: capped by the rule “Cooldown” (at most 2 in 72 h)." in found.messages[0]
    assert found.automations == 7


def test_the_first_rule_in_order_is_named_and_a_capped_push_counts_for_nothing() -> None:
    rules = [a_rule("first", window=timedelta(hours=3)), a_rule("second", max_count=2)]

    (found,) = collide(
        *(planned(n, h) for n, h in [("A", 8), ("B", 10), ("C", 12), ("D", 16)]), rules=rules
    )

    assert "gets A (08:00), C (12:00)." in found.messages[0]
    assert "B (10:00): capped by the rule “First”" in found.messages[0]
    assert "D (16:00): capped by the rule “Second”" in found.messages[0]


def test_the_pushes_of_a_sequence_stand_on_their_own_days_and_layers() -> None:
    series = an_automation(
        pushes=(a_push(layer_id=5), a_push(layer_id=3, delay=timedelta(days=2))),
        schedule=a_schedule(frequency=Frequency.ONCE, start_date=DAY),
    )

    both = plan_calendar(series, NOON, NOON + timedelta(days=7))
    second = plan_calendar(series, NOON + timedelta(days=2), NOON + timedelta(days=3))

    assert [(one.layer_id, one.at.date() - DAY) for one in both] == [
        (5, timedelta(0)),
        (3, timedelta(days=2)),
    ]
    assert [one.position for one in second] == [2]


def test_the_end_is_not_included_and_a_clock_change_is_remarked() -> None:
    spring = a_schedule(timezone="Europe/Berlin", execution_time=time(2, 30))
    first = datetime(2027, 3, 28, tzinfo=NOON.tzinfo)

    (push,) = plan_calendar(an_automation(schedule=spring), first, first + timedelta(days=1))

    assert push.remark is not None
    assert "does not exist" in push.remark
    daily = an_automation()
    assert plan_calendar(daily, NOON, NOON + timedelta(minutes=30)) == []


def often(cron: str) -> list[CalendarPush]:
    """Return the pushes of three days and the week before them."""
    schedule = a_schedule(frequency=Frequency.CUSTOM, execution_time=None, cron_expression=cron)
    since = NOON - timedelta(days=7)
    return plan_calendar(an_automation(schedule=schedule), since, NOON + timedelta(days=3))


def test_an_automation_of_every_ten_minutes_has_all_its_pushes_on_every_day() -> None:
    pushes = often("*/10 * * * *")

    assert len(pushes) == len({push.at for push in pushes}) == 10 * 144
    assert [push.at for push in pushes] == sorted(push.at for push in pushes)
    assert pushes[0].at == NOON - timedelta(days=7)


def test_an_automation_of_every_second_is_bounded_and_is_there_on_every_day() -> None:
    pushes = often("* * * * * *")

    assert len({push.at.date() for push in pushes}) >= 10
    assert len(pushes) <= 12 * MAX_A_DAY


def test_days_are_those_of_the_zone() -> None:
    late = planned("News", 23), planned("Sale", 23)

    (found,) = find_collisions(date(2026, 11, 25), late, [], [a_rule()], ZoneInfo("Asia/Tokyo"))

    assert "News (08:00)" in found.messages[0]
