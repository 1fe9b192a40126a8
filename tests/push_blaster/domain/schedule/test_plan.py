"""Findings about an automation by itself: lateness, skipped slots, gaps, an end."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import pytest

from push_blaster.domain.automations.automation import Automation, AutomationSettings, Frequency
from push_blaster.domain.automations.experiment import Experiment
from push_blaster.domain.executions.limits import Limits
from push_blaster.domain.schedule.finding import Finding, FindingKind
from push_blaster.domain.schedule.plan import (
    find_awaited_winners,
    find_gaps,
    find_many_at_once,
    find_timing,
)
from push_blaster.domain.schedule.schedule import next_slots
from tests.builders import NOON, a_push, a_schedule, an_automation

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def timing(automation: Automation) -> list[Finding]:
    return find_timing(automation, next_slots(automation.schedule, NOON, 5), Limits())


def an_hourly(**changes: Any) -> Automation:
    hourly = a_schedule(
        frequency=Frequency.CUSTOM, cron_expression="0 * * * *", lead_time=changes.pop("lead")
    )
    return an_automation(schedule=hourly, **changes)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"frequency": Frequency.ONCE, "start_date": date(2026, 1, 1)}, "Nothing is left to send"),
        ({"frequency": Frequency.ONCE}, "Choose the start date"),
        ({"end_date": date(2026, 1, 1)}, "Nothing is left to send"),
        (
            {"start_date": date(2027, 3, 2), "end_date": date(2027, 3, 1)},
            "end date 2027-03-01 is before its start date 2027-03-02",
        ),
    ],
)
def test_a_schedule_without_a_slot_says_why(changes: dict[str, Any], told: str) -> None:
    (never,) = timing(an_automation(schedule=a_schedule(**changes)))

    assert never.kind is FindingKind.NEVER_SENDS
    assert told in never.message


def test_an_automation_that_fits_has_no_findings() -> None:
    settings = AutomationSettings(test_user_ids=(str(UUID(int=1)),))
    fits = an_automation(script_id="users", settings=settings)

    assert timing(fits) + find_gaps(fits, Limits()) == []


def test_a_lead_time_shorter_than_the_window_is_told_with_how_late_it_makes_the_send() -> None:
    (late,) = timing(
        an_automation(
            schedule=a_schedule(lead_time=20 * MINUTE, execution_time=time(12)),
            settings=AutomationSettings(cancellation_window=50 * MINUTE),
        )
    )

    assert late.kind is FindingKind.LATE_BY_WINDOW
    assert "at least 30 min late" in late.message


def test_a_window_below_the_least_one_is_raised_and_lateness_counts_from_there() -> None:
    raised, late = timing(
        an_automation(
            schedule=a_schedule(lead_time=2 * MINUTE),
            settings=AutomationSettings(cancellation_window=MINUTE),
        )
    )

    assert (raised.kind, late.kind) == (FindingKind.WINDOW_RAISED, FindingKind.LATE_BY_WINDOW)
    assert "is 1 min, but a live send always has at least 5 min" in raised.message
    assert "at least 3 min late" in late.message


@pytest.mark.parametrize(
    "automation",
    [
        an_hourly(lead=HOUR),
        an_hourly(lead=40 * MINUTE, pushes=(a_push(), a_push(id="second", delay=20 * MINUTE))),
    ],
    ids=["by its lead time", "by its sequence"],
)
def test_a_slot_that_begins_while_the_one_before_it_sends_is_told(automation: Automation) -> None:
    (skipped,) = timing(automation)

    assert skipped.kind is FindingKind.SKIPS_SLOTS
    assert "The send of Tue 24 Nov 2026, 14:00 UTC is skipped: it starts on" in skipped.message


def test_a_sequence_that_ends_just_before_the_next_slot_begins_skips_nothing() -> None:
    assert timing(an_hourly(lead=59 * MINUTE)) == []


@pytest.mark.parametrize(("wishes", "skips"), [({"local_time": True}, True), ({}, False)])
def test_users_who_are_held_for_a_day_keep_the_next_days_slot_from_beginning(
    wishes: dict[str, Any], skips: bool
) -> None:
    daily = an_automation(settings=AutomationSettings(deliver_within=24 * HOUR, **wishes))

    found = {finding.kind for finding in timing(daily)}

    assert (FindingKind.SKIPS_SLOTS in found) is skips


@pytest.mark.parametrize(
    ("at", "passed_at", "goes_out_at"),
    [
        (time(9), "Tue 24 Nov 2026, 09:00 UTC", "Tue 24 Nov 2026, 12:30 UTC"),
        (
            datetime(2026, 11, 25, 13, tzinfo=UTC),
            "Wed 25 Nov 2026, 13:00 UTC",
            "Thu 26 Nov 2026, 12:30 UTC",
        ),
    ],
    ids=["a time of day before T", "an instant that only the first slots can meet"],
)
def test_a_push_whose_own_time_has_passed_is_told(
    at: time | datetime, passed_at: str, goes_out_at: str
) -> None:
    own = a_push(id="second", absolute_time=at)

    found = timing(an_automation(pushes=(a_push(), own)))

    (passed,) = [f for f in found if f.kind is FindingKind.TIME_PASSED]
    assert passed.message == (
        f"Push 2 cannot go out at its own time, {passed_at}, because its turn comes later. It "
        f"goes out on {goes_out_at}. Choose a later time."
    )


@pytest.mark.parametrize(
    ("rate", "most", "told"),
    [
        (1_000, 240_000, []),
        (1_000, 240_001, [FindingKind.TOO_SLOW]),
        (100, None, [FindingKind.TOO_SLOW]),
        (None, None, []),
    ],
    ids=["just in time", "one user too many", "as many as anybody may have", "everybody's rate"],
)
def test_a_rate_at_which_the_largest_audience_does_not_go_out_in_time_is_told(
    rate: int | None, most: int | None, told: list[FindingKind]
) -> None:
    automation = an_automation(
        settings=AutomationSettings(rate_per_minute=rate, max_audience_size=most)
    )
    limits = Limits(max_audience_size=300_000)

    found = find_timing(automation, next_slots(automation.schedule, NOON, 5), limits)

    assert [finding.kind for finding in found] == told


def test_what_an_execution_would_find_missing_is_told() -> None:
    settings = AutomationSettings(require_approval=True, cancellation_window=45 * MINUTE)

    audience, test, approval = find_gaps(an_automation(settings=settings), Limits())

    assert audience.kind is FindingKind.NO_AUDIENCE
    assert find_gaps(an_automation(settings=settings, manual_user_ids=("u",)), Limits()) == [
        test,
        approval,
    ]
    assert "there is no audience" in audience.message
    assert test.kind is FindingKind.NO_TEST_USERS
    assert "no test user is named here or by a script" in test.message
    assert approval.kind is FindingKind.NEEDS_APPROVAL
    assert "between its test and its send, 45 min or more" in approval.message


def test_a_test_user_who_is_no_user_id_is_told_by_name() -> None:
    named = ("00000000-0000-0000-0000-000000000001", "nobody", "")
    settings = AutomationSettings(test_user_ids=named)

    found = find_gaps(an_automation(settings=settings, manual_user_ids=("u",)), Limits())

    assert [finding.kind for finding in found] == [FindingKind.BAD_TEST_USER] * 2
    assert "The test user 'nobody' is no user id" in found[0].message


@pytest.mark.parametrize(("others", "found"), [(9, 0), (10, 1), (25, 1)])
def test_many_others_at_the_same_instant_are_told(others: int, found: int) -> None:
    """They count by the instant, whatever their zones; others at another minute do not."""
    mine = an_automation(schedule=a_schedule(execution_time=time(12, 30)))
    berlin = a_schedule(execution_time=time(13, 30), timezone="Europe/Berlin")
    later = a_schedule(execution_time=time(12, 31))
    crowd = [an_automation(id=f"other-{n}", schedule=berlin, is_active=True) for n in range(others)]
    apart = [an_automation(id=f"apart-{n}", schedule=later, is_active=True) for n in range(20)]

    slots = next_slots(mine.schedule, NOON, 5)
    findings = list(find_many_at_once(mine, slots, [mine, *crowd, *apart]))

    assert len(findings) == found
    assert all(f"{others} other automations also send on" in f.message for f in findings)
    assert all(finding.kind is FindingKind.MANY_AT_ONCE for finding in findings)


def test_a_decision_after_the_next_slot_begins_skips_that_slot() -> None:
    fits, is_late = (
        an_hourly(
            lead=30 * MINUTE,
            pushes=(a_push(experiment=Experiment(test_percent=20, decide_after=wait)),),
        )
        for wait in (29 * MINUTE, 60 * MINUTE)
    )

    assert timing(fits) == []
    (skipped,) = timing(is_late)
    assert skipped.kind is FindingKind.SKIPS_SLOTS
    assert "goes on until Tue 24 Nov 2026, 14:00" in skipped.message


def test_the_plan_says_when_the_winner_goes_out_and_what_waits_for_it() -> None:
    tests = a_push(experiment=Experiment(test_percent=20, decide_after=90 * MINUTE))
    automation = an_automation(pushes=(a_push(), tests, a_push(delay=5 * MINUTE)))

    slots = next_slots(automation.schedule, NOON, 3)
    (told,) = find_awaited_winners(automation, slots)

    assert told.kind is FindingKind.AWAITS_WINNER
    assert told.field == "pushSequence[1].experiment.testPercent"
    assert told.message == (
        "Push 2 goes to 20 % of its users first. The others get the winner, for the next send on "
        "Tue 24 Nov 2026, 14:00 UTC. Push 3 waits for the decision, and goes out on "
        "Tue 24 Nov 2026, 14:05 UTC."
    )
