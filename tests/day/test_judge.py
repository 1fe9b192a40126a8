"""The judge of the day must be able to condemn: a flawless day, and one planted fault at a time."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.day.alarms import Alarm
from tests.day.automations import plan_day
from tests.day.day import Day, Message
from tests.day.faults import Kind, Struck
from tests.day.judge import judge, measure_growth
from tests.day.observer import Weighed
from tests.torture.evidence import Evidence, ExecutionSeen, SlotExpected

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ID = "every-1-minutes-1"
AWAY = Struck(Kind.CADENCE_AWAY, NOON + 5 * MINUTE, NOON + 5.5 * MINUTE)
HEARD = (
    Alarm("CadenceAway", NOON + 5.2 * MINUTE, 0),
    Alarm("SentUnchecked", NOON + 5.3 * MINUTE, 1),
)
TOLD = Message("fail_open", ID, NOON + 5.3 * MINUTE, "FAIL OPEN Journey")


def an_execution(minute: float = 1, **changes: Any) -> ExecutionSeen:
    slot = NOON + minute * MINUTE
    usual = ExecutionSeen(
        id=f"{ID}@{minute}",
        automation_id=ID,
        phase="completed",
        is_scheduled=True,
        is_uncapped=False,
        slot=slot,
        window=timedelta(0),
        has_ended=True,
        reason=None,
        users=range(0),
        pushes=(),
    )
    return replace(usual, **changes)


def an_evidence(*executions: ExecutionSeen) -> Evidence:
    found = {execution.id: execution for execution in executions}
    slots = (SlotExpected(ID, NOON + MINUTE),)
    return Evidence(executions=found, ledger=(), accepted=(), recorded={}, rules=(), slots=slots)


def weights(mb_a_minute: float) -> list[Weighed]:
    """An engine that warms up for 10 minutes, is killed after 30, and warms up again."""
    found: list[Weighed] = []
    for life, start in ((1, 0), (2, 30)):
        for minute in range(30):
            warm = 100 + min(minute, 10) * 3 + max(0, minute - 10) * mb_a_minute
            found.append(Weighed("engine 1", life, NOON + (start + minute) * MINUTE, warm))
    return found


def a_day(**changes: Any) -> Day:
    usual = Day(
        began_at=NOON,
        ended_at=NOON + 60 * MINUTE,
        planned=plan_day(NOON, 60 * MINUTE),
        struck=[AWAY],
        alarms=HEARD,
        messages=[TOLD],
        weights=weights(0),
        odd=[],
        edits=1,
        left_by_themselves=(),
        evidence=an_evidence(an_execution()),
    )
    return replace(usual, **changes)


def test_a_flawless_day_has_no_fault() -> None:
    assert judge(a_day()) == []


@pytest.mark.parametrize(
    ("planted", "said"),
    [
        ({"struck": []}, "unexplained: CadenceAway = 0 at 12:05:12"),
        ({"alarms": [*HEARD, Alarm("WebAway", HEARD[0].at, 1)]}, "unexplained: WebAway"),
        ({"alarms": [*HEARD, replace(HEARD[0], at=NOON)]}, "unexplained: CadenceAway"),
        ({"messages": [TOLD, replace(TOLD, event="missed")]}, "unexplained: FAIL OPEN Journey"),
        (
            {
                "struck": [AWAY, Struck(Kind.STOP, NOON, NOON, "is-stopped")],
                "messages": [TOLD, Message("cancelled", ID, NOON, "CANCELLED Journey")],
            },
            "unexplained: CANCELLED Journey",
        ),
        ({"alarms": HEARD[1:]}, "unheard: cadence away at 12:05:00 raised no CadenceAway"),
        ({"evidence": an_evidence()}, "lost: every-1-minutes-1: its slot"),
        (
            {"evidence": an_evidence(an_execution(), an_execution(1.5))},
            "unaccounted: every-1-minutes-1@1.5 is at no slot",
        ),
        (
            {"evidence": an_evidence(an_execution(), an_execution(id="again"))},
            "unaccounted: every-1-minutes-1 ran more than once at 12:01:00",
        ),
        (
            {"evidence": an_evidence(an_execution(phase="failed"))},
            "is failed, and nobody says why",
        ),
        ({"odd": ["news: ['Alice'] were told"]}, "lost update: news"),
        ({"left_by_themselves": ("web 0: exit 1",)}, "left by itself: web 0"),
        ({"weights": weights(0.5)}, "memory: engine 1 grew by 30.0 of 135 MB"),
    ],
)
def test_a_planted_fault_is_found(planted: dict[str, Any], said: str) -> None:
    wrong = judge(a_day(**planted))

    assert len(wrong) >= 1
    assert any(said in text for text in wrong), wrong


def test_growth_is_that_of_warm_processes_whatever_was_killed() -> None:
    (growth,) = measure_growth(a_day(weights=weights(0.1)))

    assert (growth.part, round(growth.grown_mb, 1), growth.is_flat) == ("engine 1", 6.0, True)


def test_nobody_can_tell_of_a_part_that_was_killed_again_and_again() -> None:
    young = [w for w in weights(5) if w.at - NOON < 19 * MINUTE]

    assert measure_growth(a_day(weights=young)) == []


def test_the_twenty_have_hundreds_of_slots_in_an_hour() -> None:
    planned = plan_day(NOON, 60 * MINUTE)
    slots = {p.id: list(p.find_slots(NOON, NOON + 60 * MINUTE)) for p in planned}

    assert len(planned) == 20
    assert sum(map(len, slots.values())) > 300
    assert [len(slots[f"{kind}-{n}"]) for n, kind in enumerate(("daily", "weekly"), 15)] == [1, 1]
    assert len(slots["every-4-minutes-6"]) == 15
